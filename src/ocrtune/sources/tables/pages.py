"""Rows of a table → pages."""

from collections.abc import Sequence
from pathlib import Path

from ocrtune.records import Page
from ocrtune.sources.image_paths import find_image
from ocrtune.sources.jsonl import BrokenLine, take_label, take_path, take_target, take_text
from ocrtune.sources.manifest import own_document
from ocrtune.sources.tables.columns import Columns
from ocrtune.sources.tables.rows import Row
from ocrtune.text import shorten


class TablePages:
    """Makes pages of the rows of one table.

    Args:
        columns: Which column is what.
        root: The folder that images are in.
    """

    def __init__(self, columns: Columns, root: Path) -> None:
        self._columns = columns
        self._root = root
        self._first_places: dict[str, str] = {}

    def make(self, row: Row) -> Page:
        """The page of a row, named by its image as written there.

        Raises:
            BrokenLine: The row has no image, one outside the root, or one that an earlier row has; or a value of
                another type than its column should have.
        """
        columns = self._columns
        written = _written(row.cells.get(columns.image), columns.image)
        images = tuple(find_image(image, columns.image, self._root) for image in written)
        name = written[0] if written else row.name
        page = Page(
            name=name,
            images=images,
            text=take_target(row.cells, columns.text) if columns.text else None,
            prompt=take_text(row.cells, columns.prompt) if columns.prompt else None,
            document=self._document(row) or own_document(written, name),
            where=row.where,
        )
        self._require_new(name, row.name)
        return page

    def _document(self, row: Row) -> str:
        return take_label(row.cells, self._columns.document) if self._columns.document else ""

    def _require_new(self, name: str, place: str) -> None:
        first = self._first_places.setdefault(name, place)
        if first != place:
            raise BrokenLine(
                f"the image {shorten(name)!r} is there already, in {first}",
                code="image-twice",
                hint="keep one row of each image",
            )


def _written(value: object, column: str) -> Sequence[str]:
    """The image paths of a cell: one, or those of a list, which may be empty for text alone."""
    if value is None or value == "":
        raise BrokenLine(f"the row has no image: `{column}` is empty", code="image-none")
    if isinstance(value, list):
        return [take_path(path, column) for path in value]
    return [take_path(value, column)]
