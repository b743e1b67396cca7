"""Rows of print → the text to learn: as it is printed, or as Markdown."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ocrtune.sources.pdf.lines import LEADERS, Line, part_at_gaps

WIDER_LEADING = 1.3
"""Rows that are so much farther apart than usual are parted by an empty line."""

FARTHEST_LEADING = 3.0
"""Rows that are more sizes of the type apart do not tell the usual distance."""

MOST_UNLIKE_SIZES = 1.12
HEADINGS = ((1.6, "#"), (1.35, "##"), (1.15, "###"))
"""How many times larger than most of the document a heading is printed, and its mark."""

LONGEST_HEADING = 200
FEWEST_LETTERS = 2
INDENT = 0.8
"""A paragraph's first line begins so many sizes of the type more to the right."""

HANGING = 0.3
"""Items of a list begin so many sizes of the type beside their other lines."""

SPARE_ROOM = 2.0
"""A word that would have had so many sizes of the type to spare was put on the next line by will."""

_BULLET = re.compile(r"[•◦▪▫■□●○‣➢✓]\s*\S")
_NUMBER = re.compile(r"(?:[*–—-]|\(?(?:\d{1,3}|\w)[.)])\s+\S")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_PARTED_WORD = re.compile(r"([^\W\d_]+)-$")
_REST_OF_WORD = re.compile(r"[^\W\d_]+")
_OPEN_END = re.compile(r"\w-$|\S://\S*[/.?&=_-]$")
"""A hyphen or the sign of an address after which it may be broken: what follows comes without a space."""


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a column, in pixels.

    Attributes:
        text: What it says.
        box: Left, top, right and bottom of its ink.
        baseline: What it stands on.
        size: The type that most of it has.
        first_word: Width of its first word.
        has_gaps: Parts of it stand apart, as cells of a table do.
    """

    text: str
    box: Box
    baseline: float
    size: float
    first_word: float
    has_gaps: bool


def as_row(line: Line) -> Row:
    """What texts are made of, without the signs, which take much memory."""
    first = line.words[0]
    return Row(
        text=line.text,
        box=line.box,
        baseline=line.baseline,
        size=max(line.usual_size, 0.1),
        first_word=max(glyph.right for glyph in first) - min(glyph.left for glyph in first),
        has_gaps=len(list(part_at_gaps(line))) > 1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual in a document.

    Attributes:
        size: The type that most letters have, in pixels.
        words: Words that stand within a line, in lower case, with their hyphens.
    """

    size: float
    words: frozenset[str]


def find_usual(rows: Iterable[Row]) -> Usual:
    """What is usual in these rows."""
    sizes: Counter[float] = Counter()
    words: set[str] = set()
    for row in rows:
        sizes[round(2 * row.size) / 2] += len(row.text)
        words.update(word.casefold() for word in _WORD.findall(row.text))
    return Usual(size=max(sizes, key=sizes.__getitem__, default=1.0), words=frozenset(words))


def write_plain(columns: Sequence[Sequence[Row]]) -> str:
    """Lines as they are printed; columns, and what stands apart, are parted by an empty line."""
    blocks = (block for column in columns for block in _blocks(column))
    return "\n\n".join("\n".join(row.text for row in block) for block in blocks)


def write_markdown(columns: Sequence[Sequence[Row]], usual: Usual) -> str:
    """Headings by their size, paragraphs in one line each, words that a line's end parts made whole.

    A line's end stays where it was made by will: the next word would have had room. Items of a list begin a line.
    """
    pieces: list[str] = []
    # A heading ends what is before it; else a paragraph may go on at the top of the next column.
    goes_on = False
    for column in columns:
        right = max((row.box[2] for row in column), default=0.0)
        for number, block in enumerate(_blocks(column)):
            mark = _heading(block, usual)
            if mark:
                pieces.append(f"{mark} {_joined([row.text for row in block], usual)}")
                goes_on = False
                continue
            for place, paragraph in enumerate(_paragraphs(block)):
                text = _flow(paragraph, right, usual)
                if goes_on and number == place == 0 and text[:1].islower():
                    pieces[-1] = _joined([pieces[-1], text], usual)
                else:
                    pieces.append(text)
                goes_on = True
    return "\n\n".join(pieces)


