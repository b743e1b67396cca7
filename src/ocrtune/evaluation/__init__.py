"""Predictions and references → scores: counts for each page, rates in the summary, and what differs between two sides."""

from ocrtune.evaluation.comparing import compare
from ocrtune.evaluation.comparison import Comparison, PagePair, SlicePair
from ocrtune.evaluation.confusions import (
    Confusion,
    Confusions,
    ScriptConfusion,
    count_confusions,
    show_character,
)
from ocrtune.evaluation.differences import (
    Difference,
    Differences,
    StructureDifference,
    measure_differences,
    measure_structures,
)
from ocrtune.evaluation.evaluating import (
    Evaluation,
    evaluate,
    evaluate_predictions,
    score_pages,
    write_scores,
)
from ocrtune.evaluation.explaining import explain_micro
from ocrtune.evaluation.intervals import Interval, Intervals, measure_intervals
from ocrtune.evaluation.normalizations import find_normalization
from ocrtune.evaluation.omnidocbench import omnidocbench_overall
from ocrtune.evaluation.predictions import read_predictions, write_predictions
from ocrtune.evaluation.repetition import find_loop, is_repeated
from ocrtune.evaluation.result_files import write_comparison, write_evaluation
from ocrtune.evaluation.scoring import DiffSpan, diff_spans, score_page
from ocrtune.evaluation.sides import Side, read_side
from ocrtune.evaluation.slices import Slice, slice_scores
from ocrtune.evaluation.summary import (
    PageRates,
    Rates,
    Scorecard,
    StructureMean,
    rate_page,
    summarize,
)

__all__ = [
    "Comparison",
    "Confusion",
    "Confusions",
    "DiffSpan",
    "Difference",
    "Differences",
    "Evaluation",
    "Interval",
    "Intervals",
    "PagePair",
    "PageRates",
    "Rates",
    "Scorecard",
    "ScriptConfusion",
    "Side",
    "Slice",
    "SlicePair",
    "StructureDifference",
    "StructureMean",
    "compare",
    "count_confusions",
    "diff_spans",
    "evaluate",
    "evaluate_predictions",
    "explain_micro",
    "find_loop",
    "find_normalization",
    "is_repeated",
    "measure_differences",
    "measure_intervals",
    "measure_structures",
    "omnidocbench_overall",
    "rate_page",
    "read_predictions",
    "read_side",
    "score_page",
    "score_pages",
    "show_character",
    "slice_scores",
    "summarize",
    "write_comparison",
    "write_evaluation",
    "write_predictions",
    "write_scores",
]
