"""A layout in pixels → pages for the model: whole, by regions or by lines."""

import html
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from ocrtune.errors import ImageError
from ocrtune.families.grounding import box_of, ground
from ocrtune.records import Corners, Cut, Finding, Page, Part, Severity
from ocrtune.sources.cutting import Frame, frame_of
from ocrtune.sources.transcripts.fitting import ImageFacts
from ocrtune.sources.transcripts.layout import (
    FEWEST_CORNERS,
    NOWHERE,
    Cell,
    Layout,
    Line,
    Points,
    Region,
    rectangle,
)
from ocrtune.sources.transcripts.names import UniqueNames
from ocrtune.sources.transcripts.options import Options

_LABELS = {
    "heading": "title",
    "table": "table",
    "figure": "image",
    "caption": "image_caption",
    "footnote": "footnote",
    "header": "header",
    "footer": "footer",
    "page-number": "page_number",
    "formula": "equation",
}
"""Kind → label of a box; any other is `text`."""

_WITHOUT_TEXT = frozenset({"figure", "separator", "noise"})
_TURNED_ASPECT_RATIO = 3.0
_FEWEST_LETTERS = 4
"""A line of fewer letters is rarely wider than high by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a layout is from.

    Attributes:
        name: What its page is called in the source.
        document: The document it belongs to.
        where: The file.
        image: Its image.
        file: The file as it is called in the source.
        page: Which page of the file it is, from 0.
    """

    name: str
    document: str
    where: str
    image: ImageFacts
    file: str = ""
    page: int = 0


def make_pages(layout: Layout, origin: Origin, options: Options) -> tuple[list[Page], list[Finding]]:
    """The pages of a layout, and what could not become one.

    Args:
        layout: With coordinates in pixels of the image, where the options need any.
        origin: Where it is from.
        options: How it becomes pages.
    """
    maker = _Maker(origin, options)
    by_level = {"page": maker.whole, "region": maker.by_regions, "line": maker.by_lines}
    pages = list(by_level[options.level](layout))
    if not pages and not maker.findings and not any(region.lines for region in layout.regions):
        maker.note_empty()
    return pages, maker.findings


def needs_coordinates(options: Options) -> bool:
    """Whether pages of these options depend on where things stand."""
    return options.level != "page" or options.target == "grounded"


