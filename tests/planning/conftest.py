"""Small models of all families, set up to learn in several ways, and the work of a batch of theirs."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from ocrtune.config import TrainingSection, TuningSection
from ocrtune.models import load_model
from ocrtune.models.precision import DeviceFacts, PrecisionPolicy, choose_precision
from ocrtune.models.segments import attend_by_segments
from ocrtune.models.tuning import apply_tuning
from ocrtune.planning.forwards import Computation
from ocrtune.planning.shapes import Learning, ModelShape, Work

GOLDEN = Path(__file__).parents[2] / "golden"
TILES = 2
ROWS = 2
SUPERVISED = (12, 9)

TRIMS_PACKED = Computation.of(TrainingSection(), window=False, device_kind="cpu", number_bytes=4).trims_packed

DECODER = {"method": "lora", "parts": ["decoder"]}
WAYS = {
    "adapters": DECODER,
    "adapters and projector": {"method": "lora", "parts": ["decoder", "projector"]},
    "adapters on experts": {**DECODER, "lora": {"preset": "experts"}},
    "adapters on vision": {"method": "lora", "parts": ["decoder", "vision", "projector"]},
    "decoder in full": {"method": "full", "parts": ["decoder"]},
    "vision in full": {"method": "full", "parts": ["vision"]},
    "all in full": {"method": "full", "parts": ["decoder", "projector", "vision"]},
}


@dataclass(frozen=True)
class Learner:
    """A model that learns, a batch for it, and what planning knows of both."""

    model: Any
    batch: dict[str, Any]
    policy: PrecisionPolicy
    shape: ModelShape
    work: Work
    learning: Learning


@pytest.fixture
def make_learner():
    def make(name, way, *, checkpointed=(), precision="fp32", rows="padded"):
        tuning = TuningSection.model_validate(WAYS[way])
        policy = choose_precision(precision, DeviceFacts(kind="cpu"), tuning.method)
        model = load_model(GOLDEN / name, dtype=policy.base_dtype)
        apply_tuning(model, tuning, policy)
        model.train()
        # Padding of windows is projected once in each forward.
        model.vision_chunk_views = 100
        recompute(model, checkpointed)
        batch = make_batch(name, model, policy)
        if rows == "packed":
            attend_by_segments(model)
            batch = pack(batch)
        return Learner(
            model,
            batch,
            policy,
            ModelShape.of(model.config),
            work_of(batch, masked=model.family.reference_window),
            Learning.of(tuning, checkpointed),
        )

    return make


def recompute(model, parts):
    for name, module in model.named_modules():
        part = "vision" if name.startswith("model.vision_tower.") else "decoder"
        if isinstance(module, GradientCheckpointingLayer) and part in parts:
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)


def make_batch(name, model, policy):
    generator = torch.Generator().manual_seed(0)
    has_queries = name == "deepseek_ocr2"
    global_px, tile_px = (1024, 768) if has_queries else (256, 128)
    image_tokens = 256 + TILES * 144 + 1 if has_queries else 4 * 5 + 2 * (2 * TILES + 1) + 1
    length = image_tokens + 20
    ids = torch.randint(3, 400, (ROWS, length), generator=generator)
    ids[:, 1 : 1 + image_tokens] = model.config.image_token_id
    labels = ids.clone()
    # Rows have unlike many targets.
    for row, supervised in enumerate(SUPERVISED):
        labels[row, : length - supervised] = -100
    dtype = policy.torch_dtype(policy.base_dtype)
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "pixel_values": torch.randn(ROWS, 3, global_px, global_px, generator=generator).to(dtype),
        "pixel_values_local": torch.randn(ROWS * TILES, 3, tile_px, tile_px, generator=generator).to(dtype),
        "num_local_patches": [TILES] * ROWS,
    }
    return batch if has_queries else {**batch, "patches_grid": [[TILES, 1]] * ROWS}


def pack(batch):
    """The same examples in one row."""
    rows, length = batch["input_ids"].shape
    joined = {key: batch[key].reshape(1, -1) for key in ("input_ids", "labels")}
    return {**batch, **joined, "attention_mask": None, "segment_lengths": [length] * rows}


def work_of(batch, *, masked):
    sides = [batch[key].shape[-1] for key in ("pixel_values", "pixel_values_local") for _ in batch[key]]
    rows, positions = batch["input_ids"].shape
    counts = (batch["labels"][:, 1:] != -100).sum(dim=1)
    segments = batch.get("segment_lengths")
    return Work(
        rows=rows,
        positions=positions,
        supervised=int(counts.sum()),
        most_supervised=int(counts.max()) if segments is None or TRIMS_PACKED else None,
        segments=None if segments is None else len(segments),
        views=Work.count_views(sides),
        masked=masked,
    )


@pytest.fixture(name="recompute")
def recompute_fixture():
    return recompute


@pytest.fixture
def middling_batch():
    """A batch of two rows for the model of `test_memory`, made anew for each forward, and its work."""
    length, supervised, image_tokens = 400, 200, 4 * 5 + 4 * (2 + 1) + 1
    ids = torch.randint(3, 400, (ROWS, length), generator=torch.Generator().manual_seed(0))
    ids[:, 1 : 1 + image_tokens] = 500
    labels = ids.clone()
    labels[:, : length - supervised] = -100

    def make():
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": labels,
            "pixel_values": torch.randn(ROWS, 3, 256, 256),
            "pixel_values_local": torch.randn(ROWS * TILES, 3, 128, 128),
            "num_local_patches": [TILES] * ROWS,
            "patches_grid": [[1, TILES]] * ROWS,
        }

    return make, work_of(make(), masked=False)
