"""A checkpoint and pages → predictions: the same inputs as in training, decoded greedily in batches."""

from ocrtune.prediction.answering import Answer, answer
from ocrtune.prediction.files import PredictionRun, predict_to_file
from ocrtune.prediction.pages import SkippedPage, predict, predict_pages

__all__ = [
    "Answer",
    "PredictionRun",
    "SkippedPage",
    "answer",
    "predict",
    "predict_pages",
    "predict_to_file",
]
