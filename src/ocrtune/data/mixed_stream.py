"""Several sources, one of them without end → one stream of pages by number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ocrtune.records import Page

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
class MixedStream:
    """Pages of several streams in shares by weight.

    Which stream a number belongs to, and which page of it comes, depend on the number alone; so a run that goes on from
    its step gets what an uninterrupted one would.

    Attributes:
        parts: Give a page by number.
        weights: One for each.
        seed: Draws the order within each block.
    """

    parts: Sequence[Callable[[int], Page]]
    weights: tuple[float, ...]
    seed: int
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
