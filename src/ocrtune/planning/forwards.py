"""Examples put together to forwards: the usual one, by which time is counted, and the largest, by which memory is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ocrtune.planning.pages import Example, Sample
from ocrtune.planning.shapes import Work

FILL = 0.95
"""Share of a packed row that holds examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How examples are put into forwards.

    Attributes:
        rows: Rows of a forward.
        pack_tokens: Most positions of a packed row; None where a row is one example.
        chunk_views: Most views in one forward of the vision encoders; None for all.
    """

    rows: int = 1
    pack_tokens: int | None = None
    chunk_views: int | None = None

    def examples(self, sample: Sample) -> float:
        """Examples of a forward, in the mean."""
        if self.pack_tokens is None:
            return float(self.rows)
        return self.rows * max(1.0, FILL * self.pack_tokens / sample.positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualForward:
    """A forward as it usually is.

    Attributes:
        work: Its text; of views none.
        examples: In it.
        views: By side in pixels, so many of each.
    """

    work: Work
    examples: float
    views: dict[int, float]


def usual_forward(
    sample: Sample, grouping: Grouping, *, window: bool, bucketed: bool, seed: int = 0
) -> UsualForward:
    """The mean forward.

    Args:
        sample: The examples.
        grouping: How they are put together.
        window: The family's attention has a mask of its own.
        bucketed: Examples of like length are put together.
        seed: Of the order, where they are not.
    """
    examples = grouping.examples(sample)
    if grouping.pack_tokens is None:
        positions = _padded_positions(sample, grouping.rows, bucketed=bucketed, seed=seed)
    else:
        positions = examples / grouping.rows * sample.positions
    return UsualForward(
        work=Work(
            rows=grouping.rows,
            positions=round(positions),
            supervised=round(examples * sample.supervised),
            chunk_views=grouping.chunk_views,
            masked=_is_masked(grouping, window=window),
        ),
        examples=examples,
        views={side: count * examples for side, count in sample.views().items()},
    )


def largest_forward(sample: Sample, grouping: Grouping, *, window: bool) -> Work:
    """A forward that no other of these examples exceeds in positions, targets or views."""
    if grouping.pack_tokens is None:
        positions, rows = sample.longest, grouping.rows
        by_targets = sorted(sample.examples, key=lambda example: -example.supervised)[:rows]
        by_views = sorted(sample.examples, key=_pixels, reverse=True)[:rows]
        # Fewer examples than rows: they come more than once.
        supervised = sum(example.supervised for example in _repeated(by_targets, rows))
        sides = [side for example in _repeated(by_views, rows) for side in example.sides]
    else:
        positions, rows = grouping.pack_tokens, grouping.rows
        supervised = rows * sum(
            example.supervised
            for example in _filling(sample, positions, lambda example: example.supervised / example.positions)
        )
        filling = _filling(sample, positions, lambda example: _pixels(example) / example.positions)
        sides = [side for example in filling for side in example.sides] * rows
    return Work(
        rows=rows,
        positions=positions,
        supervised=supervised,
        views=Work.count_views(sides),
        chunk_views=grouping.chunk_views,
        masked=_is_masked(grouping, window=window),
    )


def _is_masked(grouping: Grouping, *, window: bool) -> bool:
    return window or grouping.rows > 1 or grouping.pack_tokens is not None


def _pixels(example: Example) -> int:
    return sum(side**2 for side in example.sides)


def _repeated(examples: Sequence[Example], count: int) -> Iterator[Example]:
    for index in range(count):
        yield examples[index % len(examples)]


def _filling(sample: Sample, tokens: int, density: Callable[[Example], float]) -> list[Example]:
    """Examples that fill a row, the densest first; they may come more than once, as in a long epoch others would."""
    chosen, left = [], tokens
    for example in sorted(sample.examples, key=density, reverse=True):
        if example.positions <= left:
            chosen.append(example)
            left -= example.positions
    return chosen or [sample.examples[-1]]


def _padded_positions(sample: Sample, rows: int, *, bucketed: bool, seed: int) -> float:
    lengths = np.array([example.positions for example in sample.examples])
    if not bucketed:
        lengths = np.random.default_rng(seed).permutation(lengths)
    return float(np.mean([lengths[start : start + rows].max() for start in range(0, len(lengths), rows)]))
