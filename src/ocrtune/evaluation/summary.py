"""PageScores → a Scorecard: the only place where counts become rates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
    grapheme_cer: float
    bag_of_words_f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureMean:
    """A measure of structure over the pages that have it.

    Attributes:
        mean: Of the pages' values.
        pages: How many pages have it.
    """

    mean: float
    pages: int


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
        grapheme_cer: Edits over the reference's length, both in grapheme clusters.
        bag_of_words_f1: Mean over pages of 2 × shared words over the words of both: reading order aside.
        exact_rate: Share of pages without any edit.
        runaway_rate: Share of pages longer than twice their reference, or cut by the length limit.
        empty_rate: Share of pages for which nothing was predicted although something stands there.
        repetition_rate: Share of pages that say the same over and over, as `is_repeated` tells.
        normalization: What was made equal before anything was counted.
        structures: Name → mean of what is no running text, where any page has it.
    """

    pages: int
    cer: Rates
    wer: Rates
    ned: Rates
    grapheme_cer: Rates
    bag_of_words_f1: float
    exact_rate: float
    runaway_rate: float
    empty_rate: float
    repetition_rate: float
    normalization: Normalization
    structures: Mapping[str, StructureMean] = field(default_factory=dict)

    @property
    def text_edit_distance(self) -> float:
        """OmniDocBench's text edit distance: the mean over pages of edits over the longer text; 0 is best.

        Source: OmniDocBench's `Edit_dist`, averaged by page, for texts that are matched already; its matching of blocks and
        its own cleaning of texts are not reproduced.
        """
        return self.ned.macro

    def as_dict(self) -> dict[str, object]:
        """The scores for `--json`, rates as they are."""
        return {
            "pages": self.pages,
            "cer": asdict(self.cer),
            "wer": asdict(self.wer),
            "ned": asdict(self.ned),
            "grapheme_cer": asdict(self.grapheme_cer),
            "bag_of_words_f1": self.bag_of_words_f1,
            "text_edit_distance": self.text_edit_distance,
            "exact_rate": self.exact_rate,
            "runaway_rate": self.runaway_rate,
            "empty_rate": self.empty_rate,
            "repetition_rate": self.repetition_rate,
            "structures": {name: asdict(measure) for name, measure in self.structures.items()},
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
        cer=sum_up(scores, count_chars),
        wer=sum_up(scores, count_words),
        ned=sum_up(scores, _longer_counts),
        grapheme_cer=sum_up(scores, _grapheme_counts),
        bag_of_words_f1=fmean(_bag_of_words_f1(score) for score in scores),
        exact_rate=fmean(score.exact for score in scores),
        runaway_rate=fmean(score.runaway for score in scores),
        empty_rate=fmean(score.empty for score in scores),
        repetition_rate=fmean(score.repeated for score in scores),
        normalization=normalization,
        structures=_structures(scores),
    )


def rate_page(score: PageScore) -> PageRates:
    """The rates of one page, an empty reference as in `summarize`."""
    return PageRates(
        cer=rate(*count_chars(score)),
        wer=rate(*count_words(score)),
        ned=rate(*_longer_counts(score)),
        grapheme_cer=rate(*_grapheme_counts(score)),
        bag_of_words_f1=_bag_of_words_f1(score),
    )


def sum_up(scores: Sequence[PageScore], counts_of: Callable[[PageScore], tuple[int, int]]) -> Rates:
    """One rate over all pages, in four ways.

    Args:
        scores: At least one.
        counts_of: Edits and length of a page.
    """
    counts = [counts_of(score) for score in scores]
    rates = [rate(edits, length) for edits, length in counts]
    return Rates(
        micro=rate(sum(edits for edits, _ in counts), sum(length for _, length in counts)),
        macro=fmean(rates),
        median=median(rates),
        clipped=fmean(min(1.0, each) for each in rates),
    )


def rate(edits: int, length: int) -> float:
    """Edits over length; over nothing it is 0 without edits and 1 with any."""
    return edits / length if length else float(edits > 0)


def count_chars(score: PageScore) -> tuple[int, int]:
    """Edits and length of the reference in characters."""
    return score.char_edits, score.num_reference_chars


def count_words(score: PageScore) -> tuple[int, int]:
    """Edits and length of the reference in words."""
    return score.word_edits, score.num_reference_words


def _longer_counts(score: PageScore) -> tuple[int, int]:
    return score.char_edits, max(score.num_reference_chars, score.num_prediction_chars)


def _grapheme_counts(score: PageScore) -> tuple[int, int]:
    return score.grapheme_edits, score.num_reference_graphemes


def _bag_of_words_f1(score: PageScore) -> float:
    both = score.num_reference_words + score.num_prediction_words
    return 2 * score.num_shared_words / both if both else 1.0


def _structures(scores: Sequence[PageScore]) -> dict[str, StructureMean]:
    values: dict[str, list[float]] = {}
    for score in scores:
        for name, value in score.structures.items():
            values.setdefault(name, []).append(value)
    return {name: StructureMean(mean=fmean(found), pages=len(found)) for name, found in values.items()}
