"""The nouns of a table, and rows → pages, row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ocrtune.records import Finding, Page
from ocrtune.sources.jsonl import BrokenLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes:
        cells: Column → value, of whatever type the file has it in.
        name: Its place in the file, for a page that has no image to be named by, such as `lines.jsonl:12`.
        where: The same with the whole path.
    """

    cells: Mapping[str, Any]
    name: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a reader of rows gives.

    Attributes:
        columns: Their names, in the order of the file.
        rows: Read when they are asked for; a finding stands for a row that cannot be read.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row | Finding]


def make_pages(
    rows: Iterable[Row | Finding], make: Callable[[Row], Page]
) -> tuple[list[Page], list[Finding]]:
    """A page for each row, and a finding for each row that is left out.

    Args:
        rows: As a table has them.
        make: Makes the page; raises BrokenLine for a row that gives none.
    """
    pages: list[Page] = []
    findings: list[Finding] = []
    for row in rows:
        if isinstance(row, Finding):
            findings.append(row)
            continue
        try:
            pages.append(make(row))
        except BrokenLine as broken:
            findings.append(broken.as_finding(row.where))
    return pages, findings
