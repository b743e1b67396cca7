"""Several sources → the pages of one run, and how many of each come in an epoch."""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from ocrtune.config import DataSection, SourceSection
from ocrtune.data.splits import Splits, split_by_document
from ocrtune.records import Finding, Page
from ocrtune.sequences import Joined, Mapped, Selected
from ocrtune.sources import read_source


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPages:
    """The pages of all sources of a run.

    Attributes:
        pages: Source after source. Of several sources, names of pages and documents begin with the source's.
        findings: What reading the sources found.
        names: What the sources are called, in order.
        sizes: Pages of each.
    """

    pages: Sequence[Page]
    findings: list[Finding]
    names: tuple[str, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One source's part in what is learned from.

    Attributes:
        name: The source's.
        uri: The source's.
        start: Place of its first page among all that are learned from.
        num_pages: Its pages.
        num_examples: How many come in an epoch; more or fewer than the pages where the recipe says so.
    """

    name: str
    uri: str
    start: int
    num_pages: int
    num_examples: int


@dataclass(frozen=True, slots=True)
class Mixture:
    """How many pages of which source come in an epoch, and which.

    Attributes:
        shares: Source after source.
        seed: Draws pages.
    """

    shares: tuple[Share, ...]
    seed: int

    @property
    def is_plain(self) -> bool:
        """An epoch takes each page once."""
        return all(share.num_examples == share.num_pages for share in self.shares)

    @property
    def num_examples(self) -> int:
        """Examples of an epoch."""
        return sum(share.num_examples for share in self.shares)

    def draw(self, epoch: int) -> NDArray[np.int64]:
        """int64 (num_examples,), places of the pages of an epoch, source after source; each epoch has its own.

        A source's pages are taken in rounds that each hold every page once, one round after the other through all
        epochs: no page comes a second time before all have come.
        """
        return np.concatenate([self._draw(number, share, epoch) for number, share in enumerate(self.shares)])

    def count(self, places: NDArray[np.int64]) -> list[int]:
        """How many of the places belong to each source."""
        ends = np.array([share.start + share.num_pages for share in self.shares])
        counts = np.bincount(np.searchsorted(ends, places, side="right"), minlength=len(ends))
        return [int(count) for count in counts]

    def sizes(self) -> str:
        """How many pages there are of each source, in words."""
        return ", ".join(f"{share.num_pages} of {share.name}" for share in self.shares)

    def as_rows(self, seen: Sequence[int]) -> list[dict[str, object]]:
        """One row for each source, with the examples of it that were learned from."""
        return [
            {
                "name": share.name,
                "uri": share.uri,
                "pages": share.num_pages,
                "examples_per_epoch": share.num_examples,
                "examples_seen": count,
            }
            for share, count in zip(self.shares, seen, strict=True)
        ]

    def _draw(self, number: int, share: Share, epoch: int) -> NDArray[np.int64]:
        if not share.num_examples:
            return np.empty(0, dtype=np.int64)
        first = epoch * share.num_examples
        rounds = range(first // share.num_pages, (first + share.num_examples - 1) // share.num_pages + 1)
        drawn = np.concatenate([self._round(number, share, each) for each in rounds])
        offset = first - rounds.start * share.num_pages
        return share.start + drawn[offset : offset + share.num_examples]

    def _round(self, number: int, share: Share, each: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, number, each)).permutation(share.num_pages)


def read_data(data: DataSection, seed: int) -> MixedPages:
    """The pages of `data.uri`, or of all `data.sources`.

    Raises:
        OcrtuneError: A source cannot be read.
    """
    sections = data.mixed
    names = name_sources(sections)
    sources = [read_source(section.uri) for section in sections]
    parts = [
        part_of_source(section, name if len(sections) > 1 else "", source.pages, seed)
        for section, name, source in zip(sections, names, sources, strict=True)
    ]
    return MixedPages(
        pages=Joined(parts) if len(parts) > 1 else parts[0],
        findings=[finding for source in sources for finding in source.findings],
        names=names,
        sizes=tuple(map(len, parts)),
    )


def split_data(data: DataSection, seed: int) -> Splits:
    """The pages of the run's data, split as the section says.

    Raises:
        OcrtuneError: A source cannot be read or split.
    """
    mixed = read_data(data, seed)
    return split_by_document(mixed.pages, data, seed, sizes=mixed.sizes)


def make_mixture(
    sections: Sequence[SourceSection], mixed: MixedPages, places: NDArray[np.int64], seed: int
) -> Mixture:
    """What an epoch takes of each source.

    Args:
        sections: The sources.
        mixed: Their pages.
        places: int64 (n,), ascending: the pages among them that are learned from.
        seed: Draws pages.
    """
    ends = np.searchsorted(places, np.cumsum(mixed.sizes))
    starts = np.concatenate([[0], ends[:-1]])
    sizes = (ends - starts).tolist()
    shares = tuple(
        Share(name=name, uri=section.uri, start=int(start), num_pages=size, num_examples=count)
        for section, name, start, size, count in zip(
            sections, mixed.names, starts, sizes, _examples(sections, sizes), strict=True
        )
    )
    return Mixture(shares, seed)


def name_sources(sections: Sequence[SourceSection]) -> tuple[str, ...]:
    """What sources are called: as the recipe says, else by the last part of the uri, numbered where two are alike."""
    taken = {section.name for section in sections}
    names: list[str] = []
    for section in sections:
        name = section.name or _free_name(_short_name(section.uri), taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def _examples(sections: Sequence[SourceSection], sizes: Sequence[int]) -> list[int]:
    """Examples of each source in an epoch."""
    if sections[0].weight is None:
        return [section.repeats * size for section, size in zip(sections, sizes, strict=True)]
    weights = [section.weight or 0.0 if size else 0.0 for section, size in zip(sections, sizes, strict=True)]
    ends = [round(sum(sizes) * end / sum(weights)) for end in accumulate(weights)]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _short_name(uri: str) -> str:
    path = uri.partition(":")[2] or uri
    return PurePath(path.partition("?")[0]).stem or "source"


def _free_name(name: str, taken: set[str | None]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def part_of_source(section: SourceSection, name: str, pages: Sequence[Page], seed: int) -> Sequence[Page]:
    """The pages of a source that a run takes, with the prompts and the names it gives them."""
    if section.max_pages is not None and section.max_pages < len(pages):
        drawn = np.random.default_rng((seed, len(pages))).permutation(len(pages))[: section.max_pages]
        pages = Selected(pages, np.sort(drawn))
    return Mapped(pages, of_source(section, name, seed)) if name or section.prompts else pages


def of_source(section: SourceSection, name: str, seed: int) -> "OfSource":
    """Makes pages of a source those of one among others; `name` is empty where it is the only one."""
    return OfSource(name, tuple(section.prompts), tuple(section.prompts.values()), seed)


@dataclass(frozen=True, slots=True)
class OfSource:
    """A page as one of a source among others: with names of its own, and a prompt drawn for it.

    Attributes:
        name: Of the source; empty to leave names as they are.
        prompts: To draw from for pages with images and without a prompt of their own; may be empty.
        weights: One for each prompt.
        seed: Draws.
    """

    name: str
    prompts: tuple[str, ...]
    weights: tuple[float, ...]
    seed: int

    def __call__(self, page: Page) -> Page:
        """The page as one of the source."""
        prefix = f"{self.name}/" if self.name else ""
        return replace(
            page,
            name=f"{prefix}{page.name}",
            document=f"{prefix}{page.document}",
            prompt=self._draw(page.name) if self._needs_prompt(page) else page.prompt,
        )

    def _needs_prompt(self, page: Page) -> bool:
        # The prompts of a source ask for an image, as the family's do; a page of text alone brings its own.
        return bool(self.prompts) and page.prompt is None and bool(page.images)

    def _draw(self, name: str) -> str:
        drawn = int.from_bytes(sha256(f"{self.seed}:prompt:{name}".encode()).digest()[:8]) / 2**64
        ends = list(accumulate(self.weights))
        return self.prompts[min(bisect(ends, drawn * ends[-1]), len(ends) - 1)]
