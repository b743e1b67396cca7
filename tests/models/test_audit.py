import math

import pytest
import torch

from ocrtune.config import LoraSection, TuningSection
from ocrtune.errors import GradientAuditError, NonFiniteLoss
from ocrtune.models.audit import audit_gradients, require_finite, require_gradients
from ocrtune.models.tuning import apply_tuning, learning_names, part_of

FAMILIES = ("deepseek_ocr", "deepseek_ocr2", "unlimited_ocr")
ALL_PARTS = ("decoder", "projector", "vision")
LORA = TuningSection(parts=ALL_PARTS, lora=LoraSection(preset="experts", rank=4))
FULL = TuningSection(method="full", parts=ALL_PARTS)


def codes(findings):
    return {finding.code for finding in findings}


def backward(model, batch):
    model.train()(**batch, use_cache=False).loss.backward()


def text_only(batch):
    image_free = batch["labels"][:, 1:] != -100
    ids = batch["input_ids"][:, 1:][image_free][None]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


@pytest.fixture(scope="module")
def learned(load_golden, native_batch, fp32_policy):
    """A model with all parts learning, after one backward pass; its gradients are restored between tests."""
    model, batch = load_golden(), native_batch()
    apply_tuning(model, FULL, fp32_policy)
    backward(model, batch)
    return model, batch, {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.fixture
def model(learned):
    model, _, gradients = learned
    yield model
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(True)
        parameter.grad = gradients[name]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tuning", [LORA, FULL], ids=["lora", "full"])
def test_everything_said_to_learn_has_a_gradient(load_golden, native_batch, fp32_policy, family, tuning):
    model = load_golden(family)
    apply_tuning(model, tuning, fp32_policy)
    for tiles in (True, False):
        batch = native_batch(family, tiles=tiles)
        model.zero_grad(set_to_none=True)
        backward(model, batch)
        assert codes(require_gradients(model, batch)) <= {"gradient-zero"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_text_asks_the_vision_part_for_nothing(load_golden, native_batch, fp32_policy, family):
    model, batch = load_golden(family), text_only(native_batch(family))
    apply_tuning(model, LORA, fp32_policy)
    backward(model, batch)
    require_gradients(model, batch)
    missing = {part_of(finding.where.split(",")[0]) for finding in audit_gradients(model)}
    assert missing == {"vision", "projector"}


def test_only_the_queries_of_the_view_sizes_seen_are_asked_for(load_golden, native_batch, fp32_policy):
    model, batch = load_golden("deepseek_ocr2"), native_batch("deepseek_ocr2", tiles=False)
    apply_tuning(model, FULL, fp32_policy)
    backward(model, batch)
    require_gradients(model, batch)
    unasked = [finding.where for finding in audit_gradients(model)]
    assert unasked == ["model.vision_tower.query_768_resolution.weight"]


def test_a_vision_part_under_no_grad_is_found(load_golden, native_batch, fp32_policy):
    model, batch = load_golden(), native_batch()
    apply_tuning(model, LORA, fp32_policy)
    tower = model.model.vision_tower
    tower.forward = torch.no_grad()(tower.forward)
    backward(model, batch)
    with pytest.raises(GradientAuditError, match="vision sam adapters") as caught:
        require_gradients(model, batch)
    assert "40 tensors" not in caught.value.message
    assert "16 tensors of vision sam adapters are said to learn and have no gradient" in caught.value.message
    assert "24 tensors of vision encoder adapters" in caught.value.message
    assert "no_grad" in caught.value.hint


def test_reentrant_checkpointing_behind_frozen_embeddings_is_found(load_golden, native_batch, fp32_policy):
    model, batch = load_golden(), native_batch()
    apply_tuning(model, TuningSection(parts=("decoder",)), fp32_policy)
    adapters = learning_names(model)
    # With a head that learns the loss has a gradient, and nothing raises.
    model.lm_head.requires_grad_(True)
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": True})
    model.disable_input_require_grads()
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        backward(model, batch)
    findings = audit_gradients(model, batch)
    assert codes(findings) == {"gradient-missing"}
    assert sum(finding.count for finding in findings) == len(adapters)


def test_a_tensor_cut_off_from_the_loss_is_named_with_its_part(model, learned):
    model.lm_head.weight.grad = None
    with pytest.raises(GradientAuditError, match=r"1 tensors of decoder head .* lm_head\.weight"):
        require_gradients(model, learned[1])


def test_a_tensor_frozen_after_the_recipe_was_applied_is_found(model, learned):
    said = learning_names(model)
    model.lm_head.weight.requires_grad_(False)
    model.lm_head.weight.grad = None
    require_gradients(model, learned[1])
    assert codes(audit_gradients(model, learned[1], learning=said)) == {"gradient-missing"}


def test_a_frozen_tensor_with_a_gradient_is_found(model, learned):
    model.lm_head.weight.requires_grad_(False)
    with pytest.raises(GradientAuditError, match="1 tensors of decoder head are said to be frozen"):
        require_gradients(model, learned[1])


def test_a_tensor_that_left_the_model_is_missing(model, learned):
    said = [*learning_names(model), "model.language_model.layers.9.self_attn.q_proj.weight"]
    assert codes(audit_gradients(model, learned[1], learning=said)) == {"gradient-missing"}


def test_zeros_are_a_note_and_stop_nothing(model, learned):
    expert = model.model.language_model.layers[1].mlp.experts.down_proj
    expert.grad = torch.zeros_like(expert)
    (finding,) = require_gradients(model, learned[1])
    assert (finding.code, finding.severity, finding.count) == ("gradient-zero", "note", 1)


def test_the_first_matrix_of_a_fresh_adapter_is_no_note(load_golden, native_batch, fp32_policy):
    model, batch = load_golden(), native_batch()
    apply_tuning(model, TuningSection(parts=("decoder",)), fp32_policy)
    backward(model, batch)
    first = model.get_parameter("model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight")
    assert torch.count_nonzero(first.grad) == 0
    assert audit_gradients(model, batch) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run(value):
    with pytest.raises(NonFiniteLoss, match=f"the loss is {value}") as caught:
        require_finite(value, step=12)
    assert caught.value.where == "step 12"
    with pytest.raises(NonFiniteLoss, match="the gradient norm is"):
        require_finite(1.0, value, step=12)


def test_finite_numbers_pass():
    require_finite(0.0, step=1)
    require_finite(3.5, 1e4, step=1)