class _Maker:
    """Makes the pages of one layout and notes what it leaves out."""

    def __init__(self, origin: Origin, options: Options) -> None:
        self.findings: list[Finding] = []
        self._origin = origin
        self._options = options
        self._names = UniqueNames()

    def whole(self, layout: Layout) -> Iterator[Page]:
        regions = [region for region in layout.regions if has_text(region)]
        origin = self._origin
        if not regions and self._keeps_untranscribed:
            yield self._whole_page(None)
            return
        if not regions:
            self.note_empty()
            return
        size = origin.image.size
        if self._options.target != "grounded":
            text = "\n\n".join(self._text(region) for region in regions)
        else:
            unplaced = [region for region in regions if not len(_outline(region))]
            for region in unplaced:
                self._note(
                    "region-without-coordinates", "error", "a region has no coordinates, so its page is left out",
                    at=region.id,
                )  # fmt: skip
            if unplaced:
                return
            text = "\n\n".join(
                self._grounded(region.kind, _outline(region), self._text(region), size) for region in regions
            )
        yield self._whole_page(text)

    def note_empty(self) -> None:
        """Tell that nothing of the page can be read."""
        self._note("page-empty", "warning", "the page has no text and is left out")

    def _whole_page(self, text: str | None) -> Page:
        origin = self._origin
        return Page(
            name=origin.name,
            images=(origin.image.source,),
            text=text,
            document=origin.document,
            where=origin.where,
        )

    def by_regions(self, layout: Layout) -> Iterator[Page]:
        around = {above for region in layout.regions for above in region.element.iterancestors()}
        for place, region in enumerate(layout.regions):
            if not has_text(region) and (region.element in around or not self._keeps(region)):
                continue
            outline = _outline(region)
            if not len(outline):
                self._note(
                    "region-without-coordinates",
                    "error",
                    "the region has no coordinates and is left out",
                    at=region.id,
                )
                continue
            baseline = _longest_baseline(region.lines)
            placed = self._cut(outline, baseline, region.turn_deg, at=region.id)
            if placed is not None:
                text = self._text_of_region(region, placed[1]) if has_text(region) else None
                for line in region.lines:
                    self._note_if_turned(line, region.turn_deg)
                yield self._page(region.id, placed[0], text, self._part(place))

    def by_lines(self, layout: Layout) -> Iterator[Page]:
        for place, region in enumerate(layout.regions):
            if region.text is not None:
                self._note(
                    "text-of-region", "warning", "the text is of the whole region, not of lines, and is left out",
                    at=region.id, hint="level=region keeps it",
                )  # fmt: skip
            for row, line in enumerate(region.lines):
                is_wanted = bool(line.text) or self._keeps_untranscribed
                if is_wanted and len(line.polygon) >= FEWEST_CORNERS:
                    placed = self._cut(line.polygon, line.baseline, line.turn_deg, at=line.id)
                    if placed is not None:
                        self._note_if_turned(line, line.turn_deg)
                        text = self._text_of_line(region, line, placed[1]) if line.text else None
                        yield self._page(line.id, placed[0], text, self._part(place, row))

    def _part(self, region: int, line: int | None = None) -> Part:
        origin = self._origin
        return Part(file=Path(origin.where), name=origin.file, page=origin.page, region=region, line=line)

    @property
    def _keeps_untranscribed(self) -> bool:
        return self._options.untranscribed == "keep"

    def _keeps(self, region: Region) -> bool:
        """Whether a region without text may have one: in pictures there is none to be read, unless somebody drew lines."""
        return self._keeps_untranscribed and (bool(region.lines) or region.kind not in _WITHOUT_TEXT)

    def _page(self, name: str, cut: Cut, text: str | None, part: Part) -> Page:
        unique = self._names.take(name)
        return Page(
            name=f"{self._origin.name}#{unique}",
            images=(cut,),
            text=text,
            document=self._origin.document,
            where=f"{self._origin.where}#{name}",
            part=part,
        )

    def _cut(
        self, polygon: Points, baseline: Points | None, turn_deg: float, *, at: str
    ) -> tuple[Cut, Frame] | None:
        """The part of the image, and its frame, if there is anything of it on the page."""
        image = self._origin.image
        cut = Cut(
            path=image.source,
            polygon=_corners(polygon),
            baseline=None if baseline is None else _corners(baseline),
            margin_px=self._options.margin,
            quarter_turns=_quarter_turns(turn_deg),
        )
        try:
            frame_of(replace(cut, margin_px=0), image.size)
            frame = frame_of(cut, image.size)
        except ImageError:
            self._note("coordinates-outside", "error", "it lies outside the image and is left out", at=at)
            return None
        if polygon.min() < -1 or (polygon.max(axis=0) > np.asarray(image.size) + 1).any():
            self._note(
                "coordinates-beyond", "warning", "it reaches beyond the image and is cut at its edge", at=at
            )
        return cut, frame

    def _note_if_turned(self, line: Line, turn_deg: float) -> None:
        if _looks_turned(line, turn_deg):
            self._note(
                "line-turned", "warning", "lines are far higher than wide, and no angle in the file says how their letters stand",
                at=line.id, hint="write the angle: orientation in PAGE, ROTATION in ALTO, textangle in hOCR; or leave them out",
            )  # fmt: skip

    def _text_of_line(self, region: Region, line: Line, frame: Frame) -> str:
        text = line.text or ""
        if self._options.target == "grounded":
            return self._grounded(region.kind, frame.places(line.polygon), text, frame.size)
        return f"# {text}" if self._options.target == "markdown" and region.kind == "heading" else text

    def _text_of_region(self, region: Region, frame: Frame) -> str:
        """A region's text; grounded it has a box for each line, or one where lines are not known or are a table's."""
        if self._options.target != "grounded":
            return self._text(region)
        lines = [line for line in region.lines if line.text]
        if not lines or region.cells or any(not len(line.polygon) for line in lines):
            return self._grounded(region.kind, frame.places(_outline(region)), self._text(region), frame.size)
        return "\n\n".join(
            self._grounded(region.kind, frame.places(line.polygon), line.text or "", frame.size)
            for line in lines
        )

    def _text(self, region: Region) -> str:
        target = self._options.target
        if target == "plain":
            return _plain_text(region)
        if region.cells:
            return table_html(region.cells)
        if region.kind == "table":
            self._note(
                "table-without-cells", "note", "the file tells no rows and columns of a table; it is read as lines",
                at=region.id,
            )  # fmt: skip
        lines = [line.text for line in region.lines if line.text] or [region.text or ""]
        if region.kind == "heading" and target == "markdown":
            return f"# {' '.join(' '.join(lines).split())}"
        return "\n".join(lines)

    def _grounded(self, kind: str, outline: Points, text: str, size: tuple[int, int]) -> str:
        return ground(_LABELS.get(kind, "text"), box_of(outline, size), text, self._options.family)

    def _note(self, code: str, severity: Severity, message: str, *, at: str = "", hint: str = "") -> None:
        where = f"{self._origin.where}#{at}" if at else self._origin.where
        self.findings.append(Finding(code=code, severity=severity, message=message, where=where, hint=hint))


