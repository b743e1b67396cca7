"""Cells of Parquet files; the row groups last read are kept, for a cell cannot be read by itself."""

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from ocrtune.errors import ImageError, ShardError
from ocrtune.sources.image_paths import find_image
from ocrtune.sources.jsonl import BrokenLine

MOST_KEPT_BYTES = 256 * 2**20
"""Of row groups, in each process; a larger one is kept by itself."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one row group: what is read at once.

    Attributes:
        path: The file.
        group: The row group, from 0.
        name: The column's.
    """

    path: Path
    group: int
    name: str


class _Kept:
    """Columns last asked for, the ones asked for longest ago forgotten first."""

    def __init__(self) -> None:
        self._columns: OrderedDict[tuple[Column, int], pa.ChunkedArray] = OrderedDict()
        self._num_bytes = 0
        self._lock = Lock()

    def take(self, column: Column) -> pa.ChunkedArray:
        with self._lock:
            return self._take(column)

    def forget_lock(self) -> None:
        """After a fork: a thread of the other process may have held it."""
        self._lock = Lock()

    def _take(self, column: Column) -> pa.ChunkedArray:
        key = column, column.path.stat().st_mtime_ns
        if key in self._columns:
            self._columns.move_to_end(key)
            return self._columns[key]
        values = _read(column)
        self._columns[key] = values
        self._num_bytes += values.nbytes
        while self._num_bytes > MOST_KEPT_BYTES and len(self._columns) > 1:
            _, forgotten = self._columns.popitem(last=False)
            self._num_bytes -= forgotten.nbytes
        return values


_KEPT = _Kept()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_KEPT.forget_lock)


def _read(column: Column) -> pa.ChunkedArray:
    # Threads of Arrow's own would not outlive a fork, and each worker has one core.
    with pq.ParquetFile(column.path) as file:
        return file.read_row_group(column.group, columns=[column.name], use_threads=False)[column.name]


def read_cell(column: Column, row: int) -> pa.Scalar:
    """A cell of a row group.

    Args:
        column: Where it is.
        row: Which row of the group, from 0.

    Raises:
        ShardError: The row group cannot be read.
    """
    try:
        return _KEPT.take(column)[row]
    except (OSError, pa.ArrowException, IndexError, KeyError) as error:
        raise ShardError(
            f"row group {column.group} cannot be read: {' '.join(str(error).split())}",
            where=str(column.path),
            hint="fetch or write the file once more",
        ) from error


@dataclass(frozen=True, slots=True)
class ImageCell:
    """Reads the image of a cell when it is called; goes to other processes without it.

    Attributes:
        column: Where it is.
        row: Which row of the group, from 0.
        item: Which one of a list; None where the cell is no list.
        name: Of the image, for people.
        root: The folder that an image named by its path alone is in.
    """

    column: Column
    row: int
    item: int | None
    name: str
    root: Path

    def __call__(self) -> bytes:
        """The bytes of the image file.

        Raises:
            ImageError: There is none.
        """
        try:
            cell = read_cell(self.column, self.row)
        except ShardError as error:
            raise ImageError(error.message, where=self.name, hint=error.hint) from error
        value = cell.as_py() if self.item is None else cell.values[self.item].as_py()
        if isinstance(value, dict):
            content, path = value.get("bytes"), value.get("path")
            value = self._file(path) if content is None and path is not None else content
        if value is None:
            raise ImageError("the row has no image", where=self.name)
        return bytes(value)

    def _file(self, written: object) -> bytes:
        try:
            return find_image(written, self.column.name, self.root).read_bytes()
        except BrokenLine as broken:
            raise ImageError(str(broken), where=self.name, hint=broken.hint) from broken
        except OSError as error:
            raise ImageError(f"the image cannot be read: {error}", where=self.name) from error
