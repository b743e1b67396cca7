"""A row → a page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources.hub.columns import HubColumns
from ocrtune.sources.hub.images import ImageFinder
from ocrtune.sources.hub.rows import Rows
from ocrtune.sources.jsonl import BrokenLine, take_label, take_text
from ocrtune.sources.tables.chats import ChatPages
from ocrtune.sources.tables.rows import Row
from ocrtune.text import shorten


class HubPages(Sequence[Page]):
    """The pages of the rows that have one; each is made when it is asked for.

    Args:
        rows: All rows.
        finder: Of image files that do not stand in the rows.
        numbers: int64 (pages,), the rows that have a page, from 0.
    """

    def __init__(self, rows: Rows, finder: ImageFinder, numbers: NDArray[np.int64]) -> None:
        self._rows = rows
        self._finder = finder
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Page: ...

    @overload
    def __getitem__(self, place: slice) -> list[Page]: ...

    def __getitem__(self, place: int | slice) -> Page | list[Page]:
        if isinstance(place, slice):
            return [self._page(number) for number in self._numbers[place].tolist()]
        return self._page(int(self._numbers[place]))

    def _page(self, number: int) -> Page:
        rows = self._rows
        images = rows.sources(number, self._finder)
        page, _ = make_page(rows.cells(number), images, rows.columns, f"{rows.name}#{number}")
        return page


def make_page(
    cells: Mapping[str, Any], images: tuple[ImageSource, ...], columns: HubColumns, name: str
) -> tuple[Page, list[Finding]]:
    """The page of a row, named by its place, and what is to be noted about it.

    Args:
        cells: Values of the row, without its images.
        images: Of the row.
        columns: Which column is what.
        name: Data set, split and number of the row; the row's document where none is told.

    Raises:
        BrokenLine: The row is no chat of one question, or its images do not fit to it.
    """
    if columns.chat:
        return _page_of_chat(cells, images, columns, name)
    table = columns.table
    page = Page(
        name=name,
        images=images,
        text=(take_text(cells, table.text) or None) if table.text else None,
        prompt=take_text(cells, table.prompt) if table.prompt else None,
        document=(take_label(cells, table.document) if table.document else "") or name,
        where=name,
    )
    return page, []


def _page_of_chat(
    cells: Mapping[str, Any], images: tuple[ImageSource, ...], columns: HubColumns, name: str
) -> tuple[Page, list[Finding]]:
    places = {str(number): image for number, image in enumerate(images)}

    def find(place: str) -> ImageSource:
        if place not in places:
            raise BrokenLine(
                f"the image {shorten(repr(place))} stands between texts, and not in a column of images",
                code="image-data",
                hint="put the images of a chat into a column of its own, `images`",
            )
        return places[place]

    turns = {key: _as_turns(value) for key, value in cells.items() if value is not None}
    document = take_label(cells, columns.table.document or "document") or name
    maker = ChatPages(find)
    row = Row(cells={**turns, "images": list(places), "document": document}, name=name, where=name)
    return replace(maker.make(row), name=name), maker.findings()


def _as_turns(value: Any) -> Any:
    """Turns as a list of objects; older data sets keep them as an object of lists."""
    if not isinstance(value, dict):
        return value
    return [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)]
