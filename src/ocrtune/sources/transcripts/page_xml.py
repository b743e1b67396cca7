"""PAGE XML, as Transkribus, eScriptorium and OCR-D write it → a layout."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from math import inf
from pathlib import Path

import numpy as np

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.frames import split_frame
from ocrtune.sources.transcripts.layout import (
    NOWHERE,
    Cell,
    Layout,
    Line,
    Notes,
    Points,
    Region,
    check_lines,
    join_words,
    kind_named,
    note_unplaced,
    one_line,
)
from ocrtune.sources.transcripts.xml import (
    Element,
    check_root,
    children,
    descendants,
    first,
    local,
    nearest_number,
    number,
    parse_xml,
    points,
)

_SCHEMA = "schema.primaresearch.org/PAGE/gts/pagecontent/"
_DATES = (
    "2009-03-16", "2010-01-12", "2010-03-19", "2013-07-15", "2016-07-15", "2017-07-15", "2018-07-15", "2019-07-15",
)  # fmt: skip

VERSIONS = {f"{scheme}://{_SCHEMA}{date}": date for date in _DATES for scheme in ("http", "https")}
"""Namespace → version."""

_GROUPS = (
    "OrderedGroup", "OrderedGroupIndexed", "UnorderedGroup", "UnorderedGroupIndexed",
)  # fmt: skip
_REFERENCES = ("RegionRef", "RegionRefIndexed")
_KINDS_BY_ELEMENT = {
    "ImageRegion": "figure",
    "LineDrawingRegion": "figure",
    "GraphicRegion": "figure",
    "ChartRegion": "figure",
    "MapRegion": "figure",
    "MathsRegion": "formula",
    "TableRegion": "table",
}
_CUSTOM_INDEX = re.compile(r"readingOrder\s*\{[^}]*\bindex\s*:\s*(\d{1,9})\b")
_CUSTOM_KIND = re.compile(r"structure\s*\{[^}]*\btype\s*:\s*([^;}]+)")

Key = tuple[float, ...]


def read_page_xml(path: Path) -> list[Layout]:
    """The pages of a PAGE XML file, which are one as the schema has it; what is odd is told in their findings.

    Text of a line is that of its `TextEquiv` with the lowest index, else of its words. Regions come as
    `ReadingOrder` says, else as Transkribus' `custom` attributes say, else as in the file.

    Raises:
        TranscriptError: The file is no PAGE XML of a known version.
    """
    root = parse_xml(path)
    version = check_root(root, "PcGts", VERSIONS, path)
    pages = list(children(root, "Page"))
    if not pages:
        raise TranscriptError("there is no <Page> in the file", where=str(path))
    return [_layout(page, version, path) for page in pages]


def _layout(page: Element, version: str, path: Path) -> Layout:
    notes = Notes(path)
    reader = _Reader(page, notes)
    regions = tuple(reader.regions())
    note_unplaced(sum(_is_unplaced(line, page) for line in descendants(page, "TextLine")), notes)
    check_lines(regions, notes)
    image, frame = split_frame(page.get("imageFilename", "").strip())
    return Layout(
        image=image,
        size=_size(page),
        regions=regions,
        format="page",
        version=version,
        id=page.get("id", ""),
        findings=tuple(notes.findings),
        frame=frame,
    )


class _Reader:
    """One page; `ranks` are the places of regions and lines in the reading order."""

    def __init__(self, page: Element, notes: Notes) -> None:
        self._page = page
        self._notes = notes
        self._ranks = {identifier: rank for rank, identifier in enumerate(_references(page))}

    def regions(self) -> Iterator[Region]:
        keyed = list(self._keyed(self._page, ()))
        self._tell_order([element for _, element in keyed])
        # Sorting is stable: what has no place of its own stays as in the file.
        for _, element in sorted(keyed, key=lambda pair: pair[0]):
            yield self._region(element)

    def _keyed(self, parent: Element, above: Key) -> Iterator[tuple[Key, Element]]:
        """Regions with their sorting keys; one in another region follows it unless it has a place of its own."""
        for element in parent:
            if not local(element).endswith("Region"):
                continue
            rank = self._ranks.get(element.get("id"))
            custom = inf if self._ranks else _custom_index(element)
            key = (*above, custom) if rank is None else (rank,)
            yield key, element
            if local(element) != "TableRegion":
                yield from self._keyed(element, key)

    def _tell_order(self, elements: Sequence[Element]) -> None:
        written = [
            element for element in elements if next(descendants(element, "TextEquiv"), None) is not None
        ]
        if len(written) < 2:  # noqa: PLR2004 - one region has an order
            return
        if not self._ranks and all(_custom_index(element) == inf for element in written):
            self._notes.add(
                "reading-order-missing", "note", "the file tells no reading order; regions are read as they come",
            )  # fmt: skip
        elif self._ranks and any(not self._is_placed(element) for element in written):
            self._notes.add(
                "reading-order-partial", "note", "regions that the reading order leaves out are read last"
            )

    def _is_placed(self, element: Element) -> bool:
        return any(each.get("id") in self._ranks for each in (element, *element.iterancestors()))

    def _region(self, element: Element) -> Region:
        name = element.get("id") or f"{local(element)}-{element.sourceline}"
        cells = self._cells(element, name) if local(element) == "TableRegion" else []
        if cells:
            lines = tuple(line for _, found in cells for line in found)
            text = None
        else:
            # Only a table has its lines in regions of its own; other nested regions stand for themselves.
            holders = (
                [element, *descendants(element, "TextRegion")]
                if local(element) == "TableRegion"
                else [element]
            )
            lines, text = self._lines_of_all(holders, name)
        if local(element) == "TableRegion" and sum(1 for _ in descendants(element, "TextLine")) > len(lines):
            message = "lines of a table stand in none of its cells and are left out"
            self._notes.add("table-lines", "warning", message, at=name)
        return Region(
            id=name,
            kind=_kind(element),
            polygon=self._polygon(element, name),
            lines=lines,
            text=text,
            cells=tuple(cell for cell, _ in cells),
            element=element,
            turn_deg=_turn_deg(element),
        )

    def _lines_of_all(self, holders: Sequence[Element], name: str) -> tuple[tuple[Line, ...], str | None]:
        found = [
            self._lines(holder, holder.get("id") or f"{name}.{place}") for place, holder in enumerate(holders)
        ]
        lines = tuple(line for some, _ in found for line in some)
        texts = [text for _, text in found if text]
        return lines, "\n".join(texts) if texts and not any(line.text for line in lines) else None

    def _lines(self, holder: Element, name: str) -> tuple[tuple[Line, ...], str | None]:
        """The lines right in an element; and its own text where it has no lines that it could be parted into."""
        elements = list(children(holder, "TextLine"))
        lines = [
            self._line(element, f"{name}-{place}") for place, element in enumerate(self._sorted(elements))
        ]
        text = _text(holder)
        if not text or any(line.text for line in lines):
            return tuple(lines), None
        parts = [one_line(part) for part in text.splitlines()]
        if lines and len(parts) == len(lines):
            return tuple(replace(line, text=part) for line, part in zip(lines, parts, strict=True)), None
        return tuple(lines), text

    def _sorted(self, elements: list[Element]) -> list[Element]:
        if all(element.get("id") in self._ranks for element in elements):
            return sorted(elements, key=lambda element: self._ranks[element.get("id")])
        if all(_custom_index(element) != inf for element in elements):
            return sorted(elements, key=_custom_index)
        return elements

    def _line(self, element: Element, name: str) -> Line:
        name = element.get("id") or name
        chosen = _chosen(element)
        baseline = first(element, "Baseline")
        stands_on = NOWHERE if baseline is None else self._points(baseline, name, fewest=2)
        return Line(
            id=name,
            text=one_line(_text(element)) or one_line(_text_of_words(element)),
            polygon=self._polygon(element, name),
            baseline=stands_on if len(stands_on) else None,
            confidence=None if chosen is None else number(chosen.get("conf")),
            element=element,
            turn_deg=_turn_deg(element),
        )

    def _cells(self, table: Element, name: str) -> list[tuple[Cell, tuple[Line, ...]]]:
        """Cells and their lines, row by row: TableCell as Transkribus has it, or TextRegion with a role."""
        found = []
        for place, element in enumerate(descendants(table, "TableCell", "TextRegion")):
            roles = first(element, "Roles")
            role = None if roles is None else first(roles, "TableCellRole")
            if local(element) == "TableCell":
                facts = [element.get(key) for key in ("row", "col", "rowSpan", "colSpan")]
            elif role is not None:
                facts = [role.get(key) for key in ("rowIndex", "columnIndex", "rowSpan", "colSpan")]
            else:
                continue
            lines, text = self._lines(element, element.get("id") or f"{name}-cell-{place}")
            found.append((_cell(facts, lines, text), lines))
        return sorted(found, key=lambda pair: (pair[0].row, pair[0].column))

    def _polygon(self, element: Element, name: str) -> Points:
        coords = first(element, "Coords")
        return NOWHERE if coords is None else self._points(coords, name)

    def _points(self, element: Element, name: str, *, fewest: int = 3) -> Points:
        """The `points` of Coords or Baseline, or its Point children as schemas until 2010 have them."""
        written = element.get("points")
        if written is None:
            written = " ".join(f"{point.get('x')},{point.get('y')}" for point in children(element, "Point"))
        found = points(written, self._notes, at=name, fewest=fewest)
        return found if len(np.unique(found, axis=0)) >= fewest else NOWHERE


def _turn_deg(element: Element) -> float:
    """The clockwise turn that makes the text of a region or line upright; a page may be turned as a whole."""
    return nearest_number(element, "orientation") + nearest_number(element, "readingOrientation")


def _is_unplaced(line: Element, page: Element) -> bool:
    """Whether a line is in something else than regions; those of tables are told by the table."""
    above = [
        local(element) for element in takewhile(lambda element: element is not page, line.iterancestors())
    ]
    if "TableRegion" in above:
        return False
    return not above or not all(name.endswith("Region") for name in above)


def _references(page: Element) -> Iterator[str]:
    order = first(page, "ReadingOrder")
    if order is not None:
        for group in children(order, *_GROUPS):
            yield from _references_of_group(group)


def _references_of_group(group: Element) -> Iterator[str]:
    if group.get("regionRef"):
        yield group.get("regionRef")
    members = list(children(group, *_GROUPS, *_REFERENCES))
    if local(group).startswith("Ordered"):
        members.sort(key=lambda member: _or_last(number(member.get("index"))))
    for member in members:
        if local(member) in _REFERENCES:
            yield member.get("regionRef", "")
        else:
            yield from _references_of_group(member)


def _or_last(value: float | None) -> float:
    return inf if value is None else value


def _custom_index(element: Element) -> float:
    found = _CUSTOM_INDEX.search(element.get("custom") or "")
    return int(found[1]) if found else inf


def _kind(element: Element) -> str:
    name = local(element)
    if name in _KINDS_BY_ELEMENT:
        return _KINDS_BY_ELEMENT[name]
    if name != "TextRegion":
        return kind_named(name.removesuffix("Region"))
    custom = _CUSTOM_KIND.search(element.get("custom") or "")
    return kind_named(element.get("type") or (custom[1] if custom else ""))


def _chosen(element: Element) -> Element | None:
    """The TextEquiv with the lowest index; one without an index counts as the first."""
    texts = list(children(element, "TextEquiv"))
    return min(texts, key=lambda text: _or_last(number(text.get("index", "0"))), default=None)


def _text(element: Element) -> str | None:
    chosen = _chosen(element)
    if chosen is None:
        return None
    for name in ("Unicode", "PlainText"):
        written = first(chosen, name)
        if written is not None and (text := "".join(written.itertext())):  # `.text` ends at a comment
            return text
    return None


def _text_of_words(line: Element) -> str:
    return join_words(_text(word) or _text_of_glyphs(word) for word in children(line, "Word"))


def _text_of_glyphs(word: Element) -> str:
    return "".join(_text(glyph) or "" for glyph in children(word, "Glyph"))


def _cell(facts: Sequence[str | None], lines: Sequence[Line], text: str | None) -> Cell:
    row, column, row_span, column_span = (number(fact) for fact in facts)
    return Cell(
        row=int(row or 0),
        column=int(column or 0),
        row_span=max(int(row_span or 1), 1),
        column_span=max(int(column_span or 1), 1),
        text=one_line(text) or " ".join(line.text for line in lines if line.text),
        num_lines=len(lines),
    )


def _size(page: Element) -> tuple[float, float] | None:
    width, height = number(page.get("imageWidth")), number(page.get("imageHeight"))
    return (width, height) if width and height and min(width, height) > 0 else None
