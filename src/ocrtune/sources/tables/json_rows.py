"""A file of JSON objects, one a line or in one list → rows."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ocrtune.errors import ManifestError
from ocrtune.records import Finding
from ocrtune.sources.jsonl import BrokenLine, kind_of, parse_line, read_lines
from ocrtune.sources.tables.rows import Row, Table

MOST_LIST_BYTES = 256 * 2**20
"""A list is read whole, so it may not be larger; lines may be as many as they like."""

NUM_ROWS_FOR_COLUMNS = 100
"""Rows that tell which columns there are."""

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 2**20


def read_json_rows(path: Path) -> Table:
    """The rows of a file in UTF-8, lines read as they are asked for, a list at once.

    Raises:
        ManifestError: A line or the list is too large, or the list is no JSON; of lines when they are asked for.
    """
    rows = _rows_of_list(path) if _head(path).startswith("[") else _rows_of_lines(path)
    ahead = list(islice(rows, NUM_ROWS_FOR_COLUMNS))
    columns = dict.fromkeys(key for row in ahead if isinstance(row, Row) for key in row.cells)
    return Table(columns=tuple(columns), rows=chain(ahead, rows))


def first_object(path: Path) -> Mapping[str, Any]:
    """The first object of the file, whatever the rest of it is; empty where it begins with none."""
    try:
        row, _ = json.JSONDecoder().raw_decode(_head(path).removeprefix("[").lstrip())
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).removeprefix(_BOM).decode("utf-8", errors="replace").lstrip()


def _rows_of_lines(path: Path) -> Iterator[Row | Finding]:
    for line in read_lines(path):
        where = f"{path}:{line.number}"
        try:
            yield Row(cells=parse_line(line.content), name=f"{path.name}:{line.number}", where=where)
        except BrokenLine as broken:
            yield broken.as_finding(where)


def _rows_of_list(path: Path) -> Iterator[Row | Finding]:
    for number, cells in enumerate(_load_list(path), start=1):
        where = f"{path}#{number}"
        if isinstance(cells, dict):
            yield Row(cells=cells, name=f"{path.name}#{number}", where=where)
        else:
            yield BrokenLine(f"{kind_of(cells)}, not an object").as_finding(where)


def _load_list(path: Path) -> list[object]:
    size = path.stat().st_size
    if size > MOST_LIST_BYTES:
        raise ManifestError(
            f"a list is read whole, and this one has {size} bytes, more than {MOST_LIST_BYTES}",
            where=str(path),
            hint="write it as JSONL, one object a line, which is read line by line",
        )
    try:
        rows = json.loads(path.read_bytes().removeprefix(_BOM).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ManifestError(f"the list is not UTF-8 at byte {error.start}", where=str(path)) from error
    except json.JSONDecodeError as error:
        raise ManifestError(
            f"the list is not JSON at column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}",
            where=f"{path}:{error.lineno}",
            hint="a file of lines begins with { and not with [",
        ) from error
    except (RecursionError, ValueError) as error:
        raise ManifestError(
            "the list is not JSON: nested too deep, or a number is too long", where=str(path)
        ) from error
    assert isinstance(rows, list)
    return rows
