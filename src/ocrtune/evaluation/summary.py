"""PageScores → a Scorecard: the only place where counts become rates."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median

from ocrtune.errors import EvaluationError
from ocrtune.records import PageScore
from ocrtune.text import Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRates:
    """The rates of one page; the fields are those of `Scorecard`."""

    cer: float
    wer: float
    ned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One rate over all pages, in four ways; a rate of 0.05 is 5 %.

    Attributes:
        micro: All edits over all lengths: long pages weigh more, and one runaway page can rule it.
        macro: Mean of the pages' rates.
        median: Median of the pages' rates.
        clipped: Mean of the pages' rates with none above 1: what a runaway page cannot rule.
    """

    micro: float
    macro: float
    median: float
    clipped: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """How well predictions match their references.

    Attributes:
        pages: Pages scored.
        cer: Character edits over the reference's characters.
        wer: Word edits over the reference's words.
        ned: Character edits over the characters of the longer of the two; never above 1.
        runaway_rate: Share of pages longer than twice their reference, or cut by the length limit.
        normalization: What was made equal before anything was counted.
    """

    pages: int
    cer: Rates
    wer: Rates
    ned: Rates
    runaway_rate: float
    normalization: Normalization

    def as_dict(self) -> dict[str, object]:
        """The scores for `--json`, rates as they are."""
        return {
            "pages": self.pages,
            "cer": asdict(self.cer),
            "wer": asdict(self.wer),
            "ned": asdict(self.ned),
            "runaway_rate": self.runaway_rate,
            "normalization": self.normalization.model_dump(),
        }


def summarize(scores: Sequence[PageScore], normalization: Normalization) -> Scorecard:
    """The scorecard of some pages; `normalization` is stated, the counts were made with it already.

    A rate over nothing, where the reference is empty, is 0 if there are no edits and 1 if there are any;
    the edits of such a page count in full in `micro`.

    Raises:
        EvaluationError: There are no pages.
    """
    if not scores:
        raise EvaluationError("there are no pages to score")
    return Scorecard(
        pages=len(scores),
        cer=_rates(scores, _char_counts),
        wer=_rates(scores, _word_counts),
        ned=_rates(scores, _longer_counts),
        runaway_rate=fmean(score.runaway for score in scores),
        normalization=normalization,
    )


def rate_page(score: PageScore) -> PageRates:
    """The rates of one page, an empty reference as in `summarize`."""
    return PageRates(
        cer=_rate(*_char_counts(score)), wer=_rate(*_word_counts(score)), ned=_rate(*_longer_counts(score))
    )


def _rates(scores: Sequence[PageScore], counts_of: Callable[[PageScore], tuple[int, int]]) -> Rates:
    counts = [counts_of(score) for score in scores]
    rates = [_rate(edits, length) for edits, length in counts]
    return Rates(
        micro=_rate(sum(edits for edits, _ in counts), sum(length for _, length in counts)),
        macro=fmean(rates),
        median=median(rates),
        clipped=fmean(min(1.0, rate) for rate in rates),
    )


def _rate(edits: int, length: int) -> float:
    return edits / length if length else float(edits > 0)


def _char_counts(score: PageScore) -> tuple[int, int]:
    return score.char_edits, score.num_reference_chars


def _word_counts(score: PageScore) -> tuple[int, int]:
    return score.word_edits, score.num_reference_words


def _longer_counts(score: PageScore) -> tuple[int, int]:
    return score.char_edits, max(score.num_reference_chars, score.num_prediction_chars)
