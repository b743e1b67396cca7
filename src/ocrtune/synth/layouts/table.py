"""A page with a table: ruled, ruled in part or not at all, with running text above and below."""

import html
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ocrtune.synth.chance import happens
from ocrtune.synth.config import PaperSection
from ocrtune.synth.drawing import FULL_INK, Box, Canvas, Pen, bounds_of
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.languages import with_capital
from ocrtune.synth.layouts.galley import Align, Galley, Habit, set_galley, width_of, words_of
from ocrtune.synth.layouts.page import Filling, draw_margins
from ocrtune.synth.layouts.paragraph import draw_habit, draw_title, facts_of, set_title
from ocrtune.synth.sheet import Sheet
from ocrtune.synth.texts import TextSource

Rules = Literal["grid", "rows", "head", "none"]

Rows = tuple[tuple[str, ...], ...]

FEWEST_COLUMNS, MOST_COLUMNS, FEWEST_ROWS = 2, 6, 2
SMALLEST_PX = 16
SHRINK = 0.88
"""A table too wide for its page is set in smaller type, step by step, and in the end loses columns."""

MOST_OF_PAGE = 0.6
"""Height that a table takes at most; rows beyond it are left out."""

MOST_LETTERS = 400
"""Of a paragraph above or below."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a table is set.

    Attributes:
        rules: Which lines are drawn.
        thickness_px: Of the lines.
        grey: Ink of the lines.
        pad_em: Left and right of each cell's text.
        leading_em: Of the text, and so of the rows.
        wide: It takes the whole width.
    """

    rules: Rules
    thickness_px: int
    grey: int
    pad_em: float
    leading_em: float
    wide: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Cells set in type, not yet on a page.

    Attributes:
        cells: Row by row; None for an empty one.
        widths_px: Of the columns, padding included, in the order they are read.
        look: How it is set.
        pen: What it is set in.
    """

    cells: tuple[tuple[Galley | None, ...], ...]
    widths_px: tuple[int, ...]
    look: Look
    pen: Pen

    @property
    def kind(self) -> str:
        """Its label."""
        return "table"

    @property
    def target(self) -> str:
        """As the model families write tables."""
        return write_table([[cell.text if cell else "" for cell in row] for row in self.cells])

    @property
    def row_heights_px(self) -> list[int]:
        """Of each row."""
        pad = self._pad_px
        return [
            round(max((cell.height_px for cell in row if cell), default=self.pen.size_px) + pad)
            for row in self.cells
        ]

    @property
    def height_px(self) -> float:
        """Of the whole table."""
        return sum(self.row_heights_px) + self.look.thickness_px

    @property
    def _pad_px(self) -> float:
        return 0.35 * self.pen.size_px

    def put(self, canvas: Canvas, left: float, top: float) -> Box | None:
        """Put cells and lines on a canvas; the bounds of their ink."""
        xs = self._edges(round(left))
        ys = list(itertools.accumulate(self.row_heights_px, initial=round(top)))
        pad = self.look.pad_em * self.pen.size_px
        boxes: list[Box | None] = []
        for y, row in zip(ys, self.cells, strict=False):
            for x, cell in zip(xs, row, strict=False):
                if cell is not None:
                    boxes.append(cell.put(canvas, min(x) + pad, y + self._pad_px / 2))
        box = bounds_of(boxes)
        sides = sorted({side for x in xs for side in x})
        return bounds_of([box, *self._rule(canvas, sides, ys)]) if box else None

    def _edges(self, left: int) -> list[tuple[int, int]]:
        """Left and right of each column, in the order they are read."""
        widths = self.widths_px[::-1] if self.pen.right_to_left else self.widths_px
        pairs = list(itertools.pairwise(itertools.accumulate(widths, initial=left)))
        return pairs[::-1] if self.pen.right_to_left else pairs

    def _rule(self, canvas: Canvas, xs: Sequence[int], ys: Sequence[int]) -> list[Box]:
        look = self.look
        rows = {"grid": ys, "rows": ys, "head": [ys[0], ys[1], ys[-1]], "none": []}[look.rules]
        columns = xs if look.rules == "grid" else []
        right, bottom = xs[-1] + look.thickness_px, ys[-1] + look.thickness_px
        lines = [(xs[0], y, right, y + look.thickness_px) for y in rows]
        lines += [(x, ys[0], x + look.thickness_px, bottom) for x in columns]
        return [canvas.rule(line, grey=look.grey) for line in lines]


def make_table(source: TextSource, fonts: Fonts, paper: PaperSection, rng: random.Random) -> Sheet | None:
    """One page with a table on it.

    Returns:
        The page; None if no font has the letters or the table does not fit.
    """
    size, margins = rng.randint(*paper.font_px), draw_margins(rng, paper.width_px, paper.height_px)
    rows, numeric = draw_rows(source, rng)
    heading, caption = (draw_title(source, rng) if happens(rng, 0.4) else "" for _ in range(2))
    above, below = ([_draw_text(source, rng) for _ in range(rng.randint(0, most))] for most in (1, 6))
    letters = itertools.chain((heading, caption), above, below, *rows)
    face = fonts.draw(rng, " ".join(letters))
    if face is None:
        return None
    pen, habit = Pen(face, size, source.language), draw_habit(rng)
    width, height = (
        paper.width_px - margins.left - margins.right,
        paper.height_px - margins.top - margins.bottom,
    )
    table = set_table(pen, rows, numeric, (width, round(MOST_OF_PAGE * height)), draw_look(rng))
    if table is None:
        return None
    skip = rng.uniform(0.6, 1.5) * size
    page = Filling(Canvas(paper.width_px, paper.height_px), [margins.left], margins.top, margins.top + height)
    galleys = [("title", set_title(pen, heading, width, rng))]
    galleys += [("text", set_galley(pen, text, width, habit)) for text in above]
    galleys += [
        ("table_caption", set_galley(pen, caption, width, Habit(align=rng.choice(("start", "center")))))
    ]
    _add_all(page, galleys, skip)
    if not page.add_piece(table):
        return None
    page.skip(skip)
    _add_all(page, [("text", set_galley(pen, text, width, habit)) for text in below], skip)
    facts = {"font": face.family, "style": face.style, "size_px": size}
    facts["spacing"] = facts_of(habit) | {"rules": table.look.rules}
    return Sheet(ink=page.canvas.ink, blocks=tuple(page.blocks), em_px=float(size), facts=facts)


def draw_rows(source: TextSource, rng: random.Random) -> tuple[Rows, tuple[bool, ...]]:
    """Texts of all cells, the head first, and which columns hold numbers."""
    num_columns = rng.randint(FEWEST_COLUMNS, MOST_COLUMNS)
    numeric = tuple(happens(rng, 0.15 if column == 0 else 0.65) for column in range(num_columns))
    head = tuple(with_capital(" ".join(source.words(rng, rng.choice((1, 1, 2))))) for _ in numeric)
    body = tuple(
        tuple(_draw_cell(source, is_number, rng) for is_number in numeric) for _ in range(rng.randint(2, 14))
    )
    return (head, *body), numeric


def draw_look(rng: random.Random) -> Look:
    """How a table is set."""
    return Look(
        rules=rng.choice(("grid", "grid", "rows", "head", "head", "none")),
        thickness_px=rng.choice((1, 1, 2, 3)),
        grey=rng.choice((FULL_INK, FULL_INK, rng.randint(110, FULL_INK))),
        pad_em=rng.uniform(0.3, 0.8),
        leading_em=rng.uniform(1.1, 1.5),
        wide=happens(rng, 0.5),
    )


def set_table(
    pen: Pen, rows: Rows, numeric: Sequence[bool], room: tuple[int, int], look: Look
) -> Table | None:
    """Set cells in type small enough for the room; columns and rows that find none are left out.

    Args:
        pen: What to set them in, if it fits.
        rows: Texts of all cells.
        numeric: Which columns hold numbers: set to the end, and never broken.
        room: (width, height) in pixels.
        look: How it is set.

    Returns:
        The table; None if less than two rows and columns fit.
    """
    fitted = _fit(pen, rows, numeric, room[0], look)
    if fitted is None:
        return None
    small, widths = fitted
    cells = tuple(
        tuple(
            _set_cell(small, text, width, is_number, look)
            for text, width, is_number in zip(row, widths, numeric, strict=False)
        )
        for row in rows
    )
    table = Table(cells, widths, look, small)
    while len(table.cells) > FEWEST_ROWS and table.height_px > room[1]:
        table = replace(table, cells=table.cells[:-1])
    return table if table.height_px <= room[1] else None


def write_table(rows: Sequence[Sequence[str]]) -> str:
    """A table as the model families write it: rows and cells without attributes or space, text escaped for HTML."""
    lines = ["".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _add_all(page: Filling, galleys: Sequence[tuple[str, Galley | None]], skip_px: float) -> None:
    for kind, galley in galleys:
        if galley is not None:
            page.add_lines(kind, galley)
            page.skip(skip_px)


def _draw_text(source: TextSource, rng: random.Random) -> str:
    return source.paragraph(rng, rng.randint(60, MOST_LETTERS)).text


def _draw_cell(source: TextSource, is_number: bool, rng: random.Random) -> str:
    if happens(rng, 0.04):
        return ""
    if is_number:
        return source.number(rng)
    return with_capital(" ".join(source.words(rng, rng.choice((1, 1, 2, 3, 4)))))


def _fit(
    pen: Pen, rows: Rows, numeric: Sequence[bool], width_px: int, look: Look
) -> tuple[Pen, tuple[int, ...]] | None:
    """The pen and the widths of as many columns as fit with it."""
    for num_columns in range(len(rows[0]), FEWEST_COLUMNS - 1, -1):
        small = pen
        while small.size_px >= min(SMALLEST_PX, pen.size_px):
            widths = _widths(small, [row[:num_columns] for row in rows], numeric, width_px, look)
            if widths is not None:
                return small, widths
            small = small.resized(SHRINK * small.size_px)
    return None


def _widths(
    pen: Pen, rows: Rows | Sequence[tuple[str, ...]], numeric: Sequence[bool], width_px: int, look: Look
) -> tuple[int, ...] | None:
    """Widths of columns; texts are broken where there is no room for them on one line. None where they do not fit."""
    pad = 2 * look.pad_em * pen.size_px
    least, natural = [], []
    for column, is_number in zip(zip(*rows, strict=True), numeric, strict=False):
        words = [words_of(text, right_to_left=pen.right_to_left) for text in column]
        natural.append(max(width_of(pen, line) for line in words if line) + pad)
        widest = max(width_of(pen, [word]) for line in words for word in line) + pad
        least.append(natural[-1] if is_number else widest)
    if sum(least) + len(least) > width_px:
        return None
    spare = width_px - sum(least) - len(least)
    share = min(1.0, spare / max(1.0, sum(natural) - sum(least)))
    widths = [math.ceil(low + share * (high - low)) for low, high in zip(least, natural, strict=True)]
    scale = (width_px - 1) / sum(widths) if look.wide else 1.0
    return tuple(int(width * max(scale, 1.0)) for width in widths)


def _set_cell(pen: Pen, text: str, width_px: int, is_number: bool, look: Look) -> Galley | None:
    align: Align = "end" if is_number and not pen.right_to_left else "start"
    room = width_px - 2 * look.pad_em * pen.size_px
    return set_galley(pen, text, math.ceil(room), Habit(align=align, leading_em=look.leading_em))
