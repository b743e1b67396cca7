import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from ocrtune.errors import Float16Trainable, MissingDependency, PrecisionUnavailable
from ocrtune.models.precision import (
    DeviceFacts,
    cast_learning,
    choose_inference_dtype,
    choose_precision,
    detect_device,
    guard_trainables,
    with_moments,
)

CPU = DeviceFacts(kind="cpu", name="2 threads")
MPS = DeviceFacts(kind="mps", name="Apple GPU")
V100 = DeviceFacts(kind="cuda", capability=(7, 0), name="V100")
T4 = DeviceFacts(kind="cuda", capability=(7, 5), name="T4")
A100 = DeviceFacts(kind="cuda", capability=(8, 0), name="A100")
RTX_4090 = DeviceFacts(kind="cuda", capability=(8, 9), name="RTX 4090")
H100 = DeviceFacts(kind="cuda", capability=(9, 0), name="H100")
B200 = DeviceFacts(kind="cuda", capability=(10, 0), name="B200")

DEVICES = (CPU, MPS, V100, T4, A100, RTX_4090, H100, B200)
REQUESTS = ("auto", "fp32", "bf16", "fp16")
METHODS = ("full", "lora", "qlora")

REFUSED = {
    *((device, requested, "qlora") for device in ("cpu", "mps") for requested in REQUESTS),
    *(("cpu", "fp16", method) for method in METHODS),
    *(("mps", requested, method) for requested in ("bf16", "fp16") for method in METHODS),
    *(("cuda before 8.0", "bf16", method) for method in METHODS),
}


def decide(requested, device, method):
    return choose_precision(requested, device, method)


def kind_in_table(device):
    if device.kind != "cuda":
        return device.kind
    return "cuda from 8.0" if device.capability >= (8, 0) else "cuda before 8.0"


@pytest.mark.parametrize(
    ("device", "requested", "method"), list(itertools.product(DEVICES, REQUESTS, METHODS))
)
def test_every_combination_is_a_sound_policy_or_an_error_with_a_hint(device, requested, method):
    if (kind_in_table(device), requested, method) in REFUSED:
        with pytest.raises(PrecisionUnavailable) as caught:
            decide(requested, device, method)
        assert caught.value.hint
        assert caught.value.where.startswith(("training.", "tuning."))
        return
    policy = decide(requested, device, method)
    assert policy.learning_dtype == policy.optimizer_dtype == "float32"
    assert policy.scaler == (policy.autocast_dtype == "float16")
    assert "float16" not in {policy.base_dtype, policy.autocast_dtype} or device.kind == "cuda"
    assert policy.base_dtype in {"float32", policy.autocast_dtype}
    assert policy.base_dtype == "float32" or method != "full"
    assert policy.quantized == (method == "qlora")
    assert policy.device_kind == device.kind
    assert policy.reason
    if requested == "fp32":
        assert policy.autocast_dtype is None
    if requested == "bf16":
        assert policy.autocast_dtype == "bfloat16"
    if requested == "fp16":
        assert policy.autocast_dtype == "float16"


@pytest.mark.parametrize(
    ("device", "method", "base", "autocast", "word"),
    [
        (CPU, "full", "float32", None, "no"),
        (CPU, "lora", "float32", None, "no"),
        (MPS, "lora", "float32", None, "no"),
        (T4, "full", "float32", "float16", "fp16"),
        (T4, "lora", "float16", "float16", "fp16"),
        (T4, "qlora", "float16", "float16", "fp16"),
        (V100, "lora", "float16", "float16", "fp16"),
        (A100, "full", "float32", "bfloat16", "bf16"),
        (A100, "lora", "bfloat16", "bfloat16", "bf16"),
        (H100, "qlora", "bfloat16", "bfloat16", "bf16"),
    ],
)
def test_auto_takes_what_the_device_is_good_at(device, method, base, autocast, word):
    policy = decide("auto", device, method)
    assert (policy.base_dtype, policy.autocast_dtype, policy.mixed_precision) == (base, autocast, word)


def test_bf16_is_decided_by_capability_not_by_what_torch_says(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args, **kwargs: True)
    assert decide("auto", T4, "lora").autocast_dtype == "float16"
    with pytest.raises(PrecisionUnavailable, match=r"T4 \(capability 7\.5\) has no bf16 units"):
        decide("bf16", T4, "lora")


@pytest.mark.parametrize(("card", "dtype"), [("H100", "bfloat16"), ("T4", "float16")])
def test_the_reason_of_full_tuning_says_what_is_kept_and_what_computes(card, dtype):
    reason = decide("auto", {"H100": H100, "T4": T4}[card], "full").reason
    assert reason.endswith(f"master weights in fp32, products in {dtype}, the router in fp32")


@pytest.mark.parametrize(
    ("kind", "moments", "installed", "outcome"),
    [
        ("cpu", "float32", False, "float32"),
        ("cuda", "float32", False, "float32"),
        ("cuda", "int8", True, "int8"),
        ("cuda", "int8", False, MissingDependency),
        ("cpu", "int8", True, PrecisionUnavailable),
        ("mps", "int8", True, PrecisionUnavailable),
    ],
)
def test_moments_are_in_8_bits_where_that_is_asked_for_and_possible(
    monkeypatch, kind, moments, installed, outcome
):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object() if installed else None)
    policy = decide("auto", H100 if kind == "cuda" else DeviceFacts(kind=kind), "full")
    if not isinstance(outcome, str):
        with pytest.raises(outcome):
            with_moments(policy, moments)
        return
    found = with_moments(policy, moments)
    assert found.optimizer_dtype == outcome
    assert ("moments in 8 bits" in found.reason) == (outcome == "int8")


