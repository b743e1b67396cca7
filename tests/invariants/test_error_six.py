"""`Attempting to unscale FP16 gradients.`: how people meet it, and why no run of ours can."""

import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from ocrtune.config import LoraSection, TuningSection
from ocrtune.errors import Float16Trainable, NonFiniteLoss, PrecisionUnavailable
from ocrtune.models import load_model
from ocrtune.models.audit import require_finite, require_gradients
from ocrtune.models.precision import DeviceFacts, cast_learning, choose_precision, guard_trainables
from ocrtune.models.tuning import apply_tuning, is_adapter

T4 = DeviceFacts(kind="cuda", capability=(7, 5), name="Tesla T4")
ERROR_SIX = "Attempting to unscale FP16 gradients"
EVERYTHING = ("decoder", "projector", "vision")


def t4_policy(method):
    """What a T4 is given, carried out on the CPU: its fp16 autocast and scaler are the same code."""
    return dataclasses.replace(choose_precision("auto", T4, method), device_kind="cpu")


def make_batch():
    draw = torch.Generator().manual_seed(0)
    text = torch.randint(3, 400, (12,), generator=draw)
    input_ids = torch.cat([torch.tensor([0]), torch.full((31,), 500), text])[None]
    return {
        "input_ids": input_ids,
        "labels": input_ids.masked_fill(input_ids == 500, -100),
        "pixel_values": torch.randn(1, 3, 256, 256, generator=draw),
        "pixel_values_local": torch.randn(2, 3, 128, 128, generator=draw),
        "num_local_patches": [2],
        "patches_grid": [[2, 1]],
        "use_cache": False,
    }


@pytest.fixture
def half_model(golden):
    """Loaded the way a T4 suggests: every weight in fp16."""
    return load_model(golden / "deepseek_ocr", dtype="float16").train()


def half_pixels(batch):
    return {
        key: value.half() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for key, value in batch.items()
    }


def learning(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def scaled_step(model, optimizer, scaler, batch, autocast):
    """A training step as everyone writes it; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    with autocast:
        loss = model(**batch).loss
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(learning(model), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return loss.item()


def train_naively(model, batch):
    optimizer = torch.optim.AdamW(learning(model), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu")
    return scaled_step(model, optimizer, scaler, batch, torch.autocast("cpu", torch.float16))


def train_by_policy(model, policy, batch, steps):
    guard_trainables(model)
    optimizer = torch.optim.AdamW(learning(model), lr=3e-3)
    scaler = policy.grad_scaler()
    losses = []
    for step in range(steps):
        losses.append(scaled_step(model, optimizer, scaler, batch, policy.autocast()))
        require_finite(losses[-1], step=step + 1)
    return losses


def test_an_fp16_model_meets_error_six(half_model):
    with pytest.raises(ValueError, match=ERROR_SIX):
        train_naively(half_model, half_pixels(make_batch()))


def test_without_a_scaler_the_same_model_is_nan_after_one_step(half_model):
    batch = half_pixels(make_batch())
    optimizer = torch.optim.AdamW(half_model.parameters(), lr=3e-3)
    half_model(**batch).loss.backward()
    optimizer.step()
    loss = half_model(**batch).loss.item()
    with pytest.raises(NonFiniteLoss, match="the loss is nan"):
        require_finite(loss, step=2)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_same_run_learns_through_the_policy(golden, method):
    policy = t4_policy(method)
    assert (policy.autocast_dtype, policy.scaler) == ("float16", True)
    model = load_model(golden / "deepseek_ocr", dtype=policy.base_dtype).train()
    tuning = TuningSection(method=method, parts=EVERYTHING, lora=LoraSection(preset="experts", rank=8))
    apply_tuning(model, tuning, policy)
    batch = make_batch()
    if policy.base_dtype == "float16":
        batch = half_pixels(batch)
    losses = train_by_policy(model, policy, batch, steps=12)
    assert losses[-1] < 0.9 * losses[0]
    assert {parameter.dtype for parameter in learning(model)} == {torch.float32}
    require_gradients(model, batch)


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_no_policy_of_any_device_trains_in_pure_fp16(method):
    for capability in ((6, 0), (7, 5), (8, 0), (9, 0)):
        card = DeviceFacts(kind="cuda", capability=capability)
        assert choose_precision("fp16", card, method).learning_dtype == "float32"
    for kind in ("cpu", "mps"):
        with pytest.raises(PrecisionUnavailable):
            choose_precision("fp16", DeviceFacts(kind=kind), method)


def test_pure_fp16_is_refused_before_the_first_step(half_model):
    with pytest.raises(Float16Trainable, match=ERROR_SIX):
        guard_trainables(half_model)


def test_adapters_halved_after_they_were_made_meet_error_six_and_are_refused(half_model):
    policy = t4_policy("lora")
    apply_tuning(half_model, TuningSection(), policy)
    guard_trainables(half_model)
    half_model.half()
    with pytest.raises(ValueError, match=ERROR_SIX):
        train_naively(half_model, half_pixels(make_batch()))
    with pytest.raises(Float16Trainable, match="learning parameters are not fp32") as caught:
        guard_trainables(half_model)
    assert "lora_A" in caught.value.where
    cast_learning(half_model, policy)
    train_by_policy(half_model, policy, half_pixels(make_batch()), steps=1)


def test_modules_to_save_on_an_fp16_base_meet_error_six_and_are_refused(half_model):
    """PEFT copies such a module in the dtype of the base, adapters beside it in fp32."""
    config = LoraConfig(
        r=4, target_modules=r".*language_model.*self_attn\.q_proj", modules_to_save=["multi_modal_projector"]
    )
    wrapped = get_peft_model(half_model, config)
    assert all(p.dtype == torch.float32 for name, p in wrapped.named_parameters() if is_adapter(name))
    with pytest.raises(ValueError, match=ERROR_SIX):
        train_naively(wrapped, half_pixels(make_batch()))
    with pytest.raises(Float16Trainable, match="2 learning parameters") as caught:
        guard_trainables(wrapped)
    assert "multi_modal_projector.modules_to_save.default.weight" in caught.value.where
    cast_learning(wrapped, t4_policy("lora"))
    train_by_policy(wrapped, t4_policy("lora"), half_pixels(make_batch()), steps=1)


def test_adapters_that_are_not_upcast_are_refused(half_model):
    config = LoraConfig(r=4, target_modules=r".*language_model.*self_attn\.q_proj")
    with pytest.raises(Float16Trainable, match=ERROR_SIX):
        guard_trainables(get_peft_model(half_model, config, autocast_adapter_dtype=False))


def test_the_policys_projector_learns_in_fp32_on_an_fp16_base(half_model):
    policy = t4_policy("lora")
    apply_tuning(half_model, TuningSection(parts=("decoder", "projector")), policy)
    assert half_model.model.multi_modal_projector.weight.dtype == torch.float32
    assert half_model.lm_head.weight.dtype == torch.float16
    train_by_policy(half_model, policy, half_pixels(make_batch()), steps=2)
