"""The ways of `speed.py` that ocrtune is compared with: (a) the plain native path, (b) the per-image recipe."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrConfig
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import UnlimitedOcrForConditionalGeneration

from ocrtune.inputs.collate import collate
from ocrtune.inputs.kept import KNOWN_IMAGES
from ocrtune.models.tuning import apply_tuning
from ocrtune.records import ModelInputs
from ocrtune.training.data import TrainingData
from ocrtune.training.train import Plan
from speed_features import with_pixels
from speed_workloads import SEED, WORKLOADS

Batch = dict[str, Any]
Examples = Sequence[ModelInputs]


def make_plain_trainer(plan: Plan, data: TrainingData, workload: str, *, by_one: bool) -> Trainer:
    """The class of transformers itself with the same weights, in its Trainer with its defaults.

    Args:
        plan: Of the run.
        data: What it trains on.
        workload: A key of `WORKLOADS`.
        by_one: The recipe: views, experts and pages one after another.
    """
    facts = WORKLOADS[workload]
    model = load_plain(plan.base, experts="eager" if by_one else None)
    apply_tuning(model, plan.config.tuning, plan.policy, seed=SEED)
    arguments = TrainingArguments(
        output_dir=str(plan.folder.path / "plain"),
        num_train_epochs=1,
        per_device_train_batch_size=1 if by_one else facts.batch_size,
        gradient_accumulation_steps=facts.step_size if by_one else facts.accumulation,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        log_level="error",
    )
    trainer_class = ImageByImage if by_one else Trainer
    collator = partial(native_batch, plan)
    return trainer_class(model=model, args=arguments, train_dataset=data.train, data_collator=collator)


def load_plain(base: Path, experts: str | None = None) -> nn.Module:
    """The class of transformers with the weights of a folder in published layout; experts its default way without a name."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    native = UnlimitedOcrConfig(
        text_config=config["text_config"],
        vision_config=config["vision_config"],
        image_token_id=config["image_token_id"],
    )
    chosen = {} if experts is None else {"experts_implementation": experts}
    model: nn.Module = UnlimitedOcrForConditionalGeneration.from_pretrained(
        base, config=native, dtype=torch.float32, **chosen
    )
    return model


class ImageByImage(Trainer):  # type: ignore[misc]  # transformers is untyped to mypy
    """transformers' Trainer, with vision as the published code does it."""

    def compute_loss(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """The model's own loss, of features made image by image."""
        return super().compute_loss(model, with_features(model, inputs), *args, **kwargs)


def with_features(model: Any, inputs: Batch) -> Batch:
    """The batch with vision features in place of pixels, made image by image."""
    inputs = with_pixels(inputs)
    tiles = split_tiles(inputs["pixel_values_local"], inputs["num_local_patches"])
    features = [
        model.get_image_features(
            global_view[None], cut, None if cut is None else [len(cut)], None if cut is None else [grid]
        ).pooler_output[0]
        for global_view, cut, grid in zip(inputs["pixel_values"], tiles, inputs["patches_grid"], strict=True)
    ]
    return replace_pixels(inputs, features)


def replace_pixels(inputs: Batch, features: Sequence[Tensor]) -> Batch:
    """The batch with features of each image in place of what says what the images are."""
    pixel_keys = {"pixel_values", "pixel_values_local", "num_local_patches", "patches_grid"}
    return {
        **{key: value for key, value in inputs.items() if key not in pixel_keys},
        "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=list(features))},
    }


def split_tiles(tiles: Tensor | None, counts: list[int]) -> list[Tensor | None]:
    """The tiles of each image."""
    if tiles is None:
        return [None] * len(counts)
    return [cut if len(cut) else None for cut in torch.split(tiles, counts)]


def native_batch(plan: Plan, inputs: Examples) -> Batch:
    """A padded batch in the native form, its pixels ready for any class, and nothing in it that is looked up or kept."""
    batch = collate(inputs, plan.family, pad_id=plan.tokenizer.pad_id).native()
    batch.pop(KNOWN_IMAGES, None)
    return with_pixels(batch)
