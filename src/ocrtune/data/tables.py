"""Whether the tables of a text are written as the families write them."""

import re
from collections.abc import Iterator
from itertools import pairwise

from ocrtune.records import Finding

_TAG = re.compile(r"<(/?)(table|thead|tbody|tfoot|tr|th|td|caption|colgroup|col)(\s[^<>]*)?>", re.IGNORECASE)
_FAMILIES_TAGS = frozenset({"table", "tr", "td"})
_SPAN = re.compile(r'(?:rowspan|colspan)="[0-9]+"')
_BETWEEN_TAGS = re.compile(r"(?:<table>|</td>|</?tr>)\s+(?:</table>|<td\b|</?tr>)", re.IGNORECASE)
_RULE_CELL = re.compile(r" *:?-+:? *")


def check_table(text: str, where: str = "") -> Iterator[Finding]:
    """Notes about tables that the families write otherwise: as HTML of `<table>`, `<tr>` and `<td>` alone."""
    if _has_markdown_table(text):
        yield Finding(
            code="table-as-markdown",
            severity="note",
            message="a table is written in markdown; the families write tables as HTML",
            where=where,
            hint="write <table><tr><td>…</td></tr></table>, unless the model is to write markdown tables",
        )
    strange = _strange_forms(text)
    if strange:
        yield Finding(
            code="table-form",
            severity="note",
            message=f"a table has {', '.join(strange)}, which the families do not write",
            where=where,
            hint='they write <table><tr><td>…</td></tr></table> in one line, and rowspan="2" or colspan="2" in <td>',
        )


def _has_markdown_table(text: str) -> bool:
    """Whether a line of cells is followed by one of dashes."""
    lines = text.splitlines() if "|" in text else []
    return any("|" in above and _is_rule(line) for above, line in pairwise(lines))


def _is_rule(line: str) -> bool:
    line = line.strip()
    cells = line.removeprefix("|").removesuffix("|").split("|")
    return "|" in line and all(_RULE_CELL.fullmatch(cell) for cell in cells)


def _strange_forms(text: str) -> list[str]:
    """Tags, attributes and space that the families do not write, each once."""
    if "<table" not in text.lower():
        return []
    found = dict.fromkeys(form for tag in _TAG.finditer(text) for form in _strange_forms_of(tag))
    if _BETWEEN_TAGS.search(text):
        found["space between tags"] = None
    return list(found)


def _strange_forms_of(tag: re.Match[str]) -> Iterator[str]:
    closing, name, attributes = tag.groups()
    if name not in _FAMILIES_TAGS:
        yield f"<{name}>"
        return
    rest = (attributes or "").split()
    if name == "td" and not closing:
        rest = [attribute for attribute in rest if not _SPAN.fullmatch(attribute)]
    if rest:
        # The name alone: a value such as a width is another one in every table.
        yield f"attributes of <{name}>"
