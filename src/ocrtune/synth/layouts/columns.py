"""A page of two or three columns: running head, title, text, page number."""

import random
from dataclasses import dataclass

from ocrtune.synth.chance import happens
from ocrtune.synth.config import PaperSection
from ocrtune.synth.drawing import Canvas, Pen, make_block
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.layouts.galley import Align, Habit, fits_between, put_line, set_galley, width_of, words_of
from ocrtune.synth.layouts.page import Filling, Margins, draw_margins
from ocrtune.synth.layouts.paragraph import LETTER_EM, draw_habit, draw_title, facts_of, set_title
from ocrtune.synth.sheet import Block, Sheet
from ocrtune.synth.texts import TextSource

NARROWEST_EM = 11
"""Narrower columns have no room for long words."""

LETTERS_OF_A_PARAGRAPH = (80, 700)
SMALL = 0.8
"""Size of running heads and page numbers, in the size of the text."""

WIDEST_HEAD = 0.7
"""A running head that would take more of the page's width is left out."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be read on a page.

    Attributes:
        head: Running head; may be empty.
        title: Over all columns; may be empty.
        number: Page number; may be empty.
        parts: (kind, text) of what the columns hold.
        number_above: The page number stands in the running head's line.
    """

    head: str
    title: str
    number: str
    parts: tuple[tuple[str, str], ...]
    number_above: bool

    @property
    def letters(self) -> str:
        """All letters that a face must have."""
        return " ".join([self.head, self.title, self.number, *(text for _, text in self.parts)])


def make_columns(source: TextSource, fonts: Fonts, paper: PaperSection, rng: random.Random) -> Sheet | None:
    """One page in columns, filled to its foot or less.

    Returns:
        The page; None if no font has the letters.
    """
    size, margins = rng.randint(*paper.font_px), draw_margins(rng, paper.width_px, paper.height_px)
    room = paper.width_px - margins.left - margins.right
    num_columns = min(rng.choice((2, 2, 3)), max(1, room // (NARROWEST_EM * size)))
    habit = draw_habit(rng)
    letters = (
        room * (paper.height_px - margins.top - margins.bottom) / (LETTER_EM * habit.leading_em * size**2)
    )
    content = draw_content(source, rng, letters * rng.uniform(0.5, 1.1))
    face = fonts.draw(rng, content.letters)
    if face is None:
        return None
    pen, canvas = Pen(face, size, source.language), Canvas(paper.width_px, paper.height_px)
    blocks = _set_page(canvas, pen, content, margins, num_columns, habit=habit, rng=rng)
    facts = {
        "font": face.family,
        "style": face.style,
        "size_px": size,
        "spacing": facts_of(habit) | {"columns": num_columns},
    }
    return Sheet(ink=canvas.ink, blocks=tuple(blocks), em_px=float(size), facts=facts) if blocks else None


def draw_content(source: TextSource, rng: random.Random, letters: float) -> Content:
    """Texts for a page of about so many letters; each of head, title and number is there or not."""
    parts: list[tuple[str, str]] = []
    while letters > 0:
        if parts and parts[-1][0] == "text" and happens(rng, 0.15):
            parts.append(("sub_title", draw_title(source, rng, most=3)))
        text = source.paragraph(rng, rng.randint(*LETTERS_OF_A_PARAGRAPH)).text
        parts.append(("text", text))
        letters -= len(text) + 1
    return Content(
        head=draw_title(source, rng, most=3) if happens(rng, 0.5) else "",
        title=draw_title(source, rng) if happens(rng, 0.6) else "",
        number=str(rng.randint(1, 999)) if happens(rng, 0.7) else "",
        parts=tuple(parts),
        number_above=happens(rng, 0.3),
    )


def _set_page(
    canvas: Canvas,
    pen: Pen,
    content: Content,
    margins: Margins,
    num_columns: int,
    *,
    habit: Habit,
    rng: random.Random,
) -> list[Block]:
    height, width = canvas.grey.shape
    above, below = _set_edges(canvas, pen, content, margins, rng)
    top, bottom = float(margins.top), height - margins.bottom - 1.5 * pen.size_px
    over = Filling(canvas, [margins.left], top, bottom)
    title = set_title(pen, content.title, width - margins.left - margins.right, rng)
    if title is not None:
        over.add_lines("title", title)
        over.skip(rng.uniform(0.5, 1.5) * pen.size_px)
    if over.full:
        return [*above, *over.blocks, *below]
    gutter = round(rng.uniform(1.0, 2.0) * pen.size_px)
    column = (width - margins.left - margins.right - gutter * (num_columns - 1)) // num_columns
    lefts = [margins.left + number * (column + gutter) for number in range(num_columns)]
    filling = Filling(canvas, lefts[::-1] if pen.right_to_left else lefts, over.y, bottom)
    _fill(filling, pen, content, column, habit=habit, rng=rng)
    if num_columns > 1 and happens(rng, 0.25):
        for left in lefts[1:]:
            x = left - gutter // 2
            canvas.rule((x, round(over.y), x + rng.randint(1, 2), round(bottom)), grey=rng.randint(120, 255))
    return [*above, *over.blocks, *filling.blocks, *below]


def _fill(
    filling: Filling, pen: Pen, content: Content, width_px: int, *, habit: Habit, rng: random.Random
) -> None:
    skip = rng.choice((0.0, 0.5, 1.0)) if habit.indent_em else rng.uniform(0.4, 1.0)
    heading, heading_em = Habit(leading_em=1.25), rng.uniform(1.05, 1.3)
    for kind, text in content.parts:
        if filling.full:
            break
        filling.skip(skip * pen.size_px)
        if kind == "sub_title":
            galley = set_galley(pen.resized(pen.size_px * heading_em), text, width_px, heading)
            keep = 3 * habit.leading_em * pen.size_px
        else:
            galley, keep = set_galley(pen, text, width_px, habit), 0.0
        if galley is not None:
            filling.add_lines(kind, galley, keep_px=keep)


def _set_edges(
    canvas: Canvas, pen: Pen, content: Content, margins: Margins, rng: random.Random
) -> tuple[list[Block], list[Block]]:
    """Running head and page number; the blocks above the text and the ones below."""
    height, width = canvas.grey.shape
    small, sides = pen.resized(SMALL * pen.size_px), (float(margins.left), float(width - margins.right))
    head_baseline, foot_baseline = margins.top - 0.7 * pen.size_px, height - margins.bottom
    above: list[Block] = []
    below: list[Block] = []
    for kind, text, at_top in (
        ("header", content.head, True),
        ("page_number", content.number, content.number_above),
    ):
        words = words_of(text, right_to_left=pen.right_to_left)
        baseline = head_baseline if at_top else foot_baseline
        if not words or width_of(small, words) > WIDEST_HEAD * (sides[1] - sides[0]):
            continue
        if not fits_between(small, words, baseline, (0, height)):
            continue
        align: Align = "end" if at_top and kind == "page_number" else rng.choice(("start", "center"))
        box = put_line(canvas, small, words, sides, baseline, align=align)
        if box is not None:
            (above if at_top else below).append(make_block(kind, text, box))
    if above and happens(rng, 0.4):
        y = round(margins.top - 0.35 * pen.size_px)
        canvas.rule((margins.left, y, width - margins.right, y + rng.randint(1, 2)))
    return above, below
