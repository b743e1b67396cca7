"""The signs of a PDF's page → its lines of print: what each says, and its picture cut from the page."""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from PIL import Image

from ocrtune.demo.pdf_pages import SOFT_HYPHEN, Glyph

WORD_GAP = 0.15
"""A gap of more than this share of the type's size parts words; letters are closer."""

COLUMN_GAP = 2.0
"""A gap of more than so many sizes of the type parts columns, or a page number from what stands beside it."""

MOST_TURNED = 2.0
"""Degrees a line may be turned and still be upright."""

FEWEST_LETTERS = 3
MARGIN_ABOVE = 0.15
MARGIN_BESIDE = 0.3
"""White around a line's ink, as a share of the type's size, where nothing else stands there."""

FAINTEST = 40
"""Ink and paper of a line differ by so many grey values at least."""

_SAME_ROW = (-0.25, 0.75)
_MOST_UNLIKE_SIZES = 1.8

Word = tuple[Glyph, ...]


class Skip(StrEnum):
    """Why a line is left out."""

    TURNED = "turned"
    UNREADABLE = "signs of which the PDF does not tell the letter"
    LEFTWARDS = "written from right to left"
    WORDLESS = "no letters"
    SHORT = f"fewer than {FEWEST_LETTERS} letters"
    FOREIGN = "most letters are of another script"
    BLANK = "no ink where the letters should be"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of print, or a part of one.

    Attributes:
        words: Its words from left to right, each of the signs of its letters.
    """

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """What it says, in NFC; a soft hyphen at its end, where print shows it, is a hyphen."""
        text = " ".join("".join(glyph.text or "" for glyph in word) for word in self.words)
        if text.endswith(SOFT_HYPHEN):
            text = text.rstrip(SOFT_HYPHEN) + "-"
        return unicodedata.normalize("NFC", text.replace(SOFT_HYPHEN, ""))

    @property
    def glyphs(self) -> tuple[Glyph, ...]:
        """The signs of all words."""
        return tuple(glyph for word in self.words for glyph in word)

    @property
    def size(self) -> float:
        """The largest type of the line, in pixels."""
        return max(glyph.size for glyph in self.glyphs)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of its ink."""
        glyphs = self.glyphs
        return (
            min(glyph.left for glyph in glyphs),
            min(glyph.top for glyph in glyphs),
            max(glyph.right for glyph in glyphs),
            max(glyph.bottom for glyph in glyphs),
        )


def find_lines(glyphs: Sequence[Glyph], *, longest: int | None = None) -> list[Line]:
    """The upright lines of a page from top to bottom, columns apart.

    Args:
        glyphs: The page's signs.
        longest: Lines of more letters are parted between words, into parts of about the same length.
    """
    upright = [glyph for glyph in glyphs if not _is_turned(glyph)]
    lines = [line for row in _rows(upright) for line in _lines_of(row)]
    if longest is not None:
        lines = [part for line in lines for part in _part(line, longest)]
    return lines


def count_turned(glyphs: Sequence[Glyph]) -> int:
    """The page's lines that do not run from left to right."""
    turned = (glyph for glyph in glyphs if _is_turned(glyph) and glyph.text != " ")
    return len({(round(glyph.turn), round(glyph.baseline / max(glyph.size, 1.0))) for glyph in turned})


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


def _is_turned(glyph: Glyph) -> bool:
    return abs(glyph.turn) > MOST_TURNED


def _rows(glyphs: Sequence[Glyph]) -> list[list[Glyph]]:
    """Signs that stand on a line together, from top to bottom.

    Signs of one baseline and size are taken together first. The largest of these groups found rows, so that a raised or
    lowered sign joins the row around it.
    """
    groups: dict[tuple[int, int], list[Glyph]] = defaultdict(list)
    for glyph in glyphs:
        groups[round(glyph.baseline), round(glyph.size)].append(glyph)
    rows: list[list[Glyph]] = []
    for group in sorted(groups.values(), key=len, reverse=True):
        home = next((row for row in rows if _stands_in(group[0], row[0])), None)
        if home is None:
            rows.append(group)
        else:
            home.extend(group)
    return sorted(rows, key=lambda row: row[0].baseline)


def _stands_in(glyph: Glyph, founder: Glyph) -> bool:
    """Its middle lies in the height of the founder's type; a large initial stands in several rows and in none."""
    small, large = sorted((max(glyph.size, 0.1), max(founder.size, 0.1)))
    if large / small > _MOST_UNLIKE_SIZES:
        return False
    above = (founder.baseline - (glyph.baseline - glyph.size / 4)) / max(founder.size, 0.1)
    return _SAME_ROW[0] <= above <= _SAME_ROW[1]


def _lines_of(row: Sequence[Glyph]) -> Iterator[Line]:
    """The lines of a row, one for each column, words parted by spaces and by gaps."""
    words: list[Word] = []
    word: list[Glyph] = []
    spaced = False
    end = -math.inf
    # Signs that stand in one place, such as a letter and its accent, keep their order.
    for glyph in sorted(row, key=lambda glyph: glyph.start):
        if glyph.text == " ":
            spaced = True
            continue
        gap = (glyph.start - end) / max(glyph.size, 0.1)
        if word and (spaced or gap > WORD_GAP):
            words.append(tuple(word))
            word = []
        if words and gap > COLUMN_GAP:
            yield Line(tuple(words))
            words = []
        word.append(glyph)
        spaced = False
        end = max(end, glyph.end)
    if word:
        yield Line((*words, tuple(word)))


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
