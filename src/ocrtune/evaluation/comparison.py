"""What a comparison of two sides holds, and how it is told."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

from ocrtune.evaluation.columns import Columns
from ocrtune.evaluation.confusions import MOST_CONFUSIONS, Confusions, count_confusions
from ocrtune.evaluation.differences import (
    Differences,
    StructureDifference,
    measure_differences,
    measure_structures,
)
from ocrtune.evaluation.evaluating import documents_of
from ocrtune.evaluation.explaining import explain_micro
from ocrtune.evaluation.intervals import Intervals, measure_intervals
from ocrtune.evaluation.slices import group_pages
from ocrtune.evaluation.summary import Rates, Scorecard, count_chars, rate_page, sum_up
from ocrtune.progress import track
from ocrtune.records import Finding, Page, PageScore, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePair:
    """One page as both sides read it.

    Attributes:
        page: The page of the reference.
        a: The score of A.
        b: The score of B.
    """

    page: Page
    a: PageScore
    b: PageScore

    @property
    def difference(self) -> float:
        """B's CER less A's: below zero B is better."""
        return rate_page(self.b).cer - rate_page(self.a).cer


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePair:
    """The pages that have one value in a column, as both sides read them.

    Attributes:
        column: Its name.
        value: As text.
        pages: How many pages.
        a: The CER of A.
        b: The CER of B.
        differences: Between them.
    """

    column: str
    value: str
    pages: int
    a: Rates
    b: Rates
    differences: Differences

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {**asdict(self), "differences": self.differences.as_dict()}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of comparing two sides with references and with each other, on the pages that both have.

    Attributes:
        names: What A and B are called.
        a: Rates of A.
        b: Rates of B.
        pairs: Each page, in the order of the reference.
        predictions: What A and B read on each of them, as it was read.
        columns: What is known of each page, by name.
        only_a: Pages that only A has read; they are not compared.
        only_b: Pages that only B has read.
        neither: Pages of the reference that nobody has read.
        findings: All that is not compared, and why.
        others: Scorecards of A and B in other normalisations, with the differences.
    """

    names: tuple[str, str]
    a: Scorecard
    b: Scorecard
    pairs: tuple[PagePair, ...]
    predictions: tuple[tuple[Prediction, Prediction], ...]
    columns: Columns
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    neither: tuple[str, ...]
    findings: tuple[Finding, ...]
    others: tuple[tuple[Scorecard, Scorecard, Differences], ...] = ()

    @cached_property
    def documents(self) -> list[str]:
        """The document of each page."""
        return documents_of(pair.page for pair in self.pairs)

    @cached_property
    def differences(self) -> Differences:
        """How much better B is, and how sure that is."""
        return measure_differences(self._scores("a"), self._scores("b"), self.documents)

    @cached_property
    def structures(self) -> dict[str, StructureDifference]:
        """Name → a measure of structure of both sides and their difference, where any page has it."""
        return measure_structures(self._scores("a"), self._scores("b"), self.documents)

    @cached_property
    def intervals(self) -> tuple[Intervals, Intervals]:
        """How sure the rates of A and of B are."""
        return (
            measure_intervals(self._scores("a"), self.documents),
            measure_intervals(self._scores("b"), self.documents),
        )

    @property
    def worse(self) -> list[PagePair]:
        """The pages that B reads worse than A, the worst first."""
        return sorted((pair for pair in self.pairs if pair.difference > 0), key=lambda pair: -pair.difference)

    @property
    def better(self) -> list[PagePair]:
        """The pages that B reads better than A, the best first."""
        return sorted((pair for pair in self.pairs if pair.difference < 0), key=lambda pair: pair.difference)

    @cached_property
    def slices(self) -> tuple[SlicePair, ...]:
        """The parts that the columns make."""
        return tuple(self._slice(*group) for group in group_pages(self.columns))

    @cached_property
    def confusions(self) -> tuple[Confusions, Confusions]:
        """What A and B read for what."""
        return (
            count_confusions(track(self._scores("a"), "aligning")),
            count_confusions(track(self._scores("b"), "aligning")),
        )

    @property
    def explanations(self) -> tuple[str, str]:
        """Why the micro CER of A and of B is what it is, where a few pages rule it; else empty."""
        return explain_micro(self._scores("a")), explain_micro(self._scores("b"))

    def as_dict(self) -> dict[str, object]:
        """Everything but the pages, for `--json`."""
        sides = zip(
            self.names, (self.a, self.b), self.intervals, self.explanations, self.confusions, strict=True
        )
        return {
            "pages": len(self.pairs),
            "documents": len(set(self.documents)),
            "sides": [_side_as_dict(*side) for side in sides],
            "differences": self.differences.as_dict(),
            "structures": {name: each.as_dict() for name, each in self.structures.items()},
            "normalizations": [
                {
                    "name": str(a.normalization),
                    "sides": [a.as_dict(), b.as_dict()],
                    "differences": differences.as_dict(),
                }
                for a, b, differences in self.others
            ],
            "slices": [each.as_dict() for each in self.slices],
            "better": [pair.page.name for pair in self.better],
            "worse": [pair.page.name for pair in self.worse],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "neither": list(self.neither),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def _scores(self, side: Literal["a", "b"]) -> list[PageScore]:
        return [pair.a if side == "a" else pair.b for pair in self.pairs]

    def _slice(self, column: str, value: str, pages: list[int]) -> SlicePair:
        a, b = [self.pairs[index].a for index in pages], [self.pairs[index].b for index in pages]
        return SlicePair(
            column=column,
            value=value,
            pages=len(pages),
            a=sum_up(a, count_chars),
            b=sum_up(b, count_chars),
            differences=measure_differences(a, b, [self.documents[index] for index in pages]),
        )


def _side_as_dict(
    name: str, card: Scorecard, intervals: Intervals, explanation: str, confusions: Confusions
) -> dict[str, object]:
    return {
        "name": name,
        **card.as_dict(),
        "intervals": intervals.as_dict(),
        "explanation": explanation,
        "confusions": confusions.as_dict(most=MOST_CONFUSIONS),
    }
