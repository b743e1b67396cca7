"""Weights in memory: load, forward, loss, precision, tuning, checkpoints."""

from ocrtune.models.checkpoint import (
    CheckpointCard,
    LoadedCheckpoint,
    load_checkpoint,
    merge,
    read_card,
    restore_learned,
    save_checkpoint,
)
from ocrtune.models.classes import MODEL_CLASSES, OcrModel
from ocrtune.models.configs import read_config, read_family
from ocrtune.models.load import load_model
from ocrtune.models.locate import locate_model
from ocrtune.models.loss import LossOutput, supervised_loss
from ocrtune.models.publish import save_published

__all__ = [
    "MODEL_CLASSES",
    "CheckpointCard",
    "LoadedCheckpoint",
    "LossOutput",
    "OcrModel",
    "load_checkpoint",
    "load_model",
    "locate_model",
    "merge",
    "read_card",
    "read_config",
    "read_family",
    "restore_learned",
    "save_checkpoint",
    "save_published",
    "supervised_loss",
]
