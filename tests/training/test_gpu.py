"""What only a card can show; skipped where there is none."""

import json

import numpy as np
import pytest
import torch

from ocrtune.models import load_checkpoint
from ocrtune.prediction import predict
from ocrtune.sources import read_pages
from ocrtune.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

HAS_BF16 = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
LORA = ("tuning.method=lora", "tuning.parts=[decoder,projector]", "tuning.lora.rank=4")


def losses(result):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("tuning", [(), LORA], ids=["full", "lora"])
@pytest.mark.parametrize(
    "precision",
    ["fp32", "fp16", pytest.param("bf16", marks=pytest.mark.skipif(not HAS_BF16, reason="no bf16 units"))],
)
def test_the_loss_falls_in_every_precision(recipe, tmp_path, precision, tuning):
    result = train(
        recipe.config(
            tmp_path / "run",
            "training.device=cuda",
            f"training.precision={precision}",
            "training.max_steps=30",
            *tuning,
        )
    )
    found = losses(result)
    assert np.isfinite(found).all()
    assert np.mean(found[-5:]) < 0.8 * np.mean(found[:5])


def test_a_resumed_fp16_run_keeps_its_loss_scale(recipe, tmp_path):
    result = train(recipe.config(tmp_path / "run", "training.device=cuda", "training.precision=fp16"))
    scaler = torch.load(result.last / "scaler.pt", weights_only=True)
    assert scaler["scale"] > 1


def test_a_card_reads_what_a_cpu_reads(recipe, tmp_path, manifest):
    result = train(recipe.config(tmp_path / "run", "training.device=cuda", "training.precision=fp32"))
    pages = read_pages(str(manifest))
    texts = [
        [row.text for row in predict(load_checkpoint(result.best, device=device, dtype="float32"), pages)]
        for device in ("cpu", "cuda")
    ]
    assert texts[0] == texts[1]
