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
    """A stream whose pages have the names and prompts of a source.

    Attributes:
        stream: Gives the pages.
        rename: What is changed.
    """

    stream: Stream
    rename: OfSource

    @property
    def num_pages(self) -> int | None:
        """Of the stream."""
        return self.stream.num_pages

    @property
    def findings(self) -> Sequence[Finding]:
        """Of the stream."""
        return self.stream.findings

    def page(self, number: int) -> Page:
        """The page of this number, 0 and up."""
        return self.rename(self.stream.page(number))

    def first(self, count: int) -> list[Page]:
        """Those of the stream that stand for all."""
        return [self.rename(page) for page in self.stream.first(count)]

    def stride(self, count: int) -> int:
        """Of the stream."""
        return self.stream.stride(count)

    def materials(self) -> dict[str, str]:
        """Of the stream."""
        return self.stream.materials()


@dataclass(frozen=True, slots=True)
class MixedStream:
    """Pages of several streams in shares by weight.

    Which stream a number belongs to, and which page of it comes, depend on the number alone; so a run that goes on from
    its step gets what an uninterrupted one would.

    Attributes:
        parts: Give a page by number.
        weights: One for each.
        seed: Draws the order of parts, the same in each block.
        findings: What was odd about where the pages are read from.
        facts: What pages and their order depend on beside the recipe, by kind.
        sizes: Pages of each part, None without end; empty where nobody asks.
        num_pages: None: there is no end.
    """

    parts: Sequence[Callable[[int], Page]]
    weights: tuple[float, ...]
    seed: int
    findings: Sequence[Finding] = ()
    facts: dict[str, str] = field(default_factory=dict)
    sizes: tuple[int | None, ...] = ()
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
        """Whole blocks beyond the run's own numbers: what stands for a page is of the same part."""
        return -(-count // SLOTS) * SLOTS

    def materials(self) -> dict[str, str]:
        """What pages and their order depend on beside the recipe, by kind."""
        return self.facts

    def locate(self, number: int) -> tuple[int, int]:
        """Which part a number belongs to, and the number of its page there."""
        block, slot = divmod(number, SLOTS)
        parts, ranks = _block(self._counts, self.seed)
        part = int(parts[slot])
        return part, block * self._counts[part] + int(ranks[slot])

    def count(self, numbers: int) -> list[int]:
        """How many of the first numbers belong to each part."""
        blocks, slots = divmod(numbers, SLOTS)
        parts, _ = _block(self._counts, self.seed)
        rest = np.bincount(parts[:slots], minlength=len(self._counts))
        return [blocks * whole + int(more) for whole, more in zip(self._counts, rest, strict=True)]


@lru_cache(maxsize=16)
def _order(count: int, seed: int, each: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, count, each)).permutation(count)


@lru_cache(maxsize=4)
def _block(counts: tuple[int, ...], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64 (SLOTS,) twice: the part of each slot of any block, and how many earlier slots belong to it."""
    parts = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
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
    if len(sections) == 1:
        stream = open_stream(
            sections[0].uri, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=data.shuffle_pages
        )
        return Renamed(stream, of_source(sections[0], "", seed)) if sections[0].prompts else stream
    names = name_sources(sections)
    opened = [_open_part(*each, data.shuffle_pages, seed) for each in zip(sections, names, strict=True)]
    return MixedStream(
        [part.make for part in opened],
        tuple(section.weight or 1.0 for section in sections),
        seed,
        findings=[finding for part in opened for finding in part.findings],
        facts={
            f"{name}/{kind}": fact
            for name, part in zip(names, opened, strict=True)
            for kind, fact in part.facts.items()
        },
        sizes=tuple(part.num_pages for part in opened),
    )


def mixture_rows(
    stream: Stream, data: DataSection, num_examples: int | Sequence[int]
) -> list[dict[str, object]]:
    """One row for each source of a stream that `open_data_stream` gave, as `Mixture.as_rows` has them.

    Args:
        stream: The pages.
        data: The section it was opened for.
        num_examples: How many were learned from, the first ones of the stream, or how many of each source. What stood
            for pages left out was of the same source.
    """
    is_mixed = isinstance(stream, MixedStream)
    sizes = stream.sizes if isinstance(stream, MixedStream) else (stream.num_pages,)
    if isinstance(num_examples, int):
        seen = stream.count(num_examples) if isinstance(stream, MixedStream) else [num_examples]
    else:
        seen = list(num_examples)
    names = name_sources(data.mixed)
    return [
        {
            "name": name,
            "uri": section.uri,
            "pages": size,
            # Sources of a mixture come to their ends at different times.
            "examples_per_epoch": None if is_mixed else size,
            "examples_seen": count,
        }
        for section, name, size, count in zip(data.mixed, names, sizes, seen, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A source of a mixture: what gives its pages by number, how many there are, and what was odd about it."""

    make: Callable[[int], Page]
    num_pages: int | None
    findings: Sequence[Finding]
    facts: dict[str, str]


def _open_part(section: SourceSection, name: str, shuffle_pages: int, seed: int) -> _Part:
    if is_stream(section.uri):
        stream = open_stream(section.uri, seed=seed, shuffle_pages=shuffle_pages)
        return _Part(
            make=Renamed(stream, of_source(section, name, seed)).page,
            num_pages=stream.num_pages,
            findings=stream.findings,
            facts=stream.materials(),
        )
    source = read_source(section.uri)
    pages = part_of_source(section, name, source.pages, seed)
    return _Part(
        make=Rounds(pages, seed).page,
        num_pages=len(pages),
        findings=source.findings,
        facts={"pages": str(len(pages))},
    )


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
