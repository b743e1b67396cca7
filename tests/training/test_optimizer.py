"""AdamW of torch or, with moments in 8 bits, of bitsandbytes; over the same groups."""

import sys
from types import ModuleType

import pytest
import torch
from golden_batches import read_golden

from ocrtune.config import OptimizerSection, TuningSection
from ocrtune.models import load_model
from ocrtune.models.precision import PrecisionPolicy
from ocrtune.models.tuning import apply_tuning
from ocrtune.training.optimizer import make_optimizer

SETTINGS = {"learning_rate": 3e-4, "learning_rates": {"vision": 1e-5}, "weight_decay": 0.2, "epsilon": 1e-7}


class AdamW8bit(torch.optim.Adam):
    """Stands for that of bitsandbytes, which takes the same arguments."""

    def __init__(self, params, lr, betas, eps):
        super().__init__(params, lr=lr, betas=betas, eps=eps)


@pytest.fixture
def model():
    model = load_model(read_golden("deepseek_ocr").folder)
    policy = PrecisionPolicy(device_kind="cpu", base_dtype="float32", reason="a test")
    return apply_tuning(model, TuningSection(method="full", parts=("decoder", "vision")), policy).model


def test_moments_in_8_bits_have_the_groups_of_others(model, monkeypatch):
    package = ModuleType("bitsandbytes.optim")
    package.AdamW8bit = AdamW8bit
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", package)
    plain = make_optimizer(model, OptimizerSection(**SETTINGS), fused=True)
    small = make_optimizer(model, OptimizerSection(**SETTINGS, moments="int8"), fused=True)
    assert type(plain) is torch.optim.AdamW
    assert type(small) is AdamW8bit
    for key in ("lr", "weight_decay", "betas", "eps"):
        assert [group[key] for group in small.param_groups] == [group[key] for group in plain.param_groups]
    assert [len(group["params"]) for group in small.param_groups] == [
        len(group["params"]) for group in plain.param_groups
    ]
