"""The signs of a PDF's page → its lines of print: what each says, and where."""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ocrtune.sources.pdf.document import SOFT_HYPHEN, Glyph

WORD_GAP = 0.15
"""A gap of more than this share of the type's size parts words; letters are closer."""

COLUMN_GAP = 2.0
"""A gap of more than so many sizes of the type parts columns, or a page number from what stands beside it."""

MOST_TURNED = 2.0
"""Degrees a line may be turned and still be upright."""

LEADERS = re.compile(r"(?:\.\s*){5,}|…{2,}")
"""The dots that lead from a heading to its page number in a table of contents."""

_SAME_ROW = (-0.25, 0.75)
_MOST_UNLIKE_SIZES = 1.8

Word = tuple[Glyph, ...]


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

    @property
    def baseline(self) -> float:
        """What most of its signs stand on."""
        return median(glyph.baseline for glyph in self.glyphs)

    @property
    def usual_size(self) -> float:
        """The type that most of its signs have, in pixels."""
        return median(glyph.size for glyph in self.glyphs)


def find_lines(glyphs: Sequence[Glyph]) -> list[Line]:
    """The upright lines of a page from top to bottom, columns apart."""
    return [line for row in find_rows(glyphs) for line in part_at_gaps(row)]


def find_rows(glyphs: Sequence[Glyph]) -> list[Line]:
    """What stands on a line together from side to side of the page, whether it belongs together or not."""
    upright = [glyph for glyph in glyphs if not is_turned(glyph)]
    words = (tuple(_words_of(row)) for row in _rows(upright))
    return [Line(row) for row in words if row]


def part_at_gaps(row: Line) -> Iterator[Line]:
    """The row's parts that stand apart by more than `COLUMN_GAP`."""
    words: list[Word] = []
    end = -math.inf
    for word in row.words:
        if words and (word[0].start - end) / max(word[0].size, 0.1) > COLUMN_GAP:
            yield Line(tuple(words))
            words = []
        words.append(word)
        end = max(end, *(glyph.end for glyph in word))
    yield Line(tuple(words))


def count_turned(glyphs: Sequence[Glyph]) -> int:
    """The page's lines that do not run from left to right."""
    turned = (glyph for glyph in glyphs if is_turned(glyph) and glyph.text != " ")
    return len({(round(glyph.turn), round(glyph.baseline / max(glyph.size, 1.0))) for glyph in turned})


def is_turned(glyph: Glyph) -> bool:
    """Whether it does not run from left to right."""
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


def _words_of(row: Sequence[Glyph]) -> Iterator[Word]:
    """The words of a row, parted by spaces and by gaps."""
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
            yield tuple(word)
            word = []
        word.append(glyph)
        spaced = False
        end = max(end, glyph.end)
    if word:
        yield tuple(word)
