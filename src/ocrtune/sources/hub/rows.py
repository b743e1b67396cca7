"""Rows on disk, read one by one and in any process; bytes of an image are touched only when it is opened."""

import pickle
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from ocrtune.errors import ImageError
from ocrtune.records import EncodedImage, ImageSource
from ocrtune.sources.hub.columns import HubColumns
from ocrtune.sources.hub.images import ImageFile, ImageFinder

if TYPE_CHECKING:
    from datasets import Dataset

_ROWS_AT_ONCE = 1000
_OPEN_AT_ONCE = 8


class Rows:
    """Rows of a memory-mapped data set.

    In another process it is a list of files, mapped once there however many pages refer to it.

    Args:
        dataset: On disk.
        columns: Which column is what.
        name: Of the data set and split, for people and for names of pages.
    """

    def __init__(self, dataset: "Dataset", columns: HubColumns, name: str) -> None:
        self.columns = columns
        self.name = name
        image = columns.table.image
        self._images = dataset.select_columns([image]).with_format("arrow") if image else None
        self._light = dataset.select_columns(columns.light).with_format("arrow") if columns.light else None
        self._dataset = dataset
        self._pickled = b""

    def __len__(self) -> int:
        return len(self._dataset)

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._pickled:
            self._pickled = pickle.dumps((self._dataset, self.columns, self.name))
        return _reopen, (self._pickled,)

    def cells(self, row: int) -> Mapping[str, Any]:
        """The values of a row, without its images."""
        return {} if self._light is None else dict(self._light[row].to_pylist()[0])

    def files(self, row: int) -> list[ImageFile] | None:
        """What the row tells of each of its images; None where it has a null for them."""
        return [] if self._images is None else image_files(self._images[row].column(0)[0])

    def sources(self, row: int, finder: ImageFinder) -> tuple[ImageSource, ...]:
        """The images of a row.

        Raises:
            BrokenLine: One is null, or a path that leads elsewhere.
        """
        return tuple(
            finder.find(file)
            or EncodedImage(name=self._place(row, place), read=partial(_read, self, row, place))
            for place, file in enumerate(finder.require(self.files(row)))
        )

    def scan(self) -> Iterator[tuple[Mapping[str, Any], list[ImageFile] | None]]:
        """Cells and image files of all rows, a thousand at a time."""
        lights = _batches(self._light)
        if self._images is None:
            yield from ((cells, []) for batch in lights for cells in batch.to_pylist())
            return
        for batch in _batches(self._images):
            light = next(lights).to_pylist() if self._light is not None else [{}] * batch.num_rows
            yield from zip(light, map(image_files, batch.column(0)), strict=True)

    def content(self, row: int, place: int) -> bytes:
        """The bytes of an image of a row."""
        assert self._images is not None
        value = self._images[row].column(0)[0]
        value = value.values[place] if _is_list(value) else value
        return bytes((value["bytes"] if _is_struct(value) else value).as_py())

    def _place(self, row: int, place: int) -> str:
        return f"{self.name}#{row}" if place == 0 else f"{self.name}#{row}-{place + 1}"


def image_files(value: Any) -> list[ImageFile] | None:
    """What an Arrow scalar of an image column tells, without reading an image."""
    if not value.is_valid:
        return None
    return [_file(item) for item in value.values] if _is_list(value) else [_file(value)]


def _file(value: Any) -> ImageFile:
    if _is_struct(value):
        return ImageFile(
            has_bytes=value.is_valid and value["bytes"].is_valid,
            path=(value.is_valid and value["path"].as_py()) or "",
        )
    is_path = hasattr(value, "as_py") and str(value.type).endswith("string")
    return ImageFile(has_bytes=value.is_valid and not is_path, path=(value.as_py() or "") if is_path else "")


def _is_list(value: Any) -> bool:
    return hasattr(value, "values") and not _is_struct(value)


def _is_struct(value: Any) -> bool:
    return str(value.type).startswith("struct")


def _batches(dataset: Any) -> Iterator[Any]:
    return iter(()) if dataset is None else dataset.iter(batch_size=_ROWS_AT_ONCE)


@lru_cache(maxsize=_OPEN_AT_ONCE)
def _reopen(pickled: bytes) -> Rows:
    return Rows(*pickle.loads(pickled))  # noqa: S301 - written by __reduce__, a moment ago


def _read(rows: Rows, row: int, place: int) -> bytes:
    try:
        return rows.content(row, place)
    except Exception as error:  # pyarrow's, or the file is gone
        raise ImageError(f"the image cannot be read: {error}", where=f"{rows.name}#{row}") from error
