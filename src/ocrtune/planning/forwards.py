"""Examples put together to forwards: the usual one, by which time is counted, and the largest, by which memory is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocrtune.config import TrainingSection
from ocrtune.models.features import most_views
from ocrtune.models.supervised import NEEDS_WHOLE_ROWS
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
        chunk_views: Most views in one forward of the vision encoders; None for as many as the model takes by itself.
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
class Computation:
    """How forwards are computed, whatever is in them.

    Attributes:
        window: The family's attention has a mask of its own.
        trims_rows: The last layer of the decoder computes supervised positions alone where a row is one example.
        trims_packed: The same in packed rows.
        device_kind: Where the model is, such as `cuda`.
        number_bytes: Of a value of a view in the encoders' dtype.
    """

    window: bool
    trims_rows: bool
    trims_packed: bool
    device_kind: str
    number_bytes: int

    @classmethod
    def of(
        cls, training: TrainingSection, *, window: bool, device_kind: str, number_bytes: int
    ) -> "Computation":
        """As the loop of a recipe has it; guidance looks at whole rows, and so does the loss of the router."""
        asked = {"output_router_logits"} if training.router_loss else set()
        trims = training.guidance is None
        return cls(
            window=window,
            trims_rows=trims and asked.isdisjoint(NEEDS_WHOLE_ROWS),
            trims_packed=trims and (asked | {"segments"}).isdisjoint(NEEDS_WHOLE_ROWS),
            device_kind=device_kind,
            number_bytes=number_bytes,
        )

    def most_views(self, sides_px: Iterable[int], chunk_views: int | None) -> tuple[tuple[int, int], ...]:
        """Most views of each side in one forward of the vision encoders."""
        return tuple(
            (side, chunk_views or most_views(side, self.number_bytes, self.device_kind)) for side in sides_px
        )


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
    sample: Sample, grouping: Grouping, computation: Computation, *, bucketed: bool, seed: int = 0
) -> UsualForward:
    """The mean forward.

    Args:
        sample: The examples.
        grouping: How they are put together.
        computation: How forwards are computed.
        bucketed: Examples of like length are put together.
        seed: Of the order, where they are not.
    """
    examples, views = grouping.examples(sample), sample.views()
    text: dict[str, Any] = {
        "supervised": round(examples * sample.supervised),
        "most_views": computation.most_views(views, grouping.chunk_views),
    }
    if grouping.pack_tokens is None:
        batches = list(_batches(sample, grouping.rows, bucketed=bucketed, seed=seed))
        most = round(_mean_of_most(batches, lambda example: example.supervised))
        work = Work(
            rows=grouping.rows,
            positions=round(_mean_of_most(batches, lambda example: example.positions)),
            most_supervised=most if computation.trims_rows else None,
            masked=computation.window or grouping.rows > 1,
            **text,
        )
    else:
        work = Work(
            rows=1,
            positions=round(examples * sample.positions),
            most_supervised=text["supervised"] if computation.trims_packed else None,
            segments=max(1, round(examples)),
            masked=computation.window,
            **text,
        )
    of_all = {side: count * examples for side, count in views.items()}
    return UsualForward(work=work, examples=examples, views=of_all)


def largest_forward(sample: Sample, grouping: Grouping, computation: Computation) -> Work:
    """A forward that no other of these examples exceeds in positions, targets or views."""
    if grouping.pack_tokens is not None:
        return _largest_packed(sample, grouping, grouping.pack_tokens, computation)
    rows = grouping.rows
    by_targets = sorted(sample.examples, key=lambda example: -example.supervised)[:rows]
    by_views = sorted(sample.examples, key=_pixels, reverse=True)[:rows]
    # Fewer examples than rows: they come more than once.
    sides = [side for example in _repeated(by_views, rows) for side in example.sides]
    return Work(
        rows=rows,
        positions=sample.longest,
        supervised=sum(example.supervised for example in _repeated(by_targets, rows)),
        most_supervised=by_targets[0].supervised if computation.trims_rows else None,
        views=Work.count_views(sides),
        most_views=computation.most_views(set(sides), grouping.chunk_views),
        masked=computation.window or rows > 1,
    )


def _largest_packed(sample: Sample, grouping: Grouping, tokens: int, computation: Computation) -> Work:
    """All packs of a forward stand in one row."""
    rows = grouping.rows
    by_targets = _filling(sample, tokens, lambda example: example.supervised / example.positions)
    supervised = rows * sum(example.supervised for example in by_targets)
    by_views = _filling(sample, tokens, lambda example: _pixels(example) / example.positions)
    sides = [side for example in by_views for side in example.sides] * rows
    return Work(
        rows=1,
        # A longer example is a pack by itself.
        positions=rows * max(tokens, sample.longest),
        supervised=supervised,
        most_supervised=supervised if computation.trims_packed else None,
        segments=rows * max(1, tokens // sample.longest),
        views=Work.count_views(sides),
        most_views=computation.most_views(set(sides), grouping.chunk_views),
        masked=computation.window,
    )


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


def _batches(sample: Sample, rows: int, *, bucketed: bool, seed: int) -> Iterator[Sequence[Example]]:
    order = np.arange(len(sample.examples))
    if not bucketed:
        order = np.random.default_rng(seed).permutation(order)
    for start in range(0, len(order), rows):
        yield [sample.examples[int(place)] for place in order[start : start + rows]]


def _mean_of_most(batches: Sequence[Sequence[Example]], count: Callable[[Example], int]) -> float:
    return float(np.mean([max(count(example) for example in batch) for batch in batches]))
