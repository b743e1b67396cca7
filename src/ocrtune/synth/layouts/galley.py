"""Words broken into lines, in whichever direction they run.

Which words change places follows the rules of Unicode's bidirectional algorithm as far as they go beyond one word:
a run of words against the line's direction is shaped as one piece, and a number behind an Arabic letter is spelt as
one; within a piece the shaping itself follows them.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ocrtune.synth.drawing import Box, Canvas, Glyph, Pen, bounds_of

Align = Literal["start", "end", "center", "justify"]
"""`start` is left, or right where lines run from right to left; `justify` is `start` in the last line."""

Way = Literal["along", "against", "number", "neutral"]

ARABIC_LETTER_MARK = "\u061c"
"""No ink and no width; makes what follows stand as behind an Arabic letter."""

LOOSEST_SPACE = 8.0
"""A line whose spaces would get wider than this many spaces is not justified."""

ASCENT_EM, DESCENT_EM = 0.8, 0.25

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a paragraph.

    Attributes:
        text: What is to be read.
        drawn: What is shaped.
        way: How it runs, compared to the line.
    """

    text: str
    drawn: str
    way: Way = "along"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How lines are set.

    Attributes:
        align: Where slack goes.
        leading_em: From baseline to baseline, in ems; more where marks above and below need it.
        indent_em: Of the first line.
        space: Width of a space, in the face's own spaces.
    """

    align: Align = "start"
    leading_em: float = 1.3
    indent_em: float = 0.0
    space: float = 1.0


@dataclass(frozen=True, slots=True)
class Galley:
    """Type set in lines of a width, not yet on a page.

    Attributes:
        pen: What it is set in.
        lines: Words of each line, in the order they are read.
        habit: How lines are set.
        width_px: Width of the lines.
        above_px: From the highest ink to the baseline.
        below_px: From the baseline to the lowest ink.
        ends: The last line is a paragraph's last.
    """

    pen: Pen
    lines: tuple[tuple[Word, ...], ...]
    habit: Habit
    width_px: int
    above_px: float
    below_px: float
    ends: bool = True

    @property
    def leading_px(self) -> float:
        """From baseline to baseline."""
        return max(self.habit.leading_em * self.pen.size_px, self.above_px + self.below_px + 1)

    @property
    def height_px(self) -> float:
        """Of all lines."""
        return self.leading_px * len(self.lines)

    @property
    def text(self) -> str:
        """What is to be read, as one line."""
        return " ".join(word.text for line in self.lines for word in line)

    def split(self, num_lines: int) -> tuple["Galley", "Galley"]:
        """The first lines, and the others."""
        head = replace(self, lines=self.lines[:num_lines], ends=self.ends and num_lines >= len(self.lines))
        return head, replace(self, lines=self.lines[num_lines:], habit=replace(self.habit, indent_em=0.0))

    def put(self, canvas: Canvas, left: float, top: float) -> Box | None:
        """Put all lines on a canvas, the upper edge of the first at `top`; the bounds of their ink."""
        slack = self.leading_px - self.above_px - self.below_px
        baseline, boxes = top + slack / 2 + self.above_px, []
        for number, line in enumerate(self.lines):
            indent = self.habit.indent_em * self.pen.size_px if number == 0 else 0.0
            start, end = (0.0, indent) if self.pen.right_to_left else (indent, 0.0)
            last = self.ends and number == len(self.lines) - 1
            align = "start" if last and self.habit.align == "justify" else self.habit.align
            sides = (left + start, left + self.width_px - end)
            boxes.append(
                put_line(canvas, self.pen, line, sides, baseline, align=align, space=self.habit.space)
            )
            baseline += self.leading_px
        return bounds_of(boxes)


def set_galley(pen: Pen, text: str, width_px: int, habit: Habit) -> Galley | None:
    """Break `text` into lines; words wider than a line are left out.

    Returns:
        The lines; None where no word fits.
    """
    words = [
        word for word in words_of(text, right_to_left=pen.right_to_left) if _width(pen, word) <= width_px
    ]
    if not words:
        return None
    if habit.indent_em * pen.size_px + _width(pen, words[0]) > width_px:
        habit = replace(habit, indent_em=0.0)
    lines = _break(pen, words, width_px, habit)
    glyphs = [pen.word(word.drawn) for word in words]
    above = max(ASCENT_EM * pen.size_px, *(-glyph.top for glyph in glyphs))
    below = max(DESCENT_EM * pen.size_px, *(glyph.top + glyph.ink.shape[0] for glyph in glyphs))
    return Galley(pen, lines, habit, width_px, above, below)


def words_of(text: str, *, right_to_left: bool) -> tuple[Word, ...]:
    """The words of a paragraph, each with how it runs.

    Args:
        text: With spaces between words.
        right_to_left: The direction of the paragraph.
    """
    if not right_to_left and not _RIGHT_TO_LEFT.search(text):
        return tuple(Word(part, part) for part in text.split())
    words, after_arabic = [], False
    for part in text.split():
        classes = [unicodedata.bidirectional(letter) for letter in part]
        strong = [kind for kind in classes if kind in ("L", "R", "AL")]
        if strong:
            words.append(Word(part, part, "along" if (strong[0] != "L") == right_to_left else "against"))
            after_arabic = strong[-1] == "AL"
            continue
        way: Way = "number" if {"EN", "AN"} & set(classes) else "neutral"
        words.append(Word(part, ARABIC_LETTER_MARK + part if after_arabic else part, way))
    return tuple(words)


def pieces_of(words: Sequence[Word]) -> list[str]:
    """What is shaped as one: a run of words against the line's direction, or else a word."""
    pieces: list[str] = []
    run: list[str] = []
    waiting: list[str] = []
    for word in words:
        if word.way == "against" or (run and word.way == "number"):
            run += [*waiting, word.drawn]
            waiting = []
        elif run and word.way == "neutral":
            # It belongs to the run only if the run goes on behind it.
            waiting.append(word.drawn)
        else:
            pieces += [*_joined(run), *waiting, word.drawn]
            run, waiting = [], []
    return [*pieces, *_joined(run), *waiting]


