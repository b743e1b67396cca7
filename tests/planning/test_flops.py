"""Operations by formula against those that torch counts while it computes."""

import pytest
import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from ocrtune.models import supervised_loss
from ocrtune.planning.flops import step_flops

FAMILY_NAMES = ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr")
CHECKPOINTED = {
    "adapters": ["decoder"],
    "adapters and projector": ["decoder"],
    "adapters on experts": ["decoder"],
    "adapters on vision": ["vision", "decoder"],
    "decoder in full": ["decoder"],
    "vision in full": ["vision"],
    "all in full": ["vision", "decoder"],
}


def grouped_flop(left, right, *_, **__):
    """Rows of all experts times their weights, or the gradient of the latter: the same count."""
    return 2 * left[0] * left[1] * right[-1]


def added_flop(_, left, right, **__):
    return 2 * left[0] * left[1] * right[1]


# torch counts neither products added in place, nor grouped ones, nor attention on a CPU.
ADDED = {
    torch.ops.aten.addmm_: added_flop,
    torch.ops.aten._grouped_mm: grouped_flop,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(
        q, k, v
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}


def with_shapes(formula):
    def counted(*arguments, out_val=None, **_):
        del out_val
        return formula(*(one.shape if isinstance(one, torch.Tensor) else one for one in arguments))

    counted._get_raw = True
    return counted


@pytest.fixture
def counter():
    return FlopCounterMode(
        display=False, custom_mapping={name: with_shapes(formula) for name, formula in ADDED.items()}
    )


def count(counter, learner):
    with counter:
        loss = supervised_loss(learner.model, learner.batch).loss
    forward = counter.get_total_flops()
    with counter:
        loss.backward()
    return forward, counter.get_total_flops()


def test_torch_still_does_not_count_what_is_added_here():
    assert not [name for name in ADDED if name in flop_registry]


@pytest.mark.parametrize(
    ("rows", "way"),
    [
        *(("padded", way) for way in CHECKPOINTED),
        ("packed", "adapters on experts"),
        ("packed", "all in full"),
    ],
)
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_a_step_has_the_operations_torch_counts(make_learner, counter, name, way, rows):
    learner = make_learner(name, way, rows=rows)
    expected = step_flops(learner.shape, learner.work, learner.learning)
    assert count(counter, learner) == (expected.forward, expected.backward)


@pytest.mark.parametrize("way", CHECKPOINTED)
@pytest.mark.parametrize("name", FAMILY_NAMES[:2])
def test_recomputation_has_the_operations_torch_counts(make_learner, counter, name, way):
    learner = make_learner(name, way, checkpointed=CHECKPOINTED[way])
    expected = step_flops(learner.shape, learner.work, learner.learning)
    assert count(counter, learner) == (expected.forward, expected.backward)
