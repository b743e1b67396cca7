"""Several sources, at least one of them a stream → one stream of pages by number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ocrtune.config import DataSection, SourceSection
from ocrtune.data.mixing import OfSource, name_sources, of_source, part_of_source
from ocrtune.data.streams import Stream, is_stream, open_stream
from ocrtune.errors import ConfigError
from ocrtune.progress import track
from ocrtune.records import Finding, Page
from ocrtune.sources import read_source

SLOTS = 1000
"""Pages of a block; shares are kept exactly in each, to a thousandth."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Pages that have an end as a stream without one: each round holds every page once, in an order of its own.

    Attributes:
        pages: At least one.
        seed: Draws the orders.
    """

    pages: Sequence[Page]
    seed: int

    def page(self, number: int) -> Page:
        """The page of this number, 0 and up."""
        each, place = divmod(number, len(self.pages))
        return self.pages[int(_order(len(self.pages), self.seed, each)[place])]


@dataclass(frozen=True, slots=True)
class Renamed:
    """Pages of a stream as those of one source among others.

    Attributes:
        stream: Gives the pages.
        rename: What is changed.
    """

    stream: Stream
    rename: OfSource

    def page(self, number: int) -> Page:
        """The page of this number, 0 and up."""
        return self.rename(self.stream.page(number))


@dataclass(frozen=True, slots=True)
class MixedStream:
    """Pages of several streams in shares by weight.

    Which stream a number belongs to, and which page of it comes, depend on the number alone; so a run that goes on from
    its step gets what an uninterrupted one would.

    Attributes:
        parts: Give a page by number.
        weights: One for each.
        seed: Draws the order within each block.
        findings: What was odd about where the pages are read from.
        facts: What pages and their order depend on beside the recipe, by kind.
        num_pages: None: there is no end.
    """

    parts: Sequence[Callable[[int], Page]]
    weights: tuple[float, ...]
    seed: int
    findings: Sequence[Finding] = ()
    facts: dict[str, str] = field(default_factory=dict)
    num_pages: int | None = field(default=None, init=False)
    _counts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        total = sum(self.weights)
        ends = [round(SLOTS * end / total) for end in accumulate(self.weights)]
        counts = tuple(end - start for start, end in zip([0, *ends[:-1]], ends, strict=True))
        object.__setattr__(self, "_counts", counts)

    def page(self, number: int) -> Page:
        """The page of this number, 0 and up."""
        part, place = self.locate(number)
        return self.parts[part](place)

    def first(self, count: int) -> list[Page]:
        """The first pages."""
        return [self.page(number) for number in track(range(count), "reading pages")]

    def stride(self, count: int) -> int:
        """Numbers beyond the run's own."""
        return count

    def materials(self) -> dict[str, str]:
        """What pages and their order depend on beside the recipe, by kind."""
        return self.facts

    def locate(self, number: int) -> tuple[int, int]:
        """Which part a number belongs to, and the number of its page there."""
        block, slot = divmod(number, SLOTS)
        parts, ranks = _block(self._counts, self.seed, block)
        part = int(parts[slot])
        return part, block * self._counts[part] + int(ranks[slot])

    def count(self, numbers: int) -> list[int]:
        """How many of the first numbers belong to each part."""
        blocks, slots = divmod(numbers, SLOTS)
        parts, _ = _block(self._counts, self.seed, blocks)
        rest = np.bincount(parts[:slots], minlength=len(self._counts))
        return [blocks * whole + int(more) for whole, more in zip(self._counts, rest, strict=True)]


@lru_cache(maxsize=4)
def _order(count: int, seed: int, each: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, count, each)).permutation(count)


@lru_cache(maxsize=4)
def _block(counts: tuple[int, ...], seed: int, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 (SLOTS,) twice: the part of each slot, and how many earlier slots of the block belong to it."""
    parts = np.random.default_rng((seed, block)).permutation(np.repeat(np.arange(len(counts)), counts))
    ranks = np.empty_like(parts)
    for part, count in enumerate(counts):
        ranks[parts == part] = np.arange(count)
    return parts, ranks


def open_data_stream(data: DataSection, *, seed: int, lanes: int, batch_size: int) -> Stream:
    """The pages of a run of which at least one source is a stream, as `open_stream` gives those of one.

    Shards of a mixture are read by all processes: which of its pages an example is depends on the other sources, too.

    Raises:
        ConfigError: Several sources have no weights, or a stream is to be capped or repeated.
        OcrtuneError: A source cannot be read.
    """
    sections = data.mixed
    _require_weights(sections)
    names = name_sources(sections) if len(sections) > 1 else ("",)
    if len(sections) == 1 and not sections[0].prompts:
        return open_stream(
            sections[0].uri, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=data.shuffle_pages
        )
    opened = [_open_part(*each, data.shuffle_pages, seed) for each in zip(sections, names, strict=True)]
    return MixedStream(
        [make for make, _, _ in opened],
        tuple(section.weight or 1.0 for section in sections),
        seed,
        findings=[finding for _, findings, _ in opened for finding in findings],
        facts={
            f"{name}/{kind}": fact
            for name, (_, _, facts) in zip(names, opened, strict=True)
            for kind, fact in facts.items()
        },
    )


Part = tuple[Callable[[int], Page], Sequence[Finding], dict[str, str]]


def _open_part(section: SourceSection, name: str, shuffle_pages: int, seed: int) -> Part:
    if is_stream(section.uri):
        stream = open_stream(section.uri, seed=seed, shuffle_pages=shuffle_pages)
        return Renamed(stream, of_source(section, name, seed)).page, stream.findings, stream.materials()
    source = read_source(section.uri)
    pages = part_of_source(section, name, source.pages, seed)
    return Rounds(pages, seed).page, source.findings, {"pages": str(len(pages))}


def _require_weights(sections: Sequence[SourceSection]) -> None:
    problems = []
    if len(sections) > 1 and sections[0].weight is None:
        problems.append("data.sources: beside a stream each source needs a weight")
    problems += [
        f"data.sources: {section.uri!r} is a stream, which has no max_pages and no repeats"
        for section in sections
        if is_stream(section.uri) and (section.max_pages is not None or section.repeats != 1)
    ]
    total = sum(section.weight or 1.0 for section in sections)
    problems += [
        f"data.sources: the weight of {section.uri!r} is less than a thousandth of all"
        for section in sections
        if section.weight is not None and section.weight * SLOTS < total
    ]
    if problems:
        raise ConfigError(problems)
