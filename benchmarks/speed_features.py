"""What makes ocrtune's training step fast, one feature after another, each with a way to do without it.

The ablation of `speed.py` climbs this list from the top: its first run has none of them, the next the first one, the
last all. A feature that the package does not have (no such key of the recipe, no such module) is left out.
"""

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import Trainer

from ocrtune.config import parse_config
from ocrtune.config.reading import apply_overrides
from ocrtune.errors import ConfigError
from ocrtune.inputs.collate import normalize_pixels

VIEWS = ("pixel_values", "pixel_values_local")
"""Keys of a batch that hold pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A way in which ocrtune trains, and what it does without it.

    Attributes:
        on: Keys of the recipe with it.
        off: Keys of the recipe without it.
        without: Takes it out of a trainer, before the first step.
        module: The package has it if this module is there.
        workloads: Where it changes something; without them everywhere.
    """

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    without: Callable[[Trainer], None] | None = None
    module: str | None = None
    workloads: tuple[str, ...] | None = None

    @property
    def exists(self) -> bool:
        """The package has it."""
        known = in_recipe(self.on) and in_recipe(self.off)
        return known and (self.module is None or importlib.util.find_spec(self.module) is not None)


def in_recipe(settings: Mapping[str, Any]) -> bool:
    """The recipe has these dotted keys and takes these values."""
    tree = {
        "model": "builtin",
        "data": {"uri": "builtin"},
        "tuning": {"method": "full", "parts": ["decoder"]},
    }
    try:
        parse_config(apply_overrides(tree, [f"{key}={json.dumps(value)}" for key, value in settings.items()]))
    except ConfigError:
        return False
    return True


def encode_image_by_image(trainer: Trainer) -> None:
    """One forward of the vision encoder for the views of each image."""
    encode = trainer.model.encode_images
    trainer.model.encode_images = lambda images: [encode([image])[0] for image in images]


def run_experts_one_by_one(trainer: Trainer) -> None:
    """A loop over the experts of a layer, as transformers has it."""
    set_experts(trainer.model, "eager")


def set_experts(model: torch.nn.Module, implementation: str) -> None:
    """How routed experts are computed, by transformers' name of it."""
    for module in model.modules():
        if hasattr(getattr(module, "config", None), "_experts_implementation"):
            module.config._experts_implementation = implementation  # noqa: SLF001  # read at each forward


def with_pixels(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with views normalised, where ocrtune leaves that to its Trainer."""
    return {
        key: normalize_pixels(value)
        if key in VIEWS and value is not None and value.dtype == torch.uint8
        else value
        for key, value in batch.items()
    }


def restore_grouped_experts(trainer: Trainer) -> None:
    """The grouped product of transformers over the experts of a layer."""
    set_experts(trainer.model, "grouped_mm")


def restore_sam(trainer: Trainer) -> None:
    """SAM as transformers has it."""
    importlib.import_module("ocrtune.models.sam").restore_sam(trainer.model)


def compute_logits(trainer: Trainer) -> None:
    """Logits of all supervised positions at a time, and every layer at every position."""
    forward = trainer.model.forward
    trainer.model.forward = lambda **kwargs: forward(**{**kwargs, "loss_only": False})


def compute_all_logits(trainer: Trainer) -> None:
    """The model's own loss, with logits at every position."""

    def compute_loss(model: Any, inputs: dict[str, Any], *_: Any, **kwargs: Any) -> torch.Tensor:
        num_items = kwargs.get("num_items_in_batch")
        return model(**with_pixels(inputs), use_cache=False, num_items_in_batch=num_items).loss

    trainer.compute_loss = compute_loss


FEATURES: Mapping[str, Feature] = {
    "views of a size in one forward": Feature(without=encode_image_by_image, workloads=("mixture", "lines")),
    "experts in one product": Feature(without=run_experts_one_by_one),
    "logits only where something is learned": Feature(without=compute_all_logits),
    "SAM without its biases in memory": Feature(without=restore_sam, module="ocrtune.models.sam"),
    "experts in blocks of our own": Feature(without=restore_grouped_experts, module="ocrtune.models.experts"),
    "loss in chunks, last layer trimmed": Feature(without=compute_logits, module="ocrtune.models.supervised"),
    "pages of like length together": Feature(
        on={"training.bucket_by_length": True},
        off={"training.bucket_by_length": False},
        workloads=("mixture", "lines"),
    ),
    "several pages in a row": Feature(
        # A step of four pages in a row of its own, as it is in two forwards of two without.
        on={"training.pack_tokens": 1200, "training.batch_size": 1, "training.accumulation_steps": 1},
        off={"training.pack_tokens": None},
        workloads=("mixture",),
    ),
    "pages encoded ahead": Feature(on={"training.workers": "auto"}, off={"training.workers": 0}),
}
"""By title, in the order of the ablation; a feature stands on those before it."""

CACHE = Feature(on={"training.feature_cache.use": "on"}, off={"training.feature_cache.use": "off"})
"""No rung of the ablation: it pays from the second epoch on."""

SPARING: Mapping[str, Mapping[str, Any]] = {
    "recomputed": {"training.gradient_checkpointing": ["vision"]},
}
"""Keys of the recipe that spare memory where vision learns, off without being asked for, by the variant that has them."""


def features_of(workload: str) -> dict[str, Feature]:
    """The features that the package has and that change something on a workload, in the order of the ablation."""
    return {
        name: feature
        for name, feature in FEATURES.items()
        if feature.exists and (feature.workloads is None or workload in feature.workloads)
    }


def settings_of(features: Mapping[str, Feature], used: Sequence[str]) -> dict[str, Any]:
    """Keys of the recipe with the features named `used` and without the others."""
    settings: dict[str, Any] = {}
    for name, feature in features.items():
        settings |= feature.on if name in used else feature.off
    return settings


def strip(trainer: Trainer, features: Mapping[str, Feature], used: Sequence[str]) -> None:
    """Take the features not named `used` out of a trainer, the last first: what an earlier one does without goes further."""
    for name, feature in reversed(features.items()):
        if name not in used and feature.without is not None:
            feature.without(trainer)
