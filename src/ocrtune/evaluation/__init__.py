"""Predictions and references → scores: counts for each page, rates in the summary."""

from ocrtune.evaluation.evaluating import Evaluation, evaluate, evaluate_predictions, write_scores
from ocrtune.evaluation.predictions import read_predictions, write_predictions
from ocrtune.evaluation.scoring import DiffSpan, diff_spans, score_page
from ocrtune.evaluation.summary import PageRates, Rates, Scorecard, rate_page, summarize

__all__ = [
    "DiffSpan",
    "Evaluation",
    "PageRates",
    "Rates",
    "Scorecard",
    "diff_spans",
    "evaluate",
    "evaluate_predictions",
    "rate_page",
    "read_predictions",
    "score_page",
    "summarize",
    "write_predictions",
    "write_scores",
]
