"""Which pages are learned from, chosen on and kept for the end: whole documents, never parts of one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256

from ocrtune.config import DataSection
from ocrtune.data.streams import read_some
from ocrtune.errors import ConfigError
from ocrtune.records import Finding, Page

MOST_DOCUMENTS_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Pages by what they are used for, each in the order of its source.

    Attributes:
        train: Learned from.
        validation: Decoded during training to choose a checkpoint; may be empty.
        test: Used for neither; may be empty.
        findings: What was odd about a source of held-out pages of their own.
    """

    train: Sequence[Page]
    validation: Sequence[Page]
    test: Sequence[Page]
    findings: tuple[Finding, ...] = ()


def split_by_document(pages: Sequence[Page], data: DataSection, seed: int) -> Splits:
    """The pages of `data.uri` split as the section says.

    Test documents are taken out first. Validation pages are those of `validation_uri`, else of
    `validation_documents`, else of a share of the remaining documents: at least one if the share is not 0. The
    share is drawn by a hash of seed and name, so it depends neither on the order of pages nor, for
    the most part, on documents that come or go.

    Raises:
        ConfigError: A document is not there, a share of a single document is asked for, or nothing is left
            to learn from.
    """
    documents = list(dict.fromkeys(page.document for page in pages))
    _require_known(data, documents)
    test = set(data.test_documents)
    rest = [document for document in documents if document not in test]
    held_out = _validation_documents(rest, data, seed)
    train = tuple(page for page in pages if page.document not in test | held_out)
    if not train:
        raise ConfigError(
            [f"data: no page of {data.uri!r} is left to learn from"],
            hint="hold out fewer documents",
        )
    own = None if data.validation_uri is None else read_some(data.validation_uri)
    held_out_pages = [page for page in pages if page.document in held_out] if own is None else own.pages
    return Splits(
        train=train,
        validation=tuple(held_out_pages),
        test=tuple(page for page in pages if page.document in test),
        findings=() if own is None else tuple(own.findings),
    )


def _validation_documents(documents: Sequence[str], data: DataSection, seed: int) -> set[str]:
    if data.validation_uri is not None or data.validation_documents:
        return set(data.validation_documents)
    if data.validation_fraction == 0:
        return set()
    if len(documents) == 1:
        raise ConfigError(
            [f"data.validation_fraction: {documents[0]!r} is the only document, and none is ever cut in two"],
            hint="name `document` in the manifest, give data.validation_uri, or set validation_fraction to 0",
        )
    count = max(1, round(len(documents) * data.validation_fraction))
    drawn = sorted(documents, key=lambda document: draw_document(document, seed))
    return set(drawn[:count])


def draw_document(document: str, seed: int) -> int:
    """A number below 2⁶⁴ for a document, the same one wherever it is drawn; the lowest are held out."""
    return int.from_bytes(sha256(f"{seed}:{document}".encode()).digest()[:8])


def _require_known(data: DataSection, documents: Collection[str]) -> None:
    asked = {
        "data.validation_documents": data.validation_documents,
        "data.test_documents": data.test_documents,
    }
    problems = [
        f"{key}: {data.uri!r} has no document {name!r}{_nearest(name, documents)}"
        for key, names in asked.items()
        for name in names
        if name not in documents
    ]
    if problems:
        raise ConfigError(problems)


def _nearest(name: str, documents: Collection[str]) -> str:
    close = get_close_matches(name, documents, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    told = ", ".join(repr(document) for document in list(documents)[:MOST_DOCUMENTS_TOLD])
    more = len(documents) - MOST_DOCUMENTS_TOLD
    return f"; it has {told}" + (f" and {more} more" if more > 0 else "")
