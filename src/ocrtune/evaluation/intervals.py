"""How sure a rate is: the bootstrap over documents.

Documents are drawn with replacement, all pages of a document together: pages of one book share its print and its
faults, and drawn one by one they would make an interval that is too narrow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ocrtune.evaluation.summary import count_chars, count_words
from ocrtune.records import PageScore

LEVEL = 0.95
RESAMPLES = 1000

FEWEST_UNITS = 10
"""Drawn from fewer documents an interval is too narrow, and a probability too sure: three that agree always agree."""

SEED = 0

WAYS = ("micro", "macro", "median", "clipped")
"""The order of rates in samples, and the fields of `Rates`."""

MEASURES = {"cer": count_chars, "wer": count_words}
"""Rates with an interval → the counts they are made of."""

_VALUES_AT_A_TIME = 4_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a value lies with the probability of `Intervals.level`.

    Attributes:
        low: The lower end.
        high: The upper end.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Intervals of the rates of some pages.

    Attributes:
        rates: `cer` or `wer` → `micro`, `macro`, `median`, `clipped` → interval; empty where there is one page only.
        unit: What was drawn: documents, or pages where all are of one document; these tell nothing of other documents.
        num_units: How many there are.
        resamples: How often they were drawn.
        seed: Of the draws.
        level: Probability that an interval is made for.
    """

    rates: Mapping[str, Mapping[str, Interval]]
    unit: Literal["document", "page"]
    num_units: int
    resamples: int = RESAMPLES
    seed: int = SEED
    level: float = LEVEL

    def of(self, measure: str, way: str) -> Interval | None:
        """The interval of one rate, or None if there is none."""
        return self.rates.get(measure, {}).get(way)

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def tell_few(num_units: int, unit: str) -> str:
    """A warning for people where there were few documents to draw from; else empty."""
    if unit == "page" or num_units >= FEWEST_UNITS:
        return ""
    return f"{num_units} documents are few: intervals are wider and chances less sure than told"


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Edits and lengths of pages.

    Attributes:
        edits: (pages,).
        lengths: (pages,).
        rates: (pages,), as `rate` makes them.
    """

    edits: Floats
    lengths: Floats
    rates: Floats = field(init=False)

    def __post_init__(self) -> None:
        safe = np.where(self.lengths > 0, self.lengths, 1.0)
        rates = np.where(self.lengths > 0, self.edits / safe, (self.edits > 0).astype(np.float64))
        object.__setattr__(self, "rates", rates)

    @classmethod
    def of(cls, scores: Sequence[PageScore], measure: str) -> "Counts":
        """The counts of one of `MEASURES`."""
        counts = np.array([MEASURES[measure](score) for score in scores], dtype=np.float64).reshape(-1, 2)
        return cls(edits=counts[:, 0], lengths=counts[:, 1])


class Resampler:
    """Draws documents, and says what rates are over those drawn.

    Args:
        documents: The document of each page.
        resamples: How often to draw.
        seed: Equal seeds and documents draw the same.

    Attributes:
        unit: `document`, or `page` where all pages are of one document.
        num_units: How many there are to draw from.
    """

    def __init__(self, documents: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        self._resamples = resamples
        self._seed = seed
        _, self._codes = np.unique(np.asarray(documents, dtype=np.str_), return_inverse=True)
        self.unit: Literal["document", "page"] = "document"
        self.num_units = int(self._codes.max()) + 1
        if self.num_units == 1:
            self._codes, self.unit, self.num_units = np.arange(len(documents)), "page", len(documents)

    def sample(self, counts: Sequence[Counts]) -> Floats:
        """(len(counts), 4, resamples): the rates of `WAYS` over what each draw holds; the same draws for all counts."""
        samples = np.empty((len(counts), len(WAYS), self._resamples))
        sums = [self._by_unit(each) for each in counts]
        orders = [np.argsort(each.rates, kind="stable") for each in counts]
        pages = np.bincount(self._codes, minlength=self.num_units).astype(np.float64)
        for place, weights in self._draws():
            num_pages = weights @ pages
            for row, each in enumerate(counts):
                samples[row, :, place] = self._rates(weights, num_pages, sums[row], each.rates, orders[row])
        return samples

    def sample_means(self, values: Floats) -> Floats:
        """(resamples,): the mean of values, one of each page, over what each draw holds."""
        sums = np.bincount(self._codes, weights=values, minlength=self.num_units)
        pages = np.bincount(self._codes, minlength=self.num_units).astype(np.float64)
        return np.concatenate([weights @ sums / (weights @ pages) for _, weights in self._draws()])

    def _by_unit(self, counts: Counts) -> Floats:
        """(units, 4): sums over the pages of each of edits, lengths, rates and clipped rates."""
        columns = (counts.edits, counts.lengths, counts.rates, np.minimum(counts.rates, 1.0))
        return np.stack(
            [np.bincount(self._codes, weights=column, minlength=self.num_units) for column in columns], axis=1
        )

    def _draws(self) -> Iterator[tuple[slice, Floats]]:
        """(draws, units): how often each unit was drawn, some draws at a time."""
        chance = np.random.default_rng(self._seed)
        at_a_time = max(1, _VALUES_AT_A_TIME // max(self.num_units, len(self._codes)))
        for first in range(0, self._resamples, at_a_time):
            num = min(at_a_time, self._resamples - first)
            drawn = chance.integers(0, self.num_units, size=(num, self.num_units))
            drawn += np.arange(num)[:, None] * self.num_units
            weights = np.bincount(drawn.ravel(), minlength=num * self.num_units)
            yield slice(first, first + num), weights.reshape(num, -1).astype(np.float64)

    def _rates(
        self, weights: Floats, num_pages: Floats, sums: Floats, rates: Floats, order: NDArray[np.intp]
    ) -> Floats:
        """(4, draws)."""
        edits, lengths, total, clipped = (weights @ sums).T
        micro = np.where(lengths > 0, edits / np.where(lengths > 0, lengths, 1.0), edits > 0)
        median = _weighted_median(weights[:, self._codes[order]], rates[order])
        return np.stack([micro, total / num_pages, median, clipped / num_pages])


def measure_intervals(
    scores: Sequence[PageScore], documents: Sequence[str], measures: Sequence[str] = tuple(MEASURES)
) -> Intervals:
    """Intervals of rates.

    Args:
        scores: At least one.
        documents: The document of each page.
        measures: Of `MEASURES`.
    """
    resampler = Resampler(documents)
    rates: dict[str, dict[str, Interval]] = {}
    if resampler.num_units > 1:
        samples = resampler.sample([Counts.of(scores, measure) for measure in measures])
        for measure, rows in zip(measures, samples, strict=True):
            rates[measure] = {way: interval_of(row) for way, row in zip(WAYS, rows, strict=True)}
    return Intervals(rates=rates, unit=resampler.unit, num_units=resampler.num_units)


def interval_of(sample: Floats) -> Interval:
    """The percentiles between which `LEVEL` of a sample lies."""
    low, high = np.percentile(sample, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(low=float(low), high=float(high))


def _weighted_median(weights: Floats, values: Floats) -> Floats:
    """The median of values that each come as often as their weight.

    Args:
        weights: (draws, pages), whole numbers.
        values: (pages,), ascending.
    """
    reached = np.cumsum(weights, axis=1)
    num_pages = reached[:, -1:]
    lower = (reached <= np.floor((num_pages - 1) / 2)).sum(axis=1)
    upper = (reached <= np.floor(num_pages / 2)).sum(axis=1)
    middle: Floats = (values[lower] + values[upper]) / 2
    return middle
