"""A sheet → hOCR 1.2 as well-formed XHTML."""

from lxml import etree

from ocrtune import __version__
from ocrtune.records import Finding
from ocrtune.sources.transcripts.layout import Line, Points, Region
from ocrtune.sources.transcripts.xml import Element
from ocrtune.transcription.writing import Writer, around, is_box, join, lines_of_cells, turn

NAMESPACE = "http://www.w3.org/1999/xhtml"
ESTIMATED = "x_estimated 1"
"""Property of what got its place by parting a larger box."""

_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
_CAPABILITIES = (
    "ocr_page ocr_carea ocr_par ocr_line ocr_header ocr_caption ocr_footer ocr_pageno ocr_table ocr_photo"
)
_PARAGRAPHS = {"page-number": "ocr_pageno", "footer": "ocr_footer"}
_LINES = {"heading": "ocr_header", "caption": "ocr_caption"}
_ENDS = 2


def build_hocr(writer: Writer) -> str:
    """The text of an hOCR file; `writer` gets findings about what could not be written as it is."""
    sheet = writer.sheet
    root = etree.Element(f"{{{NAMESPACE}}}html", nsmap={None: NAMESPACE})
    _add_head(root, writer)
    width, height = sheet.size
    facts = [
        f"image {_quoted(writer.write(sheet.image))}",
        f"bbox 0 0 {width} {height}",
        f"ppageno {(sheet.frame or 1) - 1}",
    ]
    name = writer.identify("page_1")
    page = _add(_add(root, "body"), "div", "ocr_page", id=name, title="; ".join(facts))
    for region in sheet.regions:
        _add_region(page, region, writer)
    written: bytes = etree.tostring(
        root, encoding="UTF-8", xml_declaration=True, pretty_print=False, doctype=_DOCTYPE
    )
    return written.decode() + "\n"


def _add_head(root: Element, writer: Writer) -> None:
    head = _add(root, "head")
    _add(head, "title").text = writer.write(writer.sheet.image)
    metas = {"ocr-system": f"ocrtune {__version__}", "ocr-capabilities": _CAPABILITIES}
    etree.SubElement(
        head,
        f"{{{NAMESPACE}}}meta",
        {"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"},
    )
    for name, content in metas.items():
        _add(head, "meta", name=name, content=content)


def _add_region(page: Element, region: Region, writer: Writer) -> None:
    title = _place(writer.outline(region), writer)
    if region.kind == "figure" and not region.lines and not region.text:
        _add(page, "div", "ocr_photo", id=writer.identify(region.id), title=title)
    elif region.kind == "table" and region.cells and _cells_hold_all(region):
        _add_table(page, region, title, writer)
    elif region.kind == "table":
        table = _add(page, "div", "ocr_table", id=writer.identify(region.id), title=title)
        _add_lines(table, region, writer)
    else:
        area = _add(page, "div", "ocr_carea", id=writer.identify(f"area_{region.id}"), title=title)
        name = writer.identify(region.id)
        paragraph = _add(area, "p", _PARAGRAPHS.get(region.kind, "ocr_par"), id=name, title=title)
        _add_lines(paragraph, region, writer)


def _cells_hold_all(region: Region) -> bool:
    return sum(cell.num_lines for cell in region.cells) == len(region.lines)


def _add_table(page: Element, region: Region, title: str, writer: Writer) -> None:
    table = _add(page, "table", "ocr_table", id=writer.identify(region.id), title=title)
    rows: dict[int, Element] = {}
    for cell, lines in zip(region.cells, lines_of_cells(region), strict=True):
        if cell.row not in rows:
            rows[cell.row] = _add(table, "tr")
        element = _add(rows[cell.row], "td")
        for key, span in (("rowspan", cell.row_span), ("colspan", cell.column_span)):
            if span > 1:
                element.set(key, str(span))
        bounds = around([line.polygon for line in lines])
        inner = Region(
            id=region.id, kind="", polygon=bounds, lines=lines, text=None if lines else cell.text or None
        )
        _add_lines(element, inner, writer)


def _add_lines(parent: Element, region: Region, writer: Writer) -> None:
    """Lines, each with its place; text that is known for the region alone gets lines without places."""
    kind = _LINES.get(region.kind, "ocr_line")
    if region.text is not None and not any(line.text for line in region.lines):
        for text in filter(None, map(str.strip, region.text.splitlines())):
            _add(parent, "span", kind, id=writer.identify(f"{region.id}_line")).text = writer.write(text)
            _break(parent)
        return
    for line in region.lines:
        element = _add(parent, "span", kind, id=writer.identify(line.id))
        if len(line.polygon):
            element.set("title", _facts_of_line(line, writer))
        element.text = writer.write(line.text or "")
        _break(parent)


def _break(parent: Element) -> None:
    """A line break behind the last line: without one, readers of the text alone would join words."""
    parent[-1].tail = "\n"


def _facts_of_line(line: Line, writer: Writer) -> str:
    facts = [_place(line.polygon, writer)]
    if line.baseline is not None:
        facts.append(_baseline(line, writer))
    if angle := turn(line.turn_deg):
        facts.append(f"textangle {angle}")
    if line.is_estimated:
        facts.append(ESTIMATED)
    return "; ".join(facts)


def _baseline(line: Line, writer: Writer) -> str:
    """Slope and offset from the left lower corner of the box; only a straight line can be told so."""
    assert line.baseline is not None
    left, _, _, bottom = writer.box(line.polygon)
    ordered = line.baseline[line.baseline[:, 0].argsort()]
    (x, y), (last_x, last_y) = ordered[0], ordered[-1]
    slope = (last_y - y) / (last_x - x) if last_x > x else 0.0
    if len(ordered) > _ENDS:
        writer.findings.append(
            Finding(
                code="baseline-straightened",
                severity="note",
                message="hOCR has straight baselines only; one of several points is drawn from its first to its last",
                where=writer.sheet.name,
            )
        )
    return f"baseline {slope:.5f} {y + slope * (left - x) - bottom:.2f}"


def _place(polygon: Points, writer: Writer) -> str:
    box = "bbox {} {} {} {}".format(*writer.box(polygon))
    corners = writer.corners(polygon)
    return box if is_box(corners) else f"{box}; poly {join(corners, ' ')}"


def _quoted(name: str) -> str:
    mark = "'" if '"' in name else '"'
    return f"{mark}{name.replace(mark, '_')}{mark}" if mark == "'" else f'"{name}"'


def _add(parent: Element, tag: str, kind: str = "", **attributes: str) -> Element:
    classes = {"class": kind} if kind else {}
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}", {**classes, **attributes})
