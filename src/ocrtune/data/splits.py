"""Which pages are learned from, chosen on and kept for the end: whole documents, never parts of one."""

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ocrtune.config import DataSection
from ocrtune.data.streams import read_some
from ocrtune.errors import ConfigError
from ocrtune.records import Finding, Page
from ocrtune.sequences import Selected

MOST_DOCUMENTS_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Pages by what they are used for, each in the order of its source.

    Attributes:
        train: Learned from.
        validation: Decoded during training to choose a checkpoint; may be empty.
        test: Used for neither; may be empty.
        places: int64 (train,), places of the pages learned from among all pages of the run's data.
        findings: What was odd about a source of held-out pages of their own.
    """

    train: Sequence[Page]
    validation: Sequence[Page]
    test: Sequence[Page]
    places: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Documents:
    """What splitting needs of each page.

    Attributes:
        draws: uint64 (pages,), drawn for the page's document; it stands for the document.
        shown: bool (pages,), the page has an image.
        sizes: Pages of each source, one behind the other.
        seed: Has drawn.
    """

    draws: NDArray[np.uint64]
    shown: NDArray[np.bool_]
    sizes: Sequence[int]
    seed: int

    def of_names(self, names: Collection[str]) -> NDArray[np.uint64]:
        """The draws of documents by name."""
        return np.array([draw_document(name, self.seed) for name in names], dtype=np.uint64)

    def of_sources(self, free: NDArray[np.bool_]) -> list[NDArray[np.uint64]]:
        """The draws of each source's documents with free pages, ascending."""
        ends = np.cumsum(self.sizes)
        starts = ends - self.sizes
        return [
            np.unique(self.draws[start:end][free[start:end]]) for start, end in zip(starts, ends, strict=True)
        ]


def split_by_document(
    pages: Sequence[Page], data: DataSection, seed: int, *, sizes: Sequence[int] | None = None
) -> Splits:
    """The pages of the run's data split as the section says.

    Test documents are taken out first. Validation pages are those of `validation_uri`, else of
    `validation_documents`, else of a share of the remaining documents of each source: at least one if the share is
    not 0. The share is drawn by a hash of seed and name, so it depends neither on the order of pages nor, for
    the most part, on documents that come or go. Beside pages with images, those of text alone are never held out: there
    is nothing on them to be read.

    Args:
        pages: Of all sources.
        data: Says what is held out.
        seed: Draws documents.
        sizes: Pages of each source, one behind the other; None for one source.

    Raises:
        ConfigError: A document is not there, a share of a single document is asked for, or nothing is left
            to learn from.
    """
    documents = _look_at(pages, seed, sizes or [len(pages)])
    _require_known(data, pages, documents)
    is_test = np.isin(documents.draws, documents.of_names(data.test_documents))
    held_out = ~is_test & np.isin(documents.draws, _held_out(pages, documents, ~is_test, data))
    places = np.flatnonzero(~is_test & ~held_out)
    if not len(places):
        raise ConfigError(
            [f"data: no page of {data.title!r} is left to learn from"], hint="hold out fewer documents"
        )
    own = None if data.validation_uri is None else read_some(data.validation_uri)
    return Splits(
        train=Selected(pages, places),
        validation=Selected(pages, np.flatnonzero(held_out)) if own is None else own.pages,
        test=Selected(pages, np.flatnonzero(is_test)),
        places=places,
        findings=() if own is None else tuple(own.findings),
    )


def draw_document(document: str, seed: int) -> int:
    """A number below 2⁶⁴ for a document, the same one wherever it is drawn; the lowest are held out."""
    return int.from_bytes(sha256(f"{seed}:{document}".encode()).digest()[:8])


def _look_at(pages: Sequence[Page], seed: int, sizes: Sequence[int]) -> _Documents:
    draws, shown = array("Q"), bytearray()
    for page in pages:
        draws.append(draw_document(page.document, seed))
        shown.append(bool(page.images))
    return _Documents(
        draws=np.array(draws, dtype=np.uint64),
        shown=np.frombuffer(bytes(shown), dtype=np.uint8) > 0,
        sizes=sizes,
        seed=seed,
    )


def _held_out(
    pages: Sequence[Page], documents: _Documents, free: NDArray[np.bool_], data: DataSection
) -> NDArray[np.uint64]:
    """The draws of the documents to hold out."""
    if data.validation_uri is not None or data.validation_documents:
        return documents.of_names(data.validation_documents)
    if data.validation_fraction == 0:
        return documents.of_names(())
    free = free & documents.shown if documents.shown.any() else free
    of_sources = documents.of_sources(free)
    most = max(map(len, of_sources))
    if most == 0:
        return documents.of_names(())
    if most == 1:
        raise _single_document(pages, free)
    # A source of one document cannot be parted; the others are held out for it.
    return np.concatenate(
        [
            draws[: max(1, round(len(draws) * data.validation_fraction))]
            for draws in of_sources
            if len(draws) > 1
        ]
    )


def _single_document(pages: Sequence[Page], free: NDArray[np.bool_]) -> ConfigError:
    document = pages[int(np.flatnonzero(free)[0])].document
    return ConfigError(
        [f"data.validation_fraction: {document!r} is the only document, and none is ever cut in two"],
        hint="name `document` in the manifest, read a PDF with document_pages=20, give data.validation_uri, or set "
        "validation_fraction to 0",
    )


def _require_known(data: DataSection, pages: Sequence[Page], documents: _Documents) -> None:
    asked = {
        "data.validation_documents": data.validation_documents,
        "data.test_documents": data.test_documents,
    }
    names = [(key, name) for key, known in asked.items() for name in known]
    there = np.isin(documents.of_names([name for _, name in names]), documents.draws)
    unknown = [asked for asked, known in zip(names, there, strict=True) if not known]
    if unknown:
        known = list(dict.fromkeys(page.document for page in pages))
        raise ConfigError(
            [
                f"{key}: {data.title!r} has no document {name!r}{_nearest(name, known)}"
                for key, name in unknown
            ]
        )


def _nearest(name: str, documents: Sequence[str]) -> str:
    close = get_close_matches(name, documents, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    told = ", ".join(repr(document) for document in documents[:MOST_DOCUMENTS_TOLD])
    more = len(documents) - MOST_DOCUMENTS_TOLD
    return f"; it has {told}" + (f" and {more} more" if more > 0 else "")
