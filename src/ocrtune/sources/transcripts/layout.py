"""What a transcription says of a page: Line → Region → Layout, with what was odd about it."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ocrtune.records import Finding, Severity

Points = NDArray[np.float64]
"""(N, 2): x and y from the left upper corner, in the unit of the layout; (0, 2) where they are not known."""

Format = Literal["page", "alto", "hocr"]
Unit = Literal["pixel", "mm10", "inch1200"]

NOWHERE: Points = np.empty((0, 2))
"""The polygon of what has no coordinates."""

FEWEST_CORNERS = 3

_SOFT_HYPHEN = "\N{SOFT HYPHEN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of writing.

    Attributes:
        id: As in the file, or made up where it has none.
        text: What is written there, or None where nobody transcribed it.
        polygon: (N, 2) around it; (0, 2) where it is not known.
        baseline: (N, 2) what its letters stand on, or None.
        confidence: 0 to 1 as the file says, or None.
        element: What it was read from, so that the file can be written again with another text.
        is_estimated: Nobody drew the polygon: it is a share of a larger box.
        turn_deg: Clockwise, what the file says that makes its letters upright; 0 where it says nothing.
    """

    id: str
    text: str | None
    polygon: Points
    baseline: Points | None = None
    confidence: float | None = None
    element: Any = field(default=None, compare=False, repr=False)
    is_estimated: bool = False
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        row: From 0.
        column: From 0.
        row_span: How many rows it takes.
        column_span: How many columns it takes.
        text: Its lines with a space between them.
        num_lines: So many of the region's lines are its, after those of the cells before it.
    """

    row: int
    column: int
    row_span: int = 1
    column_span: int = 1
    text: str = ""
    num_lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a page that is read in one piece.

    Attributes:
        id: As in the file, or made up where it has none.
        kind: `paragraph`, `heading`, `table`, `figure`, `header`, `footer`, `page-number`, `caption`,
            `marginalia`, `footnote`, `formula` or what the file calls it.
        polygon: (N, 2) around it; (0, 2) where it is not known.
        lines: In reading order; a table's are those of its cells, row by row.
        text: Its text where the file has it for the region alone and not by lines, else None.
        cells: Of a table, row by row; empty where the file tells no rows and columns.
        element: What it was read from.
        turn_deg: As of a line.
    """

    id: str
    kind: str
    polygon: Points
    lines: tuple[Line, ...] = ()
    text: str | None = None
    cells: tuple[Cell, ...] = ()
    element: Any = field(default=None, compare=False, repr=False)
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One page of a transcription.

    Attributes:
        image: The image as the file names it; empty where it names none.
        size: (width, height) of the page in `unit`, or None.
        regions: In reading order.
        format: `page`, `alto` or `hocr`.
        version: Of the format, as its namespace says; empty where nothing says it.
        unit: What coordinates are measured in.
        id: The page's id in the file, for files of several pages.
        findings: What was odd.
        frame: The number of the page in its image, as the file counts; None where it tells none.
    """

    image: str
    size: tuple[float, float] | None
    regions: tuple[Region, ...]
    format: Format
    version: str = ""
    unit: Unit = "pixel"
    id: str = ""
    findings: tuple[Finding, ...] = ()
    frame: int | None = None

    def lines(self) -> Iterator[Line]:
        """All lines in reading order."""
        for region in self.regions:
            yield from region.lines


@dataclass(slots=True)
class Notes:
    """Findings about one file, as they come.

    Attributes:
        file: The file.
        findings: So far.
    """

    file: Path
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, severity: Severity, message: str, *, at: str = "", hint: str = "") -> None:
        """Note a finding about the element with id `at`, or about the whole file."""
        where = f"{self.file}#{at}" if at else str(self.file)
        self.findings.append(Finding(code=code, severity=severity, message=message, where=where, hint=hint))


def check_lines(regions: tuple[Region, ...], notes: Notes) -> None:
    """Note what is missing in lines and regions: text, coordinates, ids of their own."""
    seen: set[str] = set()
    for region in regions:
        _check_id(region.id, seen, notes)
        for line in region.lines:
            _check_id(line.id, seen, notes)
            if not line.text and region.text is None:
                notes.add(
                    "line-empty", "warning", "the line has no text and is left out", at=line.id,
                    hint="transcribe it, or delete it if nothing is written there",
                )  # fmt: skip
            if len(line.polygon) < FEWEST_CORNERS:
                notes.add(
                    "line-without-coordinates", "warning", "the line has no coordinates and cannot be cut out",
                    at=line.id,
                )  # fmt: skip


def note_unplaced(count: int, notes: Notes) -> None:
    """Note lines of the file that are in no region, so that they are not left out in silence."""
    if count:
        notes.add(
            "lines-unplaced", "warning", f"lines that stand where the format has none are left out: {count}",
            hint="put them into a block or region, as the schema has it",
        )  # fmt: skip


def _check_id(identifier: str, seen: set[str], notes: Notes) -> None:
    if identifier in seen:
        notes.add("id-repeated", "warning", "several elements have the same id", at=identifier)
    seen.add(identifier)


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """The four corners of a box."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def one_line(text: str | None) -> str | None:
    """A text without line breaks and outer spaces, its hyphens as printed; None where nothing is left."""
    if text is None:
        return None
    joined = " ".join(part for line in text.splitlines() if (part := line.strip()))
    # Print shows a soft hyphen at a line's end alone.
    if joined.endswith(_SOFT_HYPHEN):
        joined = f"{joined.rstrip(_SOFT_HYPHEN)}-"
    return joined.replace(_SOFT_HYPHEN, "") or None


