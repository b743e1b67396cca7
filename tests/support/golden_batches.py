"""The recorded batches of `golden/`, their pages drawn again and encoded by ocrtune."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from ocrtune.families import FAMILIES, Family, Mode
from ocrtune.inputs.collate import Batch, collate
from ocrtune.inputs.views import make_views
from ocrtune.records import ModelInputs

GOLDEN = Path(__file__).parents[2] / "golden"
PAD_ID = 2
IMAGE_ID = 500


@dataclass(frozen=True)
class GoldenBatch:
    """What the published code was given and what it computed, and our batch of the same pages."""

    family: Family
    folder: Path
    inputs: list[ModelInputs]
    batch: Batch
    recorded: Mapping[str, Tensor]
    sha256: list[Mapping[str, str]]

    @property
    def unpadded(self) -> Tensor:
        return self.recorded["input/attention_mask"].bool()

    @property
    def gradients(self) -> dict[str, Tensor]:
        prefix = "grad/"
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.recorded.items()
            if name.startswith(prefix)
        }


@lru_cache
def read_golden(name: str) -> GoldenBatch:
    folder = GOLDEN / name
    facts = json.loads((folder / "samples.json").read_text())
    recorded = load_file(folder / "io.safetensors")
    family = FAMILIES[name]
    mode = Mode(
        name="golden", global_px=facts["base_px"], tile_px=facts["tile_px"], max_tiles=facts["max_tiles"]
    )
    inputs = [_inputs(row, sample, recorded, family, mode) for row, sample in enumerate(facts["samples"])]
    return GoldenBatch(
        family=family,
        folder=folder,
        inputs=inputs,
        batch=collate(inputs, family, pad_id=PAD_ID),
        recorded=recorded,
        sha256=facts["sha256_float32"],
    )


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def copied(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A published batch whose values can be broken without breaking the recorded ones."""
    return {
        key: [tuple(view.clone() for view in views) for views in value] if key == "images" else value.clone()
        for key, value in batch.items()
    }


def _inputs(
    row: int, sample: Mapping[str, Any], recorded: Mapping[str, Tensor], family: Family, mode: Mode
) -> ModelInputs:
    pixels = np.random.default_rng(sample["seed"]).integers(
        0, 256, (sample["height"], sample["width"], 3), np.uint8
    )
    views = make_views(Image.fromarray(pixels), family, mode)
    length = int(recorded["input/attention_mask"][row].sum())
    labels = recorded["input/labels"][row, :length].numpy()
    return ModelInputs(
        input_ids=recorded["input/input_ids"][row, :length].numpy(),
        labels=labels,
        image_mask=recorded["input/images_seq_mask"][row, :length].bool().numpy(),
        views=(views,),
        num_prompt_tokens=int((labels != -100).argmax()),
    )
