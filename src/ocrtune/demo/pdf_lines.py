"""The lines of a PDF's page → those that the demo learns from, and their pictures."""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise

import numpy as np
from PIL import Image

from ocrtune.sources.pdf.lines import Line

FEWEST_LETTERS = 3
MARGIN_ABOVE = 0.15
MARGIN_BESIDE = 0.3
"""White around a line's ink, as a share of the type's size, where nothing else stands there."""

FAINTEST = 40
"""Ink and paper of a line differ by so many grey values at least."""


class Skip(StrEnum):
    """Why a line is left out."""

    TURNED = "turned"
    UNREADABLE = "signs of which the PDF does not tell the letter"
    LEFTWARDS = "written from right to left"
    WORDLESS = "no letters"
    SHORT = f"fewer than {FEWEST_LETTERS} letters"
    FOREIGN = "most letters are of another script"
    BLANK = "no ink where the letters should be"


def part_lines(lines: Sequence[Line], longest: int | None) -> list[Line]:
    """The lines, those of more than `longest` letters parted between words into parts of about the same length."""
    if longest is None:
        return list(lines)
    return [part for line in lines for part in _part(line, longest)]


def why_skipped(line: Line, script: str) -> Skip | None:
    """Why a line's text is not learned; None if it is.

    Args:
        line: The line.
        script: What Unicode's names of at least half of its letters begin with, such as `CYRILLIC`.
    """
    if any(glyph.text is None for glyph in line.glyphs):
        return Skip.UNREADABLE
    text = line.text
    if any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text):
        return Skip.LEFTWARDS
    letters = [letter for letter in text if letter.isalpha()]
    if not letters:
        return Skip.WORDLESS
    if len(letters) < FEWEST_LETTERS:
        return Skip.SHORT
    own = sum(unicodedata.name(letter, "").startswith(script) for letter in letters)
    return Skip.FOREIGN if 2 * own < len(letters) else None


def cut_line(page: Image.Image, line: Line, lines: Sequence[Line]) -> Image.Image | None:
    """The line's picture with a small margin; None if there is no ink.

    Args:
        page: The rendered page, grey.
        line: One of `lines`.
        lines: All lines of the page: the margin ends where another one's ink begins.
    """
    left, top, right, bottom = _with_margins(line, [other for other in lines if other is not line])
    box = (
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), page.width),
        min(math.ceil(bottom), page.height),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    picture = page.crop(box)
    values = np.asarray(picture)
    return picture if int(values.max()) - int(values.min()) >= FAINTEST else None


def _part(line: Line, longest: int) -> Iterator[Line]:
    """The line's parts of at most about `longest` letters, parted where the words allow it best."""
    ends = [0]
    for word in line.words:
        ends.append(ends[-1] + len(word) + 1)
    wanted = math.ceil((ends[-1] - 1) / longest)
    best = [ends[-1] * part / wanted for part in range(1, wanted)]
    cuts = {min(range(len(ends)), key=lambda cut: abs(ends[cut] - end)) for end in best}
    for first, last in pairwise(sorted({0, len(line.words)} | cuts)):
        yield Line(line.words[first:last])


def _with_margins(line: Line, others: Sequence[Line]) -> tuple[float, float, float, float]:
    """The line's box with as much white as others leave, which is half of what is between."""
    left, top, right, bottom = line.box
    above = below = line.size * MARGIN_ABOVE
    before = after = line.size * MARGIN_BESIDE
    for other in others:
        a, b, c, d = other.box
        if a < right and c > left:
            above = min(above, (top - d) / 2) if b < top else above
            below = min(below, (b - bottom) / 2) if d > bottom else below
        elif b < bottom and d > top:
            before = min(before, (left - c) / 2) if c <= left else before
            after = min(after, (a - right) / 2) if a >= right else after
    return left - max(before, 0), top - max(above, 0), right + max(after, 0), bottom + max(below, 0)
