"""A recipe → a run: checked examples, a tuned model, metrics and checkpoints."""

from ocrtune.training.result import TrainingResult
from ocrtune.training.train import train

__all__ = ["TrainingResult", "train"]
