"""The rows that pages are made of, with all their columns: of tables in CSV, JSON and Parquet."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ocrtune.sources.shards.files import SUFFIXES, find_shards
from ocrtune.sources.shards.options import ShardRequest, parse_shard_request
from ocrtune.sources.tables.chats import is_chat
from ocrtune.sources.tables.options import TableRequest, parse_table_request
from ocrtune.sources.tables.reading import read_table_rows

Rows = Iterator[tuple[str, Mapping[str, Any]]]

_CSV_SUFFIXES = frozenset({".csv", ".tsv"})
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})


def read_page_rows(uri: str, wanted: set[str]) -> Rows:
    """Each row that gives a page, with the page's name as `read_pages` has it; none where a source has no rows.

    Args:
        uri: As for `read_pages`; a manifest, whose rows are those of its file, is none of these.
        wanted: The columns whose values are needed; of Parquet the others are None.

    Raises:
        SourceError: As `read_pages`, for the same file.
    """
    request = parse_shard_request(uri) or parse_table_request(uri) or _request_of(Path(uri))
    if isinstance(request, TableRequest):
        yield from read_table_rows(request)
    elif request is not None and request.kind == "parquet":
        yield from _parquet_rows(request, wanted)


def _request_of(path: Path) -> TableRequest | ShardRequest | None:
    suffix = path.suffix.lower()
    if not path.is_file():
        return None
    if suffix in _CSV_SUFFIXES:
        return TableRequest(path=path, kind="csv")
    if suffix in SUFFIXES["parquet"]:
        return ShardRequest(path=path, kind="parquet")
    return TableRequest(path=path, kind="chat") if suffix in _JSON_SUFFIXES and is_chat(path) else None


def _parquet_rows(request: ShardRequest, wanted: set[str]) -> Rows:
    import pyarrow as pa  # noqa: PLC0415  # Arrow takes a while to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    for shard in find_shards(request):
        try:
            with pq.ParquetFile(shard.path) as file:
                names = file.schema_arrow.names
                found = file.read(columns=[name for name in names if name in wanted]).to_pylist()
        except (OSError, pa.ArrowException):
            continue  # told, and left out, where the pages are read
        known = dict.fromkeys(names)
        for place in range(file.metadata.num_rows):
            yield f"{shard.name}#{place + 1}", known | (found[place] if found else {})
