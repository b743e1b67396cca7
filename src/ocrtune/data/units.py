"""Pages → what stays together: documents, and documents that show the same page."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ocrtune.data.facts import image_digest
from ocrtune.data.fingerprints import MOST_BITS, find_near_duplicates, fingerprint, shape_of
from ocrtune.data.splits import draw_document
from ocrtune.errors import ImageError, OcrtuneError
from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources import open_image
from ocrtune.sources.importing import page_left_out

By = Literal["document", "page"]

Fingerprint = tuple[str, NDArray[np.uint64] | None]
"""The kind of an image, such as `line`, and uint64 (words,) that are compared within the kind; None compares with none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How images that show the same are told.

    Attributes:
        fingerprint: Raises ImageError.
        find_groups: uint64 (images, words) of a kind, and how many bits may differ → groups of at least two rows.
        most_bits: Kind → how many bits may differ.
    """

    fingerprint: Callable[[ImageSource], Fingerprint]
    find_groups: Callable[[NDArray[np.uint64], int], Iterable[Iterable[int]]]
    most_bits: Mapping[str, int]


def exact_fingerprint(source: ImageSource) -> Fingerprint:
    """uint64 (2,), equal for files of equal bytes, and for images in memory of equal pixels.

    Raises:
        ImageError: There is no such file.
    """
    digest = image_digest(source)
    if digest is None:
        raise ImageError("the image does not exist", where=str(source))
    return "", np.frombuffer(digest, dtype=np.uint64)


def find_equal(fingerprints: NDArray[np.uint64], most_bits: int) -> list[list[int]]:
    """Groups of rows that are equal in each bit; none may differ."""
    assert most_bits == 0
    rows: dict[bytes, list[int]] = defaultdict(list)
    for number, row in enumerate(fingerprints):
        rows[row.tobytes()].append(number)
    return [group for group in rows.values() if len(group) > 1]


EXACT = Likeness(fingerprint=exact_fingerprint, find_groups=find_equal, most_bits={"": 0})
"""The same file, or the same pixels."""


def near_fingerprint(source: ImageSource) -> Fingerprint:
    """By which two scans of a page are known, and how it was found: fingerprints of one kind are compared.

    Raises:
        ImageError: It cannot be opened.
    """
    image = open_image(source)
    found = fingerprint(image)
    return (shape_of(image.size), None) if found is None else (found.shape, found.words)


NEAR = Likeness(fingerprint=near_fingerprint, find_groups=find_near_duplicates, most_bits=MOST_BITS)
"""The same page, also where it was scanned or saved once more; every image is decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Pages that stay together.

    Attributes:
        names: The documents, or pages, that they are; several where they show the same.
        pages: Their places among the pages of all sources.
        source: The number of the source that most of them are of.
        has_images: There is something on them that can be read.
    """

    names: tuple[str, ...]
    pages: tuple[int, ...]
    source: int
    has_images: bool

    def __len__(self) -> int:
        """Number of pages."""
        return len(self.pages)

    def draw(self, seed: int) -> int:
        """The lowest number drawn for one of its documents; others that join them rarely change it."""
        return min(draw_document(name, seed) for name in self.names)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What parting needs of each page; pages of all sources stand one behind the other.

    Attributes:
        sources: Number of the source.
        documents: Its document.
        names: Its name, unique in the source.
        num_images: How many images it has.
        owners: Kind → page of each fingerprint.
        fingerprints: Kind → fingerprints.
        left_out: Places of the pages whose images cannot be read.
        findings: Why they cannot.
    """

    sources: list[int] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    num_images: list[int] = field(default_factory=list)
    owners: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    fingerprints: dict[str, list[NDArray[np.uint64]]] = field(default_factory=lambda: defaultdict(list))
    left_out: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of pages."""
        return len(self.sources)

    def add(self, page: Page, source: int, likeness: Likeness | None) -> None:
        """Take down a page of a source; its images are looked at only to tell which show the same."""
        place = len(self)
        self.sources.append(source)
        self.documents.append(page.document or page.name)
        self.names.append(page.name)
        self.num_images.append(len(page.images))
        if likeness is None:
            return
        try:
            found = [likeness.fingerprint(image) for image in page.images]
        except OcrtuneError as error:
            self.leave_out(place, page, error)
            return
        for kind, bits in found:
            if bits is not None:
                self.owners[kind].append(place)
                self.fingerprints[kind].append(bits)

    def leave_out(self, place: int, page: Page, error: OcrtuneError) -> None:
        """Take down that the images of a page cannot be read."""
        self.left_out.add(place)
        self.findings.append(page_left_out(page, error))


def build_units(seen: Seen, by: By, likeness: Likeness | None = None) -> list[Unit]:
    """Documents, or pages, joined where they show the same.

    Documents of one name in several sources are one document, for nobody can tell that they are not.
    """
    keys: list[Hashable] = (
        list(seen.documents) if by == "document" else list(zip(seen.sources, seen.names, strict=True))
    )
    groups = _groups(seen, likeness) if likeness else ()
    leaders = _join(keys, ({keys[place] for place in group} for group in groups))
    pages: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if place not in seen.left_out:
            pages[leaders[key]].append(place)
    names = seen.documents if by == "document" else seen.names
    return [_unit(places, names, seen) for places in pages.values()]


def _groups(seen: Seen, likeness: Likeness) -> Iterator[set[int]]:
    """Places of pages that show the same."""
    for kind, fingerprints in seen.fingerprints.items():
        owners = seen.owners[kind]
        for group in likeness.find_groups(np.stack(fingerprints), likeness.most_bits[kind]):
            yield {owners[row] for row in group}


def _join(keys: Iterable[Hashable], groups: Iterable[Iterable[Hashable]]) -> dict[Hashable, Hashable]:
    """Key → the one that stands for all keys it is in a group with."""
    leaders = {key: key for key in keys}

    def find(key: Hashable) -> Hashable:
        while leaders[key] != key:
            leaders[key] = key = leaders[leaders[key]]
        return key

    for group in groups:
        first, *others = group
        for other in others:
            leaders[find(other)] = find(first)
    return {key: find(key) for key in leaders}


def _unit(places: Sequence[int], names: Sequence[str], seen: Seen) -> Unit:
    sources = [seen.sources[place] for place in places]
    return Unit(
        names=tuple(dict.fromkeys(names[place] for place in places)),
        pages=tuple(places),
        source=max(sorted(set(sources)), key=sources.count),
        has_images=any(seen.num_images[place] for place in places),
    )
