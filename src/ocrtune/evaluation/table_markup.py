"""Tables of a text, written as HTML or in Markdown, as HTML; and HTML as elements, however broken it is."""

import re
from collections.abc import Iterator
from html import escape

from lxml import etree, html

_TABLE_TAG = re.compile(r"<(/?)table\b[^<>]*>", re.IGNORECASE)
_RULE_CELL = re.compile(r"\s*:?-+:?\s*")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

MOST_SPAN = 1000
"""As many rows or columns HTML allows a cell at most; a model that repeats digits may say more."""


def find_tables(text: str, *, markdown: bool = True) -> list[str]:
    """The tables of a text as HTML, in its order; the first row of one in Markdown is made of `<th>`.

    A table that is not closed ends where the next one begins, or with the text.

    Args:
        text: A page's text.
        markdown: Find tables in Markdown too.
    """
    if not has_table(text):
        return []
    found = list(find_html_tables(text))
    tables = [(start, text[start:end]) for start, end in found]
    if markdown:
        tables += _markdown_tables(_blank_out(text, found))
    return [table for _, table in sorted(tables)]


def has_table(text: str) -> bool:
    """Whether a text may have a table; quick, and wrong only where it says that it may."""
    return "<table" in text or ("|" in text and "-" in text and "\n" in text) or "<TABLE" in text


def read_table(table: str) -> etree._Element | None:
    """The first `<table>` of HTML, or None where nothing can be made of it."""
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8", huge_tree=False)
    try:
        root = html.fromstring(_NOT_IN_XML.sub(" ", table).encode("utf-8"), parser=parser)
    except (etree.LxmlError, ValueError):
        return None
    return next(root.iter("table"), None)


def span_of(cell: etree._Element, attribute: str) -> int:
    """How many rows or columns a cell goes over; 1 where that is not said, or not as a number.

    Args:
        cell: A `<td>` or `<th>`.
        attribute: `rowspan` or `colspan`.
    """
    written = str(cell.get(attribute, "1")).strip()
    if not (written.isascii() and written.isdecimal()):
        return 1
    return min(max(int(written[: len(str(MOST_SPAN)) + 1]), 1), MOST_SPAN)


def find_html_tables(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each; a table inside of another one belongs to it if as many are closed as are opened."""
    tags = list(_TABLE_TAG.finditer(text))
    can_nest = sum(1 if tag[1] else -1 for tag in tags) >= 0
    start, depth = -1, 0
    for tag in tags:
        if tag[1]:
            depth -= depth > 0
            if not depth and start >= 0:
                yield start, tag.end()
                start = -1
        elif start < 0:
            start, depth = tag.start(), 1
        elif can_nest:
            depth += 1
        else:
            yield start, tag.start()
            start, depth = tag.start(), 1
    if start >= 0:
        yield start, len(text)


def _blank_out(text: str, places: list[tuple[int, int]]) -> str:
    """The text with spaces in some places: what is left keeps its place."""
    kept, last = [], 0
    for start, end in places:
        kept += [text[last:start], " " * (end - start)]
        last = end
    return "".join([*kept, text[last:]])


def _markdown_tables(text: str) -> Iterator[tuple[int, str]]:
    """Where each table begins, and what it is in HTML: a row of cells, a rule of as many, and rows with a border."""
    lines = text.splitlines(keepends=True) if "|" in text else []
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line))
    number = 0
    while number + 1 < len(lines):
        if "|" in lines[number] and _is_rule(lines[number + 1], len(_cells(lines[number]))):
            end = number + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            yield places[number], _as_html(lines[number], lines[number + 2 : end])
            number = end
        else:
            number += 1


def _is_rule(line: str, num_cells: int) -> bool:
    if "|" not in line:
        return False
    cells = _cells(line)
    return len(cells) == num_cells and all(_RULE_CELL.fullmatch(cell) for cell in cells)


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(line)]


def _as_html(heading: str, lines: list[str]) -> str:
    rows = [_row("th", heading), *(_row("td", line) for line in lines)]
    return f"<table>{''.join(rows)}</table>"


def _row(tag: str, line: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_cell_html(cell)}</{tag}>' for cell in _cells(line))}</tr>"


def _cell_html(cell: str) -> str:
    """A cell's text, in which a line break may be written as HTML."""
    return re.sub(r"&lt;br\s*/?&gt;", "<br>", escape(cell, quote=False))
