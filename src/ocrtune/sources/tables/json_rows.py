"""A file of JSON objects, one a line or in one list → rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ocrtune.errors import ManifestError
from ocrtune.records import Finding
from ocrtune.sources.encodings import find_encoding, other_encoding_hint
from ocrtune.sources.json_text import KeyTwice, unique_keys
from ocrtune.sources.jsonl import BrokenLine, OtherEncoding, kind_of, read_lines
from ocrtune.sources.tables.options import TableRequest
from ocrtune.sources.tables.rows import Row, Table

MOST_LIST_BYTES = 256 * 2**20
"""A list is read whole, so it may not be larger; lines may be as many as they like."""

NUM_ROWS_FOR_COLUMNS = 100
"""Rows that tell which columns there are."""

_HEAD_BYTES = 2**20
_MOST_TOLD = 5


def read_json_rows(request: TableRequest) -> Table:
    """The rows of a file, lines read as they are asked for, a list at once.

    Raises:
        ManifestError: The list is too large, no JSON or in another encoding, or none of the first rows can be read.
    """
    is_list = _head(request.path, request.encoding).startswith("[")
    rows = _rows_of_list(request) if is_list else _rows_of_lines(request)
    ahead = list(islice(rows, NUM_ROWS_FOR_COLUMNS))
    columns = dict.fromkeys(key for row in ahead if isinstance(row, Row) for key in row.cells)
    broken = [row for row in ahead if isinstance(row, Finding)]
    if broken and len(broken) == len(ahead) and request.kind != "chat":
        raise _no_rows(broken, request.path)
    return Table(columns=tuple(columns), rows=chain(ahead, rows))


def first_object(path: Path) -> Mapping[str, Any]:
    """The first object of the file, whatever the rest of it is; empty where it begins with none."""
    try:
        row, _ = json.JSONDecoder().raw_decode(_head(path).removeprefix("[").lstrip())
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _no_rows(findings: Sequence[Finding], path: Path) -> ManifestError:
    told = [f"  - {finding.message} ({finding.where})" for finding in findings[:_MOST_TOLD]]
    return ManifestError(
        "\n".join([f"none of the first {len(findings)} rows can be read", *told]),
        where=str(path),
        hint=next((finding.hint for finding in findings if finding.hint), ""),
    )


def _head(path: Path, asked: str | None = None) -> str:
    encoding, mark = find_encoding(path, asked)
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES).removeprefix(mark).decode(encoding, errors="replace").lstrip()


def _rows_of_lines(request: TableRequest) -> Iterator[Row | Finding]:
    path = request.path
    for line in read_lines(path, request.encoding):
        where = f"{path}:{line.number}"
        try:
            yield Row(cells=line.parse(), name=f"{path.name}:{line.number}", where=where)
        except OtherEncoding as broken:
            broken.hint = other_encoding_hint(request.kind, path)
            yield broken.as_finding(where)
        except BrokenLine as broken:
            yield broken.as_finding(where)


def _rows_of_list(request: TableRequest) -> Iterator[Row | Finding]:
    path = request.path
    for number, cells in enumerate(_load_list(request), start=1):
        where = f"{path}#{number}"
        if isinstance(cells, dict):
            yield Row(cells=cells, name=f"{path.name}#{number}", where=where)
        else:
            yield BrokenLine(f"{kind_of(cells)}, not an object").as_finding(where)


def _load_list(request: TableRequest) -> list[object]:
    path = request.path
    size = path.stat().st_size
    if size > MOST_LIST_BYTES:
        raise ManifestError(
            f"a list is read whole, and this one has {size} bytes, more than {MOST_LIST_BYTES}",
            where=str(path),
            hint="write it as JSONL, one object a line, which is read line by line",
        )
    try:
        encoding, mark = find_encoding(path, request.encoding)
        rows = json.loads(
            path.read_bytes().removeprefix(mark).decode(encoding), object_pairs_hook=unique_keys
        )
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"the list is not {encoding.upper()} at byte {len(mark) + error.start}",
            where=str(path),
            hint=other_encoding_hint(request.kind, path),
        ) from error
    except json.JSONDecodeError as error:
        raise ManifestError(
            f"the list is not JSON at column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}",
            where=f"{path}:{error.lineno}",
            hint="a file of lines begins with { and not with [",
        ) from error
    except KeyTwice as error:
        raise ManifestError(f"of an object of the list {error}", where=str(path)) from error
    except (RecursionError, ValueError) as error:
        raise ManifestError(
            "the list is not JSON: nested too deep, or a number is too long", where=str(path)
        ) from error
    assert isinstance(rows, list)
    return rows
