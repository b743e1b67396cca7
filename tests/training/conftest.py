import json
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tiny_models import make_tiny_model

from ocrtune.config import Config, parse_config
from ocrtune.config.reading import apply_overrides

WORDS = ("cat", "dog", "owl", "fox", "hen", "bee", "ant", "elk")


@pytest.fixture(scope="session")
def tiny_base(golden, tmp_path_factory):
    """A golden model as a base to fine-tune."""
    made = {}

    def of(family: str) -> Path:
        if family not in made:
            made[family] = make_tiny_model(golden, tmp_path_factory.mktemp(family) / "base", family).folder
        return made[family]

    return of


@pytest.fixture(scope="session")
def manifest(tmp_path_factory) -> Path:
    """Twelve pages of noise in three documents; each has its own word."""
    folder = tmp_path_factory.mktemp("pages")
    rows = []
    for number in range(12):
        size = (60 + 15 * number, 40)
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        text = WORDS[number % 8] * (1 + number % 3)
        rows.append({"image": f"{number}.png", "text": text, "document": f"d{number // 4}"})
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Recipe:
    """A recipe of a run of seconds."""

    model: Path
    data: Path

    def config(self, folder: Path, *overrides: str) -> Config:
        tree = {
            "model": str(self.model),
            "run": {"folder": str(folder)},
            "data": {"uri": str(self.data), "validation_documents": ["d2"]},
            "inputs": {"mode": {"global_px": 128}},
            "tuning": {"method": "full", "parts": ["decoder", "projector", "vision"]},
            "optimizer": {"learning_rate": 3e-3, "warmup_fraction": 0},
            "training": {
                "max_steps": 4,
                "batch_size": 2,
                "log_every_steps": 1,
                "device": "cpu",
                "feature_cache": {"folder": str(folder.parent / "features")},
            },
            "evaluation": {"every_steps": 2, "max_pages": 2, "decoding": {"max_new_tokens": 8}},
        }
        return parse_config(apply_overrides(tree, overrides))


@pytest.fixture(scope="session")
def recipe(tiny_base, manifest) -> Recipe:
    return Recipe(tiny_base("deepseek_ocr"), manifest)


def learned(checkpoint: Path) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint."""
    full = checkpoint / "model.safetensors"
    return load_file(full if full.exists() else checkpoint / "learned.safetensors")


@pytest.fixture(scope="session")
def tensors_of():
    return learned


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where tests were started in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
