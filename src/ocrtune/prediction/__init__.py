"""A checkpoint and pages → predictions: the same inputs as in training, decoded greedily in batches."""

from ocrtune.prediction.answering import Answer, answer
from ocrtune.prediction.documents import Documents, OutputFormat, Outputs
from ocrtune.prediction.files import PredictionRun, predict_to_file
from ocrtune.prediction.gathering import gather_pages
from ocrtune.prediction.grouping import Together
from ocrtune.prediction.pages import SkippedPage, predict, predict_pages
from ocrtune.prediction.retrying import RetryPolicy

__all__ = [
    "Answer",
    "Documents",
    "OutputFormat",
    "Outputs",
    "PredictionRun",
    "RetryPolicy",
    "SkippedPage",
    "Together",
    "answer",
    "gather_pages",
    "predict",
    "predict_pages",
    "predict_to_file",
]
