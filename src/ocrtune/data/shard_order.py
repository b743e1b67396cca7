"""The order in which a run learns from pages of shards: a function of numbers alone.

A lane is one worker of one rank. Batch b of a run goes to rank b % ranks and there to worker (b // ranks) % workers, so
its lane is b % (ranks × workers). Each lane has shards of its own and reads them nearly in order.
"""

from collections.abc import Sequence
from heapq import heapify, heapreplace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDERS_KEPT = 3
"""Epochs whose order is kept: the current one, the next, and the one that stands in for pages left out."""

Run = tuple[int, int]
"""First page and the one behind the last, of pages that are read in order."""


class ShardOrder:
    """Which page comes as the n-th example of a run.

    In each epoch every page comes once. Lanes get whole shards, the largest first, each to the lane with the fewest
    pages; where shards are fewer than lanes, lanes get equal runs of pages. A lane reads its shards in an order of its
    own, and pages are shuffled among `shuffle_pages` that follow each other. What the fullest lanes have more than
    their share comes at the end of the epoch in lanes that have less.

    Args:
        sizes: Pages of each shard; at least one page in all.
        seed: Together with the epoch it fixes the order.
        lanes: Ranks × workers; workers count 1 where there are none.
        batch_size: Examples of a forward, on each rank.
        shuffle_pages: Pages that are shuffled with each other; 1 leaves shards in their order.
    """

    def __init__(
        self, sizes: Sequence[int], *, seed: int, lanes: int, batch_size: int, shuffle_pages: int
    ) -> None:
        self.num_pages = sum(sizes)
        self.lanes = lanes
        self.batch_size = batch_size
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._seed = seed
        self._shuffle_pages = shuffle_pages
        self._kept: dict[int, NDArray[np.int64]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Orders are made anew in other processes: they are larger than what makes them.
        return {**self.__dict__, "_kept": {}}

    def place(self, number: int) -> int:
        """The place of a page among all pages of the shards, for the number of an example in the run, from 0."""
        epoch, slot = divmod(number, self.num_pages)
        return int(self.epoch(epoch)[slot])

    def lane(self, number: int) -> int:
        """Which lane gets the example of a number."""
        return number // self.batch_size % self.lanes

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """int64 (num_pages,), places of the pages of an epoch in the order of its examples."""
        if epoch not in self._kept:
            while len(self._kept) >= ORDERS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[epoch] = self._make(epoch)
        return self._kept[epoch]

    def _make(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng((self._seed, epoch))
        first = epoch * self.num_pages
        # An epoch may begin within a batch: its lanes are those of the run's batches.
        lanes = (np.arange(first, first + self.num_pages) // self.batch_size % self.lanes).astype(np.int32)
        wanted = np.bincount(lanes, minlength=self.lanes)
        given = _level([self._shuffled(runs, random) for runs in self._deal(random)], wanted)
        order = np.empty(self.num_pages, dtype=np.int64)
        for lane, places in enumerate(given):
            order[lanes == lane] = places
        return order

    def _deal(self, random: np.random.Generator) -> list[list[Run]]:
        """The runs of pages of each lane, in the order in which it reads them."""
        starts = np.concatenate([[0], self._ends[:-1]])
        shards = [
            (int(start), int(end)) for start, end in zip(starts, self._ends, strict=True) if end > start
        ]
        if len(shards) < self.lanes:
            cut = _cut(shards, self.num_pages, self.lanes)
            return [cut[lane] for lane in random.permutation(self.lanes)]
        mixed = [shards[number] for number in random.permutation(len(shards))]
        dealt: list[list[Run]] = [[] for _ in range(self.lanes)]
        loads = [(0, lane) for lane in range(self.lanes)]
        heapify(loads)
        for run in sorted(mixed, key=lambda run: run[0] - run[1]):
            load, lane = loads[0]
            dealt[lane].append(run)
            heapreplace(loads, (load + run[1] - run[0], lane))
        return [[runs[number] for number in random.permutation(len(runs))] for runs in dealt]

    def _shuffled(self, runs: Sequence[Run], random: np.random.Generator) -> NDArray[np.int64]:
        """The pages of runs, shuffled in windows: what is kept in memory never spans more than one of them."""
        size = self._shuffle_pages
        places = np.concatenate([np.arange(0), *(np.arange(*run) for run in runs)])
        # Windows begin elsewhere in each epoch, so that pages change their company.
        head = min(int(random.integers(size)), len(places))
        num_whole = (len(places) - head) // size
        tail = head + num_whole * size
        random.shuffle(places[:head])
        windows = places[head:tail].reshape(num_whole, size)
        random.permuted(windows, axis=1, out=windows)
        random.shuffle(places[tail:])
        return places


def _cut(shards: Sequence[Run], num_pages: int, lanes: int) -> list[list[Run]]:
    """Equal runs of pages for each lane, cut at the borders of shards too."""
    bounds = [lane * num_pages // lanes for lane in range(lanes + 1)]
    return [
        [(max(low, start), min(high, end)) for start, end in shards if max(low, start) < min(high, end)]
        for low, high in pairwise(bounds)
    ]


def _level(lanes: Sequence[NDArray[np.int64]], wanted: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """As many places for each lane as it wants: the last ones of the fullest lanes go to those that have too few."""
    surplus = [len(places) - int(most) for places, most in zip(lanes, wanted, strict=True)]
    fullest_first = sorted(range(len(lanes)), key=lambda lane: -surplus[lane])
    spare = np.concatenate([np.arange(0), *(lanes[lane][wanted[lane] :] for lane in fullest_first)])
    levelled, taken = list(lanes), 0
    for lane, more in enumerate(surplus):
        if more >= 0:
            levelled[lane] = lanes[lane][: wanted[lane]]
        else:
            levelled[lane] = np.concatenate([lanes[lane], spare[taken : taken - more]])
            taken -= more
    return levelled
