"""What the writers of PAGE XML, ALTO and hOCR share: a sheet, whole pixels, ids, and letters that XML can hold."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from ocrtune.records import Finding
from ocrtune.sources.transcripts.layout import FEWEST_CORNERS, NOWHERE, Line, Points, Region, rectangle
from ocrtune.transcription.answers import part_evenly

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_ID_LETTER = re.compile(r"[^\w.-]|[^\x00-\x7f]")

Corners = list[tuple[int, int]]
"""(x, y) in whole pixels of the upright image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page that is to be written.

    Attributes:
        name: What it is called in its source; its file is named after it.
        image: The file name of its image.
        size: (width, height) of the upright image in pixels.
        regions: In reading order, in pixels.
        frame: Which frame of its image it is, from 1; None where the image has one alone.
    """

    name: str
    image: str
    size: tuple[int, int]
    regions: tuple[Region, ...]
    frame: int | None = None


@dataclass(slots=True)
class Writer:
    """Ids that are taken and findings so far, while one file is written.

    Attributes:
        sheet: What is written.
        findings: What could not be written as it is.
    """

    sheet: Sheet
    findings: list[Finding] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def identify(self, wanted: str) -> str:
        """An id as XML allows it, that nothing else in the file has."""
        name = _NO_ID_LETTER.sub("_", wanted)
        if not name or not (name[0].isalpha() or name[0] == "_"):
            name = f"_{name}"
        unique = name
        number = 1
        while unique in self._ids:
            number += 1
            unique = f"{name}_{number}"
        self._ids.add(unique)
        return unique

    def write(self, text: str) -> str:
        """A text without the signs that no XML can hold."""
        written, count = writable(text)
        if count:
            self.findings.append(unwritable(count, self.sheet.name))
        return written

    def corners(self, points: Points, *, fewest: int = FEWEST_CORNERS) -> Corners:
        """Points in whole pixels of the page; bounds of a pixel at least where too few of them are left."""
        rounded = _whole(points, self.sheet.size)
        if len(set(rounded)) >= fewest:
            return rounded
        left, top, right, bottom = self.box(points)
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    def box(self, points: Points) -> tuple[int, int, int, int]:
        """Left, top, right and bottom around points in whole pixels; at least one pixel wide and high."""
        rounded = np.array(_whole(points, self.sheet.size))
        (left, top), (right, bottom) = rounded.min(axis=0).tolist(), rounded.max(axis=0).tolist()
        width, height = self.sheet.size
        left, top = min(left, width - 1), min(top, height - 1)
        return left, top, max(right, left + 1), max(bottom, top + 1)

    def outline(self, region: Region) -> Points:
        """A region's polygon, else the bounds of its lines, else the whole page."""
        if len(region.polygon):
            return region.polygon
        bounds = around([line.polygon for line in region.lines])
        return bounds if len(bounds) else rectangle(0, 0, *self.sheet.size)

    def placed(self, region: Region) -> Region:
        """A region whose lines all have places; those without get the box around them, and a finding."""
        lines = region.lines
        if region.text is not None and not any(line.text for line in lines):
            found = part_evenly(region.text, self.outline(region), f"{region.id}_")
            lines = tuple(replace(line, turn_deg=region.turn_deg) for line in found)
            if lines:
                self._tell_unknown(len(lines))
        missing = sum(not len(line.polygon) for line in lines)
        if missing:
            self._tell_unknown(missing)
            bounds = self.outline(region)
            lines = tuple(
                line if len(line.polygon) else replace(line, polygon=bounds, is_estimated=True)
                for line in lines
            )
        return replace(region, lines=lines)

    def _tell_unknown(self, count: int) -> None:
        self.findings.append(
            Finding(
                code="geometry-unknown",
                severity="note",
                message="nobody knows where lines stand; the format needs a place and gets that of their region",
                where=self.sheet.name,
                count=count,
            )
        )


def writable(text: str) -> tuple[str, int]:
    """A text with U+FFFD for each sign that no XML can hold, and how many there were."""
    return _UNWRITABLE.subn(REPLACEMENT, text)


def unwritable(count: int, where: str) -> Finding:
    """The finding about signs that no XML can hold."""
    return Finding(
        code="character-unwritable",
        severity="warning",
        message="control characters, which XML cannot hold, are replaced by U+FFFD",
        where=where,
        count=count,
    )


def around(polygons: Sequence[Points]) -> Points:
    """The box around polygons; nowhere where none of them is known."""
    known = [polygon for polygon in polygons if len(polygon)]
    if not known:
        return NOWHERE
    corners = np.concatenate(known)
    return rectangle(*corners.min(axis=0), *corners.max(axis=0))


def lines_of_cells(region: Region) -> list[tuple[Line, ...]]:
    """The lines of each cell of a table."""
    ends = np.cumsum([0, *(cell.num_lines for cell in region.cells)]).tolist()
    return [region.lines[begin:end] for begin, end in pairwise(ends)]


def turn(degrees: float) -> str:
    """An angle above -180 and up to 180 degrees, as the formats have it; empty for none."""
    folded = 180.0 - (180.0 - degrees) % 360.0
    return f"{folded:g}" if folded else ""


def is_box(corners: Corners) -> bool:
    """Whether corners are those of an upright rectangle."""
    xs, ys = ({corner[axis] for corner in corners} for axis in (0, 1))
    return len(xs) == len(ys) == 2 and len(corners) == len(set(corners)) == 4  # noqa: PLR2004 - sides, corners


def join(corners: Corners, between: str = ",") -> str:
    """`x,y x,y …`."""
    return " ".join(f"{x}{between}{y}" for x, y in corners)


Build = Callable[[Writer], str]
"""Writes a sheet as the text of a file."""


def _whole(points: Points, size: tuple[int, int]) -> Corners:
    rounded = np.rint(np.clip(points, 0, size)).astype(int)
    return [(int(x), int(y)) for x, y in rounded]
