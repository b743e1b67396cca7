"""A sheet → PAGE XML of 2019-07-15."""

from datetime import UTC, datetime

from lxml import etree

from ocrtune import __version__
from ocrtune.sources.transcripts.layout import Line, Points, Region
from ocrtune.sources.transcripts.xml import Element
from ocrtune.transcription.answers import cell_box
from ocrtune.transcription.writing import Writer, around, join, lines_of_cells, turn

NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
SCHEMA = f"{NAMESPACE}/pagecontent.xsd"
ESTIMATED = "geometry {estimated:true;}"
"""In `custom` of what got its place by parting a larger box."""

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA_LOCATION = f"{{{_XSI}}}schemaLocation"
_TYPES = frozenset(
    {"paragraph", "heading", "caption", "header", "footer", "page-number", "marginalia", "footnote"}
)
"""Kinds that are types of a text region; any other stands in `custom`."""


def build_page_xml(writer: Writer) -> str:
    """The text of a PAGE XML file; `writer` gets findings about what could not be written as it is."""
    root = etree.Element(f"{{{NAMESPACE}}}PcGts", nsmap={None: NAMESPACE, "xsi": _XSI})
    root.set(_SCHEMA_LOCATION, f"{NAMESPACE} {SCHEMA}")
    _add_metadata(root)
    sheet = writer.sheet
    width, height = map(str, sheet.size)
    # There is no other place for the number of a frame.
    image = writer.write(sheet.image if sheet.frame is None else f"{sheet.image}#{sheet.frame}")
    page = _add(root, "Page", imageFilename=image, imageWidth=width, imageHeight=height)
    names = [writer.identify(region.id) for region in sheet.regions]
    _add_reading_order(page, names, writer)
    for name, region in zip(names, sheet.regions, strict=True):
        _add_region(page, name, region, writer)
    written: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)
    return written.decode()


def _add_metadata(root: Element) -> None:
    metadata = _add(root, "Metadata")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, text in (("Creator", f"ocrtune {__version__}"), ("Created", now), ("LastChange", now)):
        _add(metadata, name).text = text


def _add_reading_order(page: Element, names: list[str], writer: Writer) -> None:
    if not names:
        return
    group = _add(_add(page, "ReadingOrder"), "OrderedGroup", id=writer.identify("reading_order"))
    for place, name in enumerate(names):
        _add(group, "RegionRefIndexed", index=str(place), regionRef=name)


def _add_region(page: Element, name: str, region: Region, writer: Writer) -> None:
    outline = writer.outline(region)
    if region.kind == "table":
        table = _add(page, "TableRegion", id=name)
        _set_turn(table, region)
        _add_coords(table, outline, writer)
        _add_table(table, region, writer)
    elif region.kind == "figure":
        figure = _add(page, "ImageRegion", id=name)
        _set_turn(figure, region)
        _add_coords(figure, outline, writer)
        if region.lines or region.text:
            _add_text_region(figure, writer.identify(f"{name}_text"), region, writer)
    else:
        _set_turn(_add_text_region(page, name, region, writer), region)


def _set_turn(element: Element, region: Region) -> None:
    if angle := turn(region.turn_deg):
        element.set("orientation", angle)


def _add_text_region(parent: Element, name: str, region: Region, writer: Writer) -> Element:
    element = _add(parent, "TextRegion", id=name)
    if region.kind in _TYPES:
        element.set("type", region.kind)
    elif region.kind:
        element.set("custom", f"structure {{type:{writer.write(region.kind)};}}")
    _add_coords(element, writer.outline(region), writer)
    _add_content(element, region, writer)
    return element


def _add_content(element: Element, region: Region, writer: Writer) -> None:
    is_whole = region.text is not None and not any(line.text for line in region.lines)
    for line in region.lines if is_whole else writer.placed(region).lines:
        if len(line.polygon):
            _add_line(element, line, writer)
    if is_whole:
        _add_text(element, region.text or "", writer)


def _add_table(table: Element, region: Region, writer: Writer) -> None:
    """Cells as text regions with a role; without known cells, one text region of all lines."""
    grouped = lines_of_cells(region)
    if not region.cells or sum(map(len, grouped)) != len(region.lines):
        if region.lines or region.text:
            inner = Region(
                id="", kind="paragraph", polygon=writer.outline(region), lines=region.lines, text=region.text
            )
            _add_text_region(table, writer.identify(f"{region.id}_text"), inner, writer)
        return
    outline = writer.outline(region)
    for cell, lines in zip(region.cells, grouped, strict=True):
        name = writer.identify(f"{region.id}_{cell.row}_{cell.column}")
        element = _add(table, "TextRegion", id=name)
        bounds = around([line.polygon for line in lines if not line.is_estimated])
        if not len(bounds):
            element.set("custom", ESTIMATED)
            bounds = cell_box(cell, region.cells, outline)
        _add_coords(element, bounds, writer)
        _add_role(element, (cell.row, cell.column, cell.row_span, cell.column_span))
        text = cell.text if cell.text and not lines else None
        inner = Region(id=name, kind="", polygon=bounds, lines=lines, text=text)
        _add_content(element, inner, writer)


def _add_role(element: Element, place: tuple[int, int, int, int]) -> None:
    names = ("rowIndex", "columnIndex", "rowSpan", "colSpan")
    facts = {name: str(value) for name, value in zip(names, place, strict=True)}
    _add(_add(element, "Roles"), "TableCellRole", **facts)


def _add_line(parent: Element, line: Line, writer: Writer) -> None:
    element = _add(parent, "TextLine", id=writer.identify(line.id))
    if line.is_estimated:
        element.set("custom", ESTIMATED)
    _add_coords(element, line.polygon, writer)
    if line.baseline is not None:
        _add(element, "Baseline", points=join(writer.corners(line.baseline, fewest=2)))
    if line.text is not None:
        _add_text(element, line.text, writer)


def _add_text(parent: Element, text: str, writer: Writer) -> None:
    _add(_add(parent, "TextEquiv"), "Unicode").text = writer.write(text)


def _add_coords(parent: Element, polygon: Points, writer: Writer) -> None:
    _add(parent, "Coords", points=join(writer.corners(polygon)))


def _add(parent: Element, name: str, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)
