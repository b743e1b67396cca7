"""A table or a file of chats → pages and findings."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ocrtune.errors import SourceError
from ocrtune.records import Finding, Page
from ocrtune.sources.image_paths import find_image
from ocrtune.sources.jsonl import BrokenLine
from ocrtune.sources.tables.chats import ChatPages
from ocrtune.sources.tables.columns import find_columns, has_image_column
from ocrtune.sources.tables.csv_rows import read_csv
from ocrtune.sources.tables.json_rows import read_json_rows
from ocrtune.sources.tables.options import TableRequest
from ocrtune.sources.tables.pages import TablePages
from ocrtune.sources.tables.rows import Table, make_pages


def read_table(request: TableRequest) -> tuple[list[Page], list[Finding]]:
    """The pages of a file, in the order of its rows, and everything that was odd; a broken row is left out.

    Raises:
        SourceError: There is no such file or root, or columns are not those looked for.
        ManifestError: The file as a whole cannot be read.
    """
    _require_places(request)
    try:
        return _read_chats(request) if request.kind == "chat" else _read_columns(request)
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error}", where=str(request.path)) from error


def read_table_rows(request: TableRequest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a file that give pages, each with the name of its page; of rows that are left out nothing is told here.

    Raises:
        SourceError: As `read_table`.
        ManifestError: As `read_table`.
    """
    _require_places(request)
    if request.kind == "chat":
        rows = read_json_rows(request).rows
        make = ChatPages(partial(find_image, key="image", root=request.image_root)).make
    else:
        table = _table(request)
        rows, make = table.rows, TablePages(find_columns(table.columns, request)[0], request.image_root).make
    for row in rows:
        if isinstance(row, Finding):
            continue
        try:
            yield make(row).name, row.cells
        except BrokenLine:
            continue


def _read_chats(request: TableRequest) -> tuple[list[Page], list[Finding]]:
    maker = ChatPages(partial(find_image, key="image", root=request.image_root))
    pages, findings = make_pages(read_json_rows(request).rows, maker.make)
    return pages, [*findings, *maker.findings()]


def _read_columns(request: TableRequest) -> tuple[list[Page], list[Finding]]:
    table = _table(request)
    columns, notes = find_columns(table.columns, request)
    pages, findings = make_pages(table.rows, TablePages(columns, request.image_root).make)
    return pages, [*notes, *findings]


def _table(request: TableRequest) -> Table:
    if request.kind == "csv":
        return read_csv(request, lambda names: has_image_column(names, request))
    return read_json_rows(request)


def _require_places(request: TableRequest) -> None:
    if not request.path.is_file():
        raise SourceError(
            f"{str(request.path)!r} is a folder",
            hint=f"{request.kind}: wants one file, as in {request.kind}:{request.path}/NAME",
        )
    if not request.image_root.is_dir():
        raise SourceError(
            f"there is no folder {str(request.image_root)!r}",
            where=str(request.path),
            hint="root= is seen from the folder of the file",
        )
