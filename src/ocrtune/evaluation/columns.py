"""What is known of each page: where it is from, its script, its length, and any column of a file of rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from ocrtune.data.scripts import main_script
from ocrtune.errors import EvaluationError
from ocrtune.records import Page
from ocrtune.sources import BUILTIN, sample_path
from ocrtune.sources.jsonl import BrokenLine, read_lines
from ocrtune.sources.page_rows import read_page_rows
from ocrtune.sources.tables.chats import is_chat

KNOWN = ("source", "script", "length", "tiles", "document")
"""Columns that are made where no file has them; `document` only where it is asked for."""

UNKNOWN = ""
"""The value of a page that a column says nothing about."""

LENGTHS = (100, 500, 2000)
"""Characters of the reference at which a new bin begins."""

_WRITTEN = ("source", "tiles", "num_tiles")
"""Columns that are looked for in every file."""

_JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_NO_COLUMNS = frozenset({"text", "image", "images"})

Columns = dict[str, list[str]]
"""Name → the value for each page, in the order of the pages."""


def describe_pages(pages: Sequence[Page], files: Sequence[Path | str], by: Sequence[str] = ()) -> Columns:
    """The columns that scores are sliced by: the known ones, and those asked for.

    Args:
        pages: With a text each.
        files: JSONL whose rows have `image`, such as predictions, by its path, and sources of pages by their uris: manifests and
            tables. Where several have a column, the first that knows a page counts.
        by: More columns: keys of the rows, or `document`.

    Raises:
        EvaluationError: No file has a column that is asked for.
    """
    written, keys = _read_columns(files, {*_WRITTEN, *by})
    _require(by, keys)
    columns = {
        "source": [_source(page, written) for page in pages],
        "script": [main_script(page.text or "") for page in pages],
        "length": [_length(page.text or "") for page in pages],
        "tiles": [_first(written, page.name, ("num_tiles", "tiles")) for page in pages],
    }
    for name in by:
        if name == "document":
            columns[name] = [page.document or page.name for page in pages]
        elif name not in columns:
            columns[name] = [_first(written, page.name, (name,)) for page in pages]
    return {name: values for name, values in columns.items() if name in by or any(values)}


def manifest_of(reference: str) -> Path | None:
    """The JSONL that a reference is read from, or None where it is something else, or no file."""
    path = sample_path("vicksburg_lines") if reference == BUILTIN else Path(reference)
    if path.is_dir():
        path /= "manifest.jsonl"
    is_manifest = path.suffix.lower() in _JSONL_SUFFIXES and path.is_file() and not is_chat(path)
    return path if is_manifest else None


def _source(page: Page, written: Mapping[str, Mapping[str, str]]) -> str:
    """What the file says, else the first folder of the page's name."""
    parts = PurePosixPath(page.name).parts
    return _first(written, page.name, ("source",)) or (parts[0] if len(parts) > 1 else UNKNOWN)


def _length(text: str) -> str:
    if len(text) < LENGTHS[0]:
        return f"under {LENGTHS[0]}"
    for low, high in pairwise(LENGTHS):
        if len(text) < high:
            return f"{low}–{high - 1}"
    return f"{LENGTHS[-1]} and over"


def _first(written: Mapping[str, Mapping[str, str]], name: str, columns: Iterable[str]) -> str:
    row = written.get(name, {})
    return next((row[column] for column in columns if row.get(column)), UNKNOWN)


def _read_columns(
    files: Sequence[Path | str], wanted: set[str]
) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Page → column → value, and all keys that any row has."""
    written: dict[str, dict[str, str]] = {}
    keys: set[str] = set()
    for file in files:
        for name, row in _rows_of(file, wanted):
            keys.update(row)
            known = written.setdefault(name, {})
            for column in wanted & row.keys():
                known[column] = known.get(column) or _as_value(row[column])
    return written, keys - _NO_COLUMNS


def _rows_of(file: Path | str, wanted: set[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = file if isinstance(file, Path) else manifest_of(file)
    return read_page_rows(str(file), wanted) if path is None else _named_rows(path)


def _named_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows with the page that they are of; broken lines are told by whoever reads pages or predictions."""
    for line in read_lines(path):
        try:
            row = line.parse()
        except BrokenLine:
            continue
        images = row.get("images")
        image = row.get("image", images[0] if isinstance(images, list) and images else None)
        yield (image if isinstance(image, str) else f"{path.name}:{line.number}"), row


def _as_value(value: object) -> str:
    if value is None or isinstance(value, list | dict | bytes):
        return UNKNOWN
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require(by: Sequence[str], keys: set[str]) -> None:
    for name in by:
        if name not in keys and name not in KNOWN:
            known = sorted({*keys, *KNOWN})
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise EvaluationError(
                f"no page has a column {name!r}",
                hint=f"{hint}known: {', '.join(known)}; columns are read from manifests, CSV, Parquet, and JSONL of predictions",
            )