def put_line(
    canvas: Canvas,
    pen: Pen,
    words: Sequence[Word],
    sides: tuple[float, float],
    baseline: float,
    *,
    align: Align = "start",
    space: float = 1.0,
) -> Box | None:
    """Put words on a line between two columns.

    Args:
        canvas: Where to.
        pen: What to draw in.
        words: In the order they are read.
        sides: Left and right, in pixels.
        baseline: Its row.
        align: Where slack goes.
        space: Width of a space, in the face's own.

    Returns:
        The bounds of the ink; None without any.
    """
    glyphs = [pen.word(piece) for piece in pieces_of(words)]
    gap = pen.space_px * space
    slack = sides[1] - sides[0] - sum(glyph.advance for glyph in glyphs) - gap * (len(glyphs) - 1)
    if align == "justify" and len(glyphs) > 1 and slack / (len(glyphs) - 1) + gap < LOOSEST_SPACE * gap:
        gap, slack = gap + slack / (len(glyphs) - 1), 0.0
    shares = {"center": 0.5, "end": 1.0}
    share = shares.get(align, 0.0)
    x = sides[0] + slack * (1 - share if pen.right_to_left else share)
    return bounds_of(_put_glyphs(canvas, glyphs[::-1] if pen.right_to_left else glyphs, x, baseline, gap))


def width_of(pen: Pen, words: Sequence[Word], space: float = 1.0) -> float:
    """Pixels that words take on one line."""
    pieces = pieces_of(words)
    return sum(pen.word(piece).advance for piece in pieces) + pen.space_px * space * (len(pieces) - 1)


def fits_between(pen: Pen, words: Sequence[Word], baseline: float, rows: tuple[float, float]) -> bool:
    """Whether the ink of words on a baseline stays between two rows."""
    glyphs = [pen.word(piece) for piece in pieces_of(words)]
    above = min(glyph.top for glyph in glyphs)
    below = max(glyph.top + glyph.ink.shape[0] for glyph in glyphs)
    return rows[0] <= round(baseline) + above and round(baseline) + below <= rows[1]


def _put_glyphs(
    canvas: Canvas, glyphs: Sequence[Glyph], x: float, baseline: float, gap: float
) -> list[Box | None]:
    boxes = []
    for glyph in glyphs:
        boxes.append(canvas.put(glyph, x, baseline))
        x += glyph.advance + gap
    return boxes


def _break(pen: Pen, words: Sequence[Word], width_px: int, habit: Habit) -> tuple[tuple[Word, ...], ...]:
    space = pen.space_px * habit.space
    lines: list[list[Word]] = [[]]
    taken = habit.indent_em * pen.size_px
    for word in words:
        width = _width(pen, word)
        if lines[-1] and taken + width > width_px:
            lines.append([])
            taken = 0.0
        lines[-1].append(word)
        taken += width + space
    return tuple(tuple(line) for line in lines)


def _width(pen: Pen, word: Word) -> float:
    return pen.word(word.drawn).advance


def _joined(run: Sequence[str]) -> list[str]:
    return [" ".join(run)] if run else []
