"""A data set → pages and findings."""

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ocrtune.progress import track
from ocrtune.records import EncodedImage, Finding, Page
from ocrtune.sources.hub.columns import find_hub_columns
from ocrtune.sources.hub.images import ImageFinder
from ocrtune.sources.hub.opening import image_roots, naming_errors, open_rows
from ocrtune.sources.hub.options import HubRequest
from ocrtune.sources.hub.pages import HubPages, make_page
from ocrtune.sources.hub.rows import Rows
from ocrtune.sources.hub.streaming import read_stream, require_limit
from ocrtune.sources.jsonl import BrokenLine

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

_UNREAD = EncodedImage(name="", read=bytes)
"""Stands for an image in a row while rows are looked through."""


def read_hub(request: HubRequest) -> tuple[Sequence[Page], list[Finding]]:
    """The pages of a split, in the order of its rows, and everything that was odd; a broken row is left out.

    Images stay on disk until they are opened; of a stream the first rows are kept in memory.

    Raises:
        SourceError: The data set cannot be reached or read, or columns are not those looked for.
    """
    require_limit(request)
    dataset, split = open_rows(request)
    with naming_errors(request):
        return _read(dataset, f"{request.path.name}/{split}", request)


def _read(
    dataset: "Dataset | IterableDataset", name: str, request: HubRequest
) -> tuple[Sequence[Page], list[Finding]]:
    from datasets import IterableDataset  # noqa: PLC0415 - takes a second that only this source needs

    columns, notes = find_hub_columns(_features(dataset), request)
    finder = ImageFinder(columns.table.image, image_roots(request))
    if isinstance(dataset, IterableDataset):
        assert request.limit is not None
        pages, findings = read_stream(dataset, columns, finder, name, request.limit)
        return pages, [*notes, *findings]
    if request.limit is not None:
        dataset = dataset.select(range(min(request.limit, len(dataset))))
    rows = Rows(dataset, columns, name)
    numbers, findings = _scan(rows, finder)
    return HubPages(rows, finder, numbers), [*notes, *findings]


def _features(dataset: "Dataset | IterableDataset") -> Mapping[str, Any]:
    # Of a stream of JSON or CSV they are not known before its first rows are looked at.
    features = dataset.features or dataset._resolve_features().features  # noqa: SLF001
    return features or {}


def _scan(rows: Rows, finder: ImageFinder) -> tuple[NDArray[np.int64], list[Finding]]:
    """The rows that have a page, and findings; images are not read."""
    numbers = array("q")
    findings: list[Finding] = []
    for number, (cells, files) in enumerate(track(rows.scan(), "reading rows", total=len(rows))):
        where = f"{rows.name}#{number}"
        try:
            images = tuple(finder.find(file) or _UNREAD for file in finder.require(files))
            page, notes = make_page(cells, images, rows.columns, where)
        except BrokenLine as broken:
            findings.append(broken.as_finding(where))
            continue
        numbers.append(number)
        findings += notes
        if page.text is None and rows.columns.table.text:
            findings.append(_textless(rows.columns.table.text, where))
    return np.array(numbers, dtype=np.int64), findings


def _textless(column: str, where: str) -> Finding:
    return Finding(
        code="text-null",
        severity="warning",
        message=f"`{column}` is null or empty: the page has no text to learn from",
        where=where,
    )
