"""The benchmark of the decoder compares ways that compute the same, at sizes of a test."""

import importlib.util
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def decoder():
    spec = importlib.util.spec_from_file_location("decoder", BENCHMARKS / "decoder.py")
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up.
    __import__("sys").modules["decoder"] = module
    spec.loader.exec_module(module)
    module.VOCABULARY, module.WIDTH, module.LAYERS, module.EXPERTS = 1000, 32, 2, 8
    module.EXPERT_WIDTH, module.DENSE_WIDTH, module.POSITIONS, module.SUPERVISED = 16, 64, 40, 10
    return module


@pytest.mark.parametrize("tuning", ["full", "LoRA with experts"])
def test_all_ways_compute_the_same_loss_and_gradients(decoder, tuning):
    model, batch = decoder.make_model(tuning), decoder.make_batch(2)
    batch = {name: value % 900 if name == "input_ids" else value for name, value in batch.items()}
    batch["labels"] = torch.where(batch["labels"] == -100, -100, batch["labels"] % 900)
    losses, norms = [], []
    for way in decoder.WAYS.values():
        losses.append(decoder.step(model, batch, way))
        gradients = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        norms.append(float(torch.stack(gradients).norm()))
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-6)
    assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-5)