def test_a_policy_is_written_as_plain_values():
    row = decide("auto", T4, "lora").as_dict()
    assert row["autocast_dtype"] == "float16"
    assert all(value is None or isinstance(value, str | bool) for value in row.values())


@pytest.mark.parametrize(
    ("device", "dtype"), [(CPU, "float32"), (MPS, "float32"), (T4, "float16"), (A100, "bfloat16")]
)
def test_prediction_has_a_dtype_for_each_device(device, dtype):
    assert choose_inference_dtype(device) == dtype


class TestACpuWithUnitsForBf16:
    WITH = DeviceFacts(kind="cpu", name="2 threads", has_bf16_tiles=True)

    @pytest.mark.parametrize("method", ["full", "lora"])
    def test_is_told_of_them_and_computes_what_every_cpu_does(self, method):
        found, plain = decide("auto", self.WITH, method), decide("auto", CPU, method)
        assert "training.precision=bf16 is likely faster" in found.reason
        assert "bf16" not in plain.reason
        assert dataclasses.replace(found, reason=plain.reason) == plain

    def test_is_not_called_slow(self):
        assert "slower" not in decide("bf16", self.WITH, "lora").reason
        assert "slower" in decide("bf16", CPU, "lora").reason

    @pytest.mark.parametrize("asked", [lambda: True, lambda: False, None])
    def test_is_found_if_torch_can_tell(self, monkeypatch, asked):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", asked, raising=False)
        assert detect_device("cpu").has_bf16_tiles == bool(asked and asked())


def test_autocast_without_a_dtype_changes_nothing():
    layer, row = nn.Linear(4, 4), torch.ones(1, 4)
    with decide("auto", CPU, "full").autocast():
        assert layer(row).dtype == torch.float32
    with decide("bf16", CPU, "full").autocast():
        assert layer(row).dtype == torch.bfloat16


def test_the_scaler_is_on_only_with_fp16():
    assert not decide("auto", CPU, "full").grad_scaler().is_enabled()
    emulated = dataclasses.replace(decide("auto", T4, "full"), device_kind="cpu")
    assert emulated.grad_scaler().is_enabled()


def test_auto_on_a_machine_without_accelerators_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert detect_device("auto").kind == "cpu"
    assert detect_device("cpu").kind == "cpu"
    for absent in ("cuda", "mps"):
        with pytest.raises(PrecisionUnavailable, match=f"no {absent} device") as caught:
            detect_device(absent)
        assert "training.device" in caught.value.hint


def test_a_device_nobody_knows_is_refused():
    with pytest.raises(PrecisionUnavailable, match="no device 'gpu'"):
        detect_device("gpu")


def test_a_cuda_card_is_described_by_its_capability(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    facts = DeviceFacts(kind="cuda", capability=(7, 5), name="Tesla T4", count=2)
    assert detect_device("auto") == detect_device("cuda") == facts
    assert not facts.has_bf16


def test_a_learning_parameter_in_fp16_is_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).half())
    with pytest.raises(Float16Trainable, match="unscale FP16 gradients") as caught:
        guard_trainables(model)
    assert caught.value.where == "1.weight (float16), 1.bias (float16)"
    assert "cast_learning" in caught.value.hint


def test_a_learning_parameter_in_bf16_is_refused_for_its_small_updates():
    with pytest.raises(Float16Trainable, match="small updates are rounded away"):
        guard_trainables(nn.Linear(2, 2).bfloat16())


def test_a_long_list_of_refused_tensors_is_cut_with_its_count():
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(10))).half()
    with pytest.raises(Float16Trainable, match="20 learning parameters") as caught:
        guard_trainables(model)
    assert caught.value.where.endswith("and 8 more")


def test_frozen_parameters_may_have_any_dtype():
    guard_trainables(nn.Linear(2, 2).half().requires_grad_(False))


def test_casting_touches_learning_parameters_alone_and_keeps_their_values():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).half()
    model[0].requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    held = list(model[1].parameters())
    assert cast_learning(model, decide("auto", T4, "lora")) == ["1.weight", "1.bias"]
    guard_trainables(model)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float16 if name.startswith("0.") else torch.float32)
        assert torch.equal(parameter, before[name].to(parameter.dtype))
    assert all(kept is now for kept, now in zip(held, model[1].parameters(), strict=True))


SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def cell(requested, device, method):
    try:
        policy = decide(requested, device, method)
    except PrecisionUnavailable:
        return "refused"
    base = f"4-bit and {SHORT[policy.base_dtype]}" if policy.quantized else SHORT[policy.base_dtype]
    autocast = f", autocast {SHORT[policy.autocast_dtype]}" if policy.autocast_dtype else ""
    return base + autocast + (", scaler" if policy.scaler else "")


def table_in_markdown():
    named = (("CPU", CPU), ("MPS", MPS), ("CUDA before 8.0", T4), ("CUDA from 8.0", A100))
    lines = ["| device | asked for | full | lora | qlora |", "|---|---|---|---|---|"]
    for name, device in named:
        for requested in REQUESTS:
            cells = (cell(requested, device, method) for method in METHODS)
            lines.append(f"| {name} | {requested} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_documented_table_is_the_one_decided():
    page = Path(__file__).parents[2] / "docs" / "concepts" / "precision.md"
    assert table_in_markdown() in page.read_text(encoding="utf-8")