def join_words(words: Iterable[str]) -> str:
    """Words with a space between them, but none between Chinese or Japanese ones, which programs part all the same."""
    listed = [tidy for word in words if (tidy := " ".join(word.split()))]
    parts = listed[:1]
    for before, word in pairwise(listed):
        parts += ["" if _writes_no_spaces(before[-1]) and _writes_no_spaces(word[0]) else " ", word]
    return "".join(parts)


def _writes_no_spaces(letter: str) -> bool:
    is_wide = unicodedata.east_asian_width(letter) in {"W", "F"}
    return is_wide and not unicodedata.name(letter, "").startswith("HANGUL")


_KINDS = {
    "": "paragraph",
    "text": "paragraph",
    "paragraph": "paragraph",
    "main": "paragraph",
    "mainzone": "paragraph",
    "heading": "heading",
    "headline": "heading",
    "header-heading": "heading",
    "title": "heading",
    "titlepagezone": "heading",
    "subtitle": "heading",
    "chapter": "heading",
    "table": "table",
    "tablezone": "table",
    "figure": "figure",
    "image": "figure",
    "illustration": "figure",
    "graphic": "figure",
    "graphiczone": "figure",
    "photo": "figure",
    "linedrawing": "figure",
    "chart": "figure",
    "map": "figure",
    "musiczone": "figure",
    "header": "header",
    "runningtitlezone": "header",
    "footer": "footer",
    "page-number": "page-number",
    "pagenumber": "page-number",
    "numberingzone": "page-number",
    "caption": "caption",
    "marginalia": "marginalia",
    "marginal": "marginalia",
    "margintextzone": "marginalia",
    "footnote": "footnote",
    "footnote-continued": "footnote",
    "endnote": "footnote",
    "maths": "formula",
    "equation": "formula",
    "formula": "formula",
}


def kind_named(label: str) -> str:
    """The kind that a label of some program stands for; an unknown label stands for itself, in lower case."""
    # SegmOnto writes subtypes behind a colon, as in MarginTextZone:note, and numbers behind #.
    name = label.strip().casefold().partition("#")[0].partition(":")[0].replace("_", "-").replace(" ", "-")
    return _KINDS.get(name, name)
