"""A sheet → ALTO 4, in pixels."""

from lxml import etree

from ocrtune import __version__
from ocrtune.sources.transcripts.layout import Line, Points, Region
from ocrtune.sources.transcripts.xml import Element
from ocrtune.transcription.writing import Writer, around, is_box, join, lines_of_cells, turn

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
VERSION = "4.4"
SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"

_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def build_alto(writer: Writer) -> str:
    """The text of an ALTO file; `writer` gets findings about what could not be written as it is.

    Each word is a String without a place of its own: only lines have places.
    """
    sheet = writer.sheet
    root = etree.Element(f"{{{NAMESPACE}}}alto", nsmap={None: NAMESPACE, "xsi": _XSI}, SCHEMAVERSION=VERSION)
    root.set(f"{{{_XSI}}}schemaLocation", f"{NAMESPACE} {SCHEMA}")
    _add_description(root, writer)
    tags = _add_tags(root, writer)
    names = [writer.identify(region.id) for region in sheet.regions]
    _add_reading_order(root, names, writer)
    width, height = map(str, sheet.size)
    page = _add(
        _add(root, "Layout"), "Page",
        ID=writer.identify("page_1"), WIDTH=width, HEIGHT=height, PHYSICAL_IMG_NR=str(sheet.frame or 1),
    )  # fmt: skip
    space = _add(page, "PrintSpace", HPOS="0", VPOS="0", WIDTH=width, HEIGHT=height)
    for name, region in zip(names, sheet.regions, strict=True):
        block = _add_block(space, name, region, writer)
        if region.kind in tags:
            block.set("TAGREFS", tags[region.kind])
    written: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)
    return written.decode()


def _add_description(root: Element, writer: Writer) -> None:
    description = _add(root, "Description")
    _add(description, "MeasurementUnit").text = "pixel"
    _add(_add(description, "sourceImageInformation"), "fileName").text = writer.write(writer.sheet.image)
    processing = _add(description, "Processing", ID=writer.identify("processing_1"))
    _add(processing, "processingCategory").text = "contentGeneration"
    software = _add(processing, "processingSoftware")
    _add(software, "softwareName").text = "ocrtune"
    _add(software, "softwareVersion").text = __version__


def _add_tags(root: Element, writer: Writer) -> dict[str, str]:
    """A tag for each kind of region; kind → its id."""
    kinds = dict.fromkeys(region.kind for region in writer.sheet.regions if region.kind)
    if not kinds:
        return {}
    tags = _add(root, "Tags")
    names = {kind: writer.identify(f"tag_{kind}") for kind in kinds}
    for kind, name in names.items():
        _add(tags, "LayoutTag", ID=name, LABEL=writer.write(kind))
    return names


def _add_reading_order(root: Element, names: list[str], writer: Writer) -> None:
    if not names:
        return
    group = _add(_add(root, "ReadingOrder"), "OrderedGroup", ID=writer.identify("reading_order"))
    for name in names:
        _add(group, "ElementRef", ID=writer.identify(f"order_{name}"), REF=name)


def _add_block(space: Element, name: str, region: Region, writer: Writer) -> Element:
    outline = writer.outline(region)
    region = writer.placed(region)
    if region.kind == "figure" and not region.lines:
        block = _add(space, "Illustration", ID=name)
        _place(block, outline, writer)
    elif region.kind == "table":
        block = _add(space, "ComposedBlock", ID=name, TYPE="table")
        _place(block, outline, writer)
        _add_rows(block, name, region, writer)
    else:
        block = _add(space, "TextBlock", ID=name)
        _place(block, outline, writer)
        _add_lines(block, region.lines, writer)
    if angle := turn(region.turn_deg):
        block.set("ROTATION", angle)
    return block


def _add_rows(table: Element, name: str, region: Region, writer: Writer) -> None:
    """A text block for each cell that has lines, so that columns stay apart; else one for all lines."""
    grouped = lines_of_cells(region) if region.cells else []
    if sum(map(len, grouped)) != len(region.lines):
        grouped = [region.lines]
    for lines in filter(None, grouped):
        block = _add(table, "TextBlock", ID=writer.identify(f"{name}_cell"))
        _place(block, around([line.polygon for line in lines]), writer)
        _add_lines(block, lines, writer)


def _add_lines(block: Element, lines: tuple[Line, ...], writer: Writer) -> None:
    for line in lines:
        element = _add(block, "TextLine", ID=writer.identify(line.id))
        _place(element, line.polygon, writer)
        if line.baseline is not None:
            element.set("BASELINE", join(writer.corners(line.baseline, fewest=2)))
        # The schema wants a String in each line, even if nobody read it.
        for place, word in enumerate(writer.write(line.text or "").split() or [""]):
            if place:
                _add(element, "SP")
            _add(element, "String", CONTENT=word)


def _place(element: Element, polygon: Points, writer: Writer) -> None:
    left, top, right, bottom = writer.box(polygon)
    facts = {"HPOS": left, "VPOS": top, "WIDTH": right - left, "HEIGHT": bottom - top}
    for name, value in facts.items():
        element.set(name, str(value))
    corners = writer.corners(polygon)
    if not is_box(corners):
        _add(_add(element, "Shape"), "Polygon", POINTS=join(corners))


def _add(parent: Element, name: str, **attributes: str) -> Element:
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)