def plain_text(layout: Layout) -> str:
    """The text of a whole page: a line for each line, a blank one between regions; empty where nothing was read."""
    texts = (_plain_text(region) for region in layout.regions if has_text(region))
    return "\n\n".join(texts)


def _plain_text(region: Region) -> str:
    if region.cells:
        return table_rows(region.cells)
    return "\n".join([line.text for line in region.lines if line.text] or [region.text or ""])


def table_html(cells: Sequence[Cell]) -> str:
    """A table in one line of HTML, as models answer it; a cell over several rows or columns says so."""
    rows = ("".join(_cell_html(cell) for cell in row) for row in _rows(cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def table_rows(cells: Sequence[Cell]) -> str:
    """A table as text: a line for each row, a space between cells."""
    return "\n".join(" ".join(cell.text for cell in row if cell.text) for row in _rows(cells))


def _rows(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    for _, row in groupby(cells, key=lambda cell: cell.row):
        yield list(row)


def _cell_html(cell: Cell) -> str:
    spans = (("rowspan", cell.row_span), ("colspan", cell.column_span))
    attributes = "".join(f' {name}="{span}"' for name, span in spans if span > 1)
    return f"<td{attributes}>{html.escape(cell.text, quote=False)}</td>"


def has_text(region: Region) -> bool:
    """Whether anything of a region is transcribed."""
    return (
        bool(region.text)
        or any(line.text for line in region.lines)
        or any(cell.text for cell in region.cells)
    )


def _quarter_turns(turn_deg: float) -> int:
    return round(turn_deg / 90) % 4


def _looks_turned(line: Line, turn_deg: float) -> bool:
    """Whether a line of several letters is high and narrow as it is cut; in Chinese and Japanese letters may stand so."""
    if len(line.polygon) < FEWEST_CORNERS:
        return False
    letters = "".join((line.text or "").split())
    num_wide = sum(unicodedata.east_asian_width(letter) in {"W", "F"} for letter in letters)
    if line.text and (len(letters) < _FEWEST_LETTERS or 2 * num_wide > len(letters)):
        return False
    width, height = np.ptp(line.polygon, axis=0).tolist()
    if _quarter_turns(turn_deg) % 2:
        width, height = height, width
    return bool(height >= _TURNED_ASPECT_RATIO * width)


def _outline(region: Region) -> Points:
    """A region's polygon, else the bounds of its lines, else nothing."""
    if len(region.polygon) >= FEWEST_CORNERS:
        return region.polygon
    known = [line.polygon for line in region.lines if len(line.polygon)]
    if not known:
        return NOWHERE
    corners = np.concatenate(known)
    return rectangle(*corners.min(axis=0), *corners.max(axis=0))


def _longest_baseline(lines: Sequence[Line]) -> Points | None:
    baselines = [line.baseline for line in lines if line.baseline is not None]
    return max(baselines, key=lambda points: float(np.ptp(points, axis=0).max()), default=None)


def _corners(points: Points) -> Corners:
    return tuple((float(x), float(y)) for x, y in points)
