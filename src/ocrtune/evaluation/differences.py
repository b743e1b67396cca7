"""How much better one of two sides is on the same pages, and how sure that is: the paired bootstrap."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from ocrtune.evaluation.intervals import (
    LEVEL,
    MEASURES,
    RESAMPLES,
    SEED,
    WAYS,
    Counts,
    Floats,
    Interval,
    Resampler,
    interval_of,
)
from ocrtune.evaluation.structures import HIGHER_IS_BETTER
from ocrtune.evaluation.summary import sum_up
from ocrtune.records import PageScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much lower or higher a rate of B is than that of A.

    Attributes:
        value: B's rate less A's: below zero B is better, but for measures of structure of which 1 is best.
        interval: Where it lies with the probability `LEVEL`; None where there is one page only.
        b_is_better: Share of draws in which B's rate is better, equal ones counted half; None as above.
    """

    value: float
    interval: Interval | None
    b_is_better: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Differences of all rates that have intervals, by the bootstrap over documents, the same draws for both sides.

    Attributes:
        rates: `cer` or `wer` → `micro`, `macro`, `median`, `clipped` → difference.
        unit: What was drawn, as in `Intervals`.
        num_units: How many there are.
        resamples: How often they were drawn.
        seed: Of the draws.
        level: Probability that intervals are made for.
    """

    rates: Mapping[str, Mapping[str, Difference]]
    unit: Literal["document", "page"]
    num_units: int
    resamples: int = RESAMPLES
    seed: int = SEED
    level: float = LEVEL

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureDifference:
    """A measure of structure of both sides, on the pages that have it.

    Attributes:
        a: A's mean.
        b: B's mean.
        difference: B's less A's; `b_is_better` goes by what is better in this measure.
        higher_is_better: Else 0 is best.
        pages: How many pages have it.
        unit: What was drawn, as in `Intervals`.
        num_units: How many there are.
    """

    a: float
    b: float
    difference: Difference
    higher_is_better: bool
    pages: int
    unit: Literal["document", "page"]
    num_units: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def measure_differences(
    a: Sequence[PageScore], b: Sequence[PageScore], documents: Sequence[str]
) -> Differences:
    """The differences between two sides.

    The same documents are drawn for both, so what is hard for both does not make the difference unsure. Swapped sides
    give the same numbers with the other sign, equal ones 0 and a probability of 0.5.

    Args:
        a: Scores of A, at least one.
        b: Scores of B on the same pages.
        documents: The document of each page.
    """
    resampler = Resampler(documents)
    rates: dict[str, dict[str, Difference]] = {}
    for measure, counts_of in MEASURES.items():
        ones, others = asdict(sum_up(a, counts_of)), asdict(sum_up(b, counts_of))
        samples = None
        if resampler.num_units > 1:
            of_a, of_b = resampler.sample([Counts.of(a, measure), Counts.of(b, measure)])
            samples = of_b - of_a
        rates[measure] = {
            way: _difference(others[way] - ones[way], None if samples is None else samples[row])
            for row, way in enumerate(WAYS)
        }
    return Differences(rates=rates, unit=resampler.unit, num_units=resampler.num_units)


def measure_structures(
    a: Sequence[PageScore], b: Sequence[PageScore], documents: Sequence[str]
) -> dict[str, StructureDifference]:
    """The differences in every measure of structure that any page has, drawn as in `measure_differences`.

    Args:
        a: Scores of A.
        b: Scores of B on the same pages.
        documents: The document of each page.
    """
    found: dict[str, list[int]] = {}
    for place, (one, other) in enumerate(zip(a, b, strict=True)):
        for name in one.structures:
            if name in other.structures:
                found.setdefault(name, []).append(place)
    return {
        name: _structure(
            [a[place].structures[name] for place in places],
            [b[place].structures[name] for place in places],
            [documents[place] for place in places],
            higher_is_better=HIGHER_IS_BETTER[name],
        )
        for name, places in found.items()
    }


def _structure(
    a: Sequence[float], b: Sequence[float], documents: Sequence[str], *, higher_is_better: bool
) -> StructureDifference:
    resampler = Resampler(documents)
    sample = None
    if resampler.num_units > 1:
        sample = resampler.sample_means(np.subtract(b, a, dtype=np.float64))
    ones, others = fmean(a), fmean(b)
    return StructureDifference(
        a=ones,
        b=others,
        difference=_difference(others - ones, sample, higher_is_better=higher_is_better),
        higher_is_better=higher_is_better,
        pages=len(a),
        unit=resampler.unit,
        num_units=resampler.num_units,
    )


def _difference(value: float, sample: Floats | None, *, higher_is_better: bool = False) -> Difference:
    if sample is None:
        return Difference(value=value, interval=None, b_is_better=None)
    better = sample > 0 if higher_is_better else sample < 0
    share = (np.count_nonzero(better) + np.count_nonzero(sample == 0) / 2) / len(sample)
    return Difference(value=value, interval=interval_of(sample), b_is_better=float(share))
