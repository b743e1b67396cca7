"""The numbers that a report shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a number lies with 95 % probability."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number with its interval; None where none was computed."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLine:
    """A rate in four ways; see `ocrtune.evaluation.Rates`."""

    micro: Value
    macro: Value
    median: Value
    clipped: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The scores of one side.

    Attributes:
        pages: Pages scored.
        rates: `CER`, `WER`, … in the order they are shown.
        shares: Shares of pages, such as `runaway`.
        structures: Measures of what is no running text, such as `TEDS`, with the number of pages that have it.
        unit: What was drawn for the intervals: `document`, or `page` where all pages are of one; empty without any.
        num_units: How many there were to draw from.
    """

    pages: int
    rates: Mapping[str, RateLine]
    shares: Mapping[str, float] = field(default_factory=dict)
    structures: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    unit: str = ""
    num_units: int = 0

    @property
    def cer(self) -> RateLine:
        """The rate that a report begins with."""
        return self.rates["CER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """What was read for something else, and how often.

    Attributes:
        reference: What stands there; empty where something was made up.
        prediction: What was read; empty where it was left out.
        counts: How often, for each side.
    """

    reference: str
    prediction: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a paired comparison came to.

    Attributes:
        measure: What was compared, such as `CER, micro`.
        difference: The second side minus the first; below 0 the second is better.
        probability: That the second is better; None where it was not computed.
        unit: What was drawn for it, as in `Card`.
        num_units: How many there were to draw from.
    """

    measure: str
    difference: Value
    probability: float | None = None
    unit: str = ""
    num_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Scores of the pages that have something in common.

    Attributes:
        column: What they have in common, such as `script`.
        value: Its value.
        pages: How many pages.
        cers: Micro CER of each side.
        verdict: How two sides differ there.
    """

    column: str
    value: str
    pages: int
    cers: tuple[Value, ...]
    verdict: Verdict | None = None
