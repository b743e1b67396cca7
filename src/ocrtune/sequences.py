"""Sequences made of others without copying them: a selection, a row of several, each item changed.

Pages of a large source are read when they are asked for; these keep it so.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Given = TypeVar("Given")


class LazySequence(Sequence[Item], Generic[Item]):
    """A sequence whose items are made when they are asked for."""

    def item(self, place: int) -> Item:
        """The item at a place, from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        places = range(len(self))
        if isinstance(place, slice):
            return [self.item(each) for each in places[place]]
        return self.item(places[place])


class Selected(LazySequence[Item]):
    """Items of a sequence, by their places.

    Args:
        items: The sequence.
        places: int64 (n,), each a place in it; one may come several times.
    """

    def __init__(self, items: Sequence[Item], places: NDArray[np.int64]) -> None:
        self._items = items
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def item(self, place: int) -> Item:
        """The item at a place, from 0."""
        return self._items[int(self._places[place])]


class Joined(LazySequence[Item]):
    """Several sequences, one behind the other.

    Args:
        parts: The sequences.
    """

    def __init__(self, parts: Sequence[Sequence[Item]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def item(self, place: int) -> Item:
        """The item at a place, from 0."""
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]


class Mapped(LazySequence[Item], Generic[Given, Item]):
    """Each item of a sequence as a function makes it.

    Args:
        items: The sequence.
        make: Makes of an item what stands in its place; goes to other processes with it.
    """

    def __init__(self, items: Sequence[Given], make: Callable[[Given], Item]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    def item(self, place: int) -> Item:
        """The item at a place, from 0."""
        return self._make(self._items[place])
