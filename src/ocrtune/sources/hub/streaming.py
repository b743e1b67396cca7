"""The first rows of what is not on disk, with the bytes of their images kept in memory."""

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ocrtune.errors import SourceError
from ocrtune.records import EncodedImage, Finding, ImageSource, Page
from ocrtune.sources.hub.columns import HubColumns
from ocrtune.sources.hub.images import ImageFile, ImageFinder
from ocrtune.sources.hub.options import HubRequest
from ocrtune.sources.hub.pages import make_page
from ocrtune.sources.jsonl import BrokenLine

if TYPE_CHECKING:
    from datasets import IterableDataset

MOST_HELD_BYTES = 2**30
"""Of images of a stream, which are kept in memory."""


def require_limit(request: HubRequest) -> None:
    """Refuse a stream without an end.

    Raises:
        SourceError: A stream is asked for, and not how many rows of it.
    """
    if request.streaming and request.limit is None:
        raise SourceError(
            "a stream is kept in memory, so it must be said how many rows of it",
            where=request.name,
            hint="as in limit=200; without streaming=true all rows are fetched to disk once",
        )


def read_stream(
    stream: "IterableDataset", columns: HubColumns, finder: ImageFinder, name: str, limit: int
) -> tuple[list[Page], list[Finding]]:
    """The pages of the first rows, and findings for rows that have none.

    Raises:
        SourceError: Their images are more than `MOST_HELD_BYTES`.
    """
    pages: list[Page] = []
    findings: list[Finding] = []
    held = 0
    for number, cells in enumerate(islice(stream.decode(False), limit)):
        where = f"{name}#{number}"
        try:
            images, size = _images(cells, columns.table.image, finder, where)
            held += size
            page, notes = make_page({key: cells[key] for key in columns.light}, images, columns, where)
        except BrokenLine as broken:
            findings.append(broken.as_finding(where))
            continue
        if held > MOST_HELD_BYTES:
            raise SourceError(
                f"the images of {number + 1} rows are more than {MOST_HELD_BYTES} bytes",
                where=name,
                hint="take fewer by limit=, or leave streaming=true away: then they are fetched to disk once",
            )
        pages.append(page)
        findings += notes
    return pages, findings


def _images(
    cells: Mapping[str, Any], column: str, finder: ImageFinder, where: str
) -> tuple[tuple[ImageSource, ...], int]:
    """The images of a row, and how many bytes of them are held."""
    if not column:
        return (), 0
    value = cells[column]
    items = value if isinstance(value, list) else [value]
    contents = [item.get("bytes") if isinstance(item, dict) else item for item in items]
    contents = [content if isinstance(content, bytes) else None for content in contents]
    files = [
        ImageFile(has_bytes=content is not None, path=_path(item))
        for item, content in zip(items, contents, strict=True)
    ]
    sources = [
        finder.find(file) if content is None else EncodedImage(name=where, read=partial(bytes, content))
        for file, content in zip(finder.require(files), contents, strict=True)
    ]
    return tuple(source for source in sources if source is not None), sum(
        len(each) for each in contents if each
    )


def _path(item: Any) -> str:
    return item if isinstance(item, str) else (item.get("path") or "") if isinstance(item, dict) else ""