def _blocks(column: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows at the usual distance and of about the same size."""
    usual = _usual_leading(column)
    block: list[Row] = []
    for row in column:
        if block and _is_apart(block[-1], row, usual):
            yield block
            block = []
        block.append(row)
    if block:
        yield block


def _usual_leading(column: Sequence[Row]) -> float:
    distances = [
        below.baseline - above.baseline
        for above, below in pairwise(column)
        if 0 < below.baseline - above.baseline < FARTHEST_LEADING * below.size
    ]
    return median(distances) if distances else 0.0


def _is_apart(above: Row, below: Row, usual: float) -> bool:
    smaller, larger = sorted((above.size, below.size))
    distance = below.baseline - above.baseline
    is_like = larger / smaller <= MOST_UNLIKE_SIZES
    # Large type needs more room than is usual without being apart.
    return not is_like or distance > WIDER_LEADING * max(usual, below.size)


def _heading(block: Sequence[Row], usual: Usual) -> str:
    """The mark of a heading; empty for what is none."""
    text = " ".join(row.text for row in block)
    if len(text) > LONGEST_HEADING or sum(letter.isalpha() for letter in text) < FEWEST_LETTERS:
        return ""
    ratio = median(row.size for row in block) / usual.size
    return next((mark for least, mark in HEADINGS if ratio >= least), "")


def _paragraphs(block: Sequence[Row]) -> Iterator[list[Row]]:
    """Parts of a block that begin with an indented line."""
    paragraph: list[Row] = []
    for index, row in enumerate(block):
        following = block[index + 1] if index + 1 < len(block) else None
        if paragraph and _begins_paragraph(paragraph[-1], row, following):
            yield paragraph
            paragraph = []
        paragraph.append(row)
    if paragraph:
        yield paragraph


def _begins_paragraph(above: Row, row: Row, below: Row | None) -> bool:
    if any(kind.match(text) for kind in (_BULLET, _NUMBER) for text in (above.text, row.text)):
        return False
    indent = INDENT * row.size
    returns = below is None or below.box[0] < row.box[0] - indent / 2
    return row.box[0] > above.box[0] + indent and returns


def _flow(rows: Sequence[Row], right: float, usual: Usual) -> str:
    """The rows' text, line breaks only where they were made by will."""
    lines = [[rows[0].text]]
    for above, row in pairwise(rows):
        if _begins_item(above, row) or _is_broken_by_will(above, row, right):
            lines.append([row.text])
        else:
            lines[-1].append(row.text)
    return "\n".join(_joined(line, usual) for line in lines)


def _begins_item(above: Row, row: Row) -> bool:
    """Whether an item of a list begins; a number or dash may also stand where a sentence happens to be broken."""
    if _BULLET.match(row.text):
        return True
    hangs = abs(above.box[0] - row.box[0]) > HANGING * row.size
    return hangs and _NUMBER.match(row.text) is not None


def _is_broken_by_will(above: Row, row: Row, right: float) -> bool:
    if above.has_gaps or row.has_gaps or LEADERS.search(above.text):
        return True
    return above.box[2] + row.first_word + SPARE_ROOM * row.size < right


def _joined(lines: Sequence[str], usual: Usual) -> str:
    """The lines as one; a hyphen goes that only parts a word."""
    text = lines[0]
    for line in lines[1:]:
        parted, rest = _PARTED_WORD.search(text), _REST_OF_WORD.match(line)
        is_parted = parted and rest and rest[0][0].islower() and not _keeps_hyphen(parted[1], rest[0], usual)
        if is_parted:
            text = text[:-1] + line
        elif _OPEN_END.search(text):
            text += line
        else:
            text = f"{text} {line}"
    return text


def _keeps_hyphen(start: str, rest: str, usual: Usual) -> bool:
    """Whether the document writes the word with a hyphen elsewhere, and never without."""
    whole = (start + rest).casefold()
    return f"{start}-{rest}".casefold() in usual.words and whole not in usual.words
