"""Parquet files → pages: one of each row, its images in the cells or beside the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ocrtune.errors import ShardError, SourceError
from ocrtune.progress import track
from ocrtune.records import EncodedImage, Finding, ImageSource, Page
from ocrtune.sources.image_paths import find_image
from ocrtune.sources.jsonl import BrokenLine
from ocrtune.sources.shards.cells import MOST_KEPT_BYTES, Column, ImageCell, read_cell
from ocrtune.sources.shards.files import Shard
from ocrtune.sources.shards.notes import Notes
from ocrtune.sources.shards.options import ShardRequest
from ocrtune.sources.shards.pages import Piece, ShardPages, no_image
from ocrtune.sources.tables.columns import Columns, find_columns

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_CHAT_COLUMNS = ("messages", "conversations")


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageForm:
    """How a column has its images.

    Attributes:
        is_list: A cell holds several.
        is_path: A cell holds paths and not the files themselves.
    """

    is_list: bool
    is_path: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One file that can be read.

    Attributes:
        shard: The file.
        images: How its images are there.
        rows: Rows of each row group.
    """

    shard: Shard
    images: _ImageForm
    rows: tuple[int, ...]


class ParquetPages(ShardPages):
    """Pages of Parquet files; of each row group 8 bytes are kept.

    Args:
        tables: The files.
        pieces: What is known of each.
        columns: Which column is what.
        root: The folder that images named by their paths are in; None for that of each file.
    """

    def __init__(
        self, tables: Sequence[_Table], pieces: Sequence[Piece], columns: Columns, root: str
    ) -> None:
        self.pieces = tuple(pieces)
        self._tables = tuple(tables)
        self._columns = columns
        self._root = root
        self._groups = [(table, group) for table in tables for group in range(len(table.rows))]
        self._ends = np.cumsum([table.rows[group] for table, group in self._groups], dtype=np.int64)
        self._table_starts = np.cumsum([0, *(sum(table.rows) for table in tables)], dtype=np.int64)

    def item(self, place: int) -> Page:
        """The page at a place: the texts of its row group are read, images only where cells hold lists of them."""
        number = int(np.searchsorted(self._ends, place, side="right"))
        table, group = self._groups[number]
        row = place - (int(self._ends[number - 1]) if number else 0)
        of_table = int(np.searchsorted(self._table_starts, place, side="right")) - 1
        within = place - int(self._table_starts[of_table]) + 1
        cells = _Row(table, group, row, f"{table.shard.path}#{within}")
        name = f"{table.shard.name}#{within}"
        columns = self._columns
        return Page(
            name=name,
            images=tuple(cells.images(columns.image, table.shard.path.parent / self._root)),
            text=cells.text(columns.text),
            prompt=cells.text(columns.prompt),
            document=cells.text(columns.document) or name,
            where=cells.where,
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a row group."""

    table: _Table
    group: int
    row: int
    where: str

    def text(self, column: str) -> str | None:
        """The text or number of a cell as text; None where there is none."""
        if not column:
            return None
        try:
            value = self._cell(column).as_py()
        except UnicodeDecodeError as error:
            raise ShardError(f"`{column}` is not UTF-8 at byte {error.start}", where=self.where) from error
        return None if value is None else str(value)

    def images(self, column: str, root: Path) -> Iterator[ImageSource]:
        form = self.table.images
        if form.is_list:
            values = self._cell(column).values
            num_images = 0 if values is None else len(values)
            for item in range(num_images):
                yield self._image(column, item, root)
            if not num_images:
                yield no_image(self.where, f"the row has no image: `{column}` is empty")
        else:
            yield self._image(column, None, root)

    def _image(self, column: str, item: int | None, root: Path) -> ImageSource:
        name = self.where if item is None else f"{self.where}-{item + 1}"
        if not self.table.images.is_path:
            return EncodedImage(name=name, read=ImageCell(self._column(column), self.row, item, name, root))
        cell = self._cell(column)
        written = (cell if item is None else cell.values[item]).as_py()
        if not written:
            return no_image(name, f"the row has no image: `{column}` is empty")
        try:
            return find_image(written, column, root)
        except BrokenLine as broken:
            return no_image(name, str(broken), broken.hint)

    def _cell(self, column: str) -> pa.Scalar:
        try:
            return read_cell(self._column(column), self.row)
        except ShardError as error:
            # Each of its pages is one that cannot be read.
            error.where = self.where
            raise

    def _column(self, column: str) -> Column:
        return Column(self.table.shard.path, self.group, column)


def read_parquets(shards: Sequence[Shard], request: ShardRequest) -> tuple[ParquetPages, list[Finding]]:
    """The pages of Parquet files, and everything that was odd; only the ends of files are read.

    Columns are those of the first file that can be read; a file that has others is left out.

    Args:
        shards: The files, in order.
        request: Names columns.

    Raises:
        SourceError: Columns are not those looked for, or of types that hold neither images nor texts.
    """
    notes = Notes()
    tables: list[_Table] = []
    pieces: list[Piece] = []
    columns: Columns | None = None
    found: list[Finding] = []
    for shard in track(shards, "reading ends of Parquet files"):
        file = _open(shard, notes)
        if file is None:
            continue
        if columns is None:
            _refuse_chats(file.schema_arrow.names, request)
            columns, found = find_columns(file.schema_arrow.names, request)
        try:
            form = _require_types(file.schema_arrow, columns, shard)
        except SourceError as error:
            if not tables:
                raise
            notes.add("shard-columns", "error", error.message, where=str(shard.path), hint=error.hint)
            continue
        groups = _groups(file, shard, notes)
        tables.append(_Table(shard=shard, images=form, rows=groups))
        size = shard.path.stat().st_size
        pieces.append(Piece(name=shard.name, num_pages=sum(groups), num_bytes=size))
    pages = ParquetPages(tables, pieces, columns or Columns(image=""), request.root)
    return pages, [*found, *notes.findings()]


def _open(shard: Shard, notes: Notes) -> pq.ParquetFile | None:
    try:
        with pq.ParquetFile(shard.path) as file:
            return file
    except (OSError, pa.ArrowException) as error:
        message = f"the file cannot be read: {' '.join(str(error).split())}"
        hint = "fetch or write the file once more"
        notes.add("shard-broken", "error", message, where=str(shard.path), hint=hint)
        return None


def _groups(file: pq.ParquetFile, shard: Shard, notes: Notes) -> tuple[int, ...]:
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    if any(group.total_byte_size > MOST_KEPT_BYTES for group in groups):
        notes.add(
            "shard-row-group",
            "warning",
            f"a row group, which is read at once, has more than {MOST_KEPT_BYTES // 2**20} MiB",
            where=str(shard.path),
            hint="write row groups of some hundred rows",
        )
    return tuple(group.num_rows for group in groups)


def _require_types(schema: pa.Schema, columns: Columns, shard: Shard) -> _ImageForm:
    for name in filter(None, (columns.text, columns.prompt, columns.document)):
        kind = _plain(_type(schema, name, shard))
        is_label = name == columns.document and pa.types.is_integer(kind)
        if not (_is_text(kind) or pa.types.is_null(kind) or is_label):
            raise SourceError(f"the column {name!r} holds {kind}, not texts", where=str(shard.path))
    kind = _plain(_type(schema, columns.image, shard))
    is_list = any(check(kind) for check in _LISTS)
    inner = _plain(kind.value_type) if is_list else kind
    if not (_is_text(inner) or _is_binary(inner) or _is_struct_of_image(inner)):
        raise SourceError(
            f"the column {columns.image!r} holds {kind}, not images",
            where=str(shard.path),
            hint="images are files in binary, structs of `bytes` and `path`, or paths; or lists of these",
        )
    return _ImageForm(is_list=is_list, is_path=_is_text(inner))


def _type(schema: pa.Schema, name: str, shard: Shard) -> pa.DataType:
    if schema.names.count(name) != 1:
        raise SourceError(
            f"there is no column {name!r}, or there are two",
            where=str(shard.path),
            hint="all files of a source have the same columns",
        )
    return schema.field(name).type


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in checks)


def _is_binary(kind: pa.DataType) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def _is_struct_of_image(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind):
        return False
    kinds = [_plain(field.type) for field in kind.fields if field.name == "bytes"]
    # Where all images are named by their paths there are no bytes of any kind.
    return len(kinds) == 1 and (_is_binary(kinds[0]) or pa.types.is_null(kinds[0]))


def _refuse_chats(names: Sequence[str], request: ShardRequest) -> None:
    chats = next((name for name in _CHAT_COLUMNS if name in names), None)
    if chats is not None and "text" not in names and "text" not in request.columns:
        raise SourceError(
            f"the table holds chats in {chats!r}, and chats are read from JSON only",
            where=str(request.path),
            hint="name a column of texts by text=; or write rows with paths of images as JSONL, which chat: reads",
        )
