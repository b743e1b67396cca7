"""Which dtypes a run uses on the machine it meets, decided in one place and with its reason.

What a device can do is asked once (`detect_device`); what follows from it is a pure decision
(`choose_precision`) that needs no device at all. Two rules hold whatever the machine is: a learning
parameter is fp32, and a gradient scaler is on exactly where autocast is fp16.
"""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

import torch
from torch import nn

from ocrtune.errors import Float16Trainable, PrecisionUnavailable, require

Dtype = Literal["float32", "bfloat16", "float16"]
DeviceKind = Literal["cpu", "cuda", "mps"]
RequestedDevice = Literal["auto", "cpu", "cuda", "mps"]
Requested = Literal["auto", "fp32", "bf16", "fp16"]
Method = Literal["full", "lora", "qlora"]
MomentsDtype = Literal["float32", "int8"]

TORCH_DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

BF16_CAPABILITY = (8, 0)
"""The first CUDA capability with bf16 units; before it, torch emulates them and says it supports them."""

_LEARNING_DTYPES = frozenset({torch.float32, torch.float64})
_LISTED_TENSORS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a decision needs to know about the machine.

    Attributes:
        kind: `cpu`, `cuda` or `mps`.
        capability: CUDA compute capability (major, minor); None elsewhere.
        name: Its name for people.
        count: How many of the kind are visible.
        has_bf16_tiles: It is a CPU with units for bf16 products (AMX).
    """

    kind: DeviceKind
    capability: tuple[int, int] | None = None
    name: str = ""
    count: int = 1
    has_bf16_tiles: bool = False

    @property
    def has_bf16(self) -> bool:
        """The device is a CUDA one that computes bf16 in hardware."""
        return self.capability is not None and self.capability >= BF16_CAPABILITY


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPolicy:
    """The dtypes of a run, and why.

    Attributes:
        device_kind: Where it holds.
        base_dtype: Weights are loaded in it; with `full` tuning they are what learns.
        learning_dtype: Parameters that learn, always float32.
        autocast_dtype: Matrix products are computed in it; None for no autocast.
        scaler: Losses are scaled against fp16 underflow.
        optimizer_dtype: Moments of AdamW: those of the parameters that learn, or 8 bits.
        quantized: Linear layers of the base are held in 4 bits (NF4).
        reason: Why, for people.
    """

    device_kind: DeviceKind
    base_dtype: Dtype
    learning_dtype: Dtype = "float32"
    autocast_dtype: Dtype | None = None
    scaler: bool = False
    optimizer_dtype: MomentsDtype = "float32"
    quantized: bool = False
    reason: str

    @staticmethod
    def torch_dtype(name: Dtype) -> torch.dtype:
        """A dtype of the policy as torch knows it."""
        return TORCH_DTYPES[name]

    @property
    def torch_compute(self) -> torch.dtype:
        """The dtype of matrix products as torch knows it."""
        return TORCH_DTYPES[self.autocast_dtype or self.base_dtype]

    @property
    def mixed_precision(self) -> Literal["no", "bf16", "fp16"]:
        """The word accelerate has for it."""
        if self.autocast_dtype == "float16":
            return "fp16"
        return "bf16" if self.autocast_dtype == "bfloat16" else "no"

    def autocast(self) -> torch.autocast:
        """A context in which forwards are computed; it changes nothing where there is no autocast."""
        enabled = self.autocast_dtype is not None
        # A disabled autocast still checks its dtype against the device, so it gets one that every device has.
        dtype = self.torch_compute if enabled else torch.bfloat16
        return torch.autocast(self.device_kind, dtype=dtype, enabled=enabled)

    def grad_scaler(self) -> torch.amp.GradScaler:
        """A fresh gradient scaler, on or off as the policy says."""
        return torch.amp.GradScaler(self.device_kind, enabled=self.scaler)

    def as_dict(self) -> dict[str, object]:
        """The row written to `precision.json`."""
        return asdict(self)


def detect_device(requested: RequestedDevice = "auto") -> DeviceFacts:
    """The device a run uses: the one asked for, or the best there is.

    Raises:
        PrecisionUnavailable: The device asked for is not there.
    """
    if requested not in get_args(RequestedDevice):
        raise PrecisionUnavailable(
            f"no device {requested!r}", hint=f"known: {', '.join(get_args(RequestedDevice))}"
        )
    if requested == "cuda" or (requested == "auto" and torch.cuda.is_available()):
        return _cuda_facts()
    if requested == "mps" or (requested == "auto" and torch.backends.mps.is_available()):
        return _mps_facts()
    return DeviceFacts(
        kind="cpu", name=f"{torch.get_num_threads()} threads", has_bf16_tiles=_has_bf16_tiles()
    )


def choose_precision(requested: Requested, device: DeviceFacts, tuning: Method) -> PrecisionPolicy:
    """The dtypes for a run, with the reason.

    Args:
        requested: What the recipe asks for; `auto` leaves it to the device.
        device: What the machine can do.
        tuning: The method; the base of adapters may have fewer bits than weights that learn.

    Raises:
        PrecisionUnavailable: The device cannot do what was asked; the hint says what it can.
    """
    if tuning == "qlora" and device.kind != "cuda":
        raise PrecisionUnavailable(
            f"qlora needs a cuda device, this run uses {device.kind}",
            where="tuning.method",
            hint="set tuning.method to lora: the same adapters on weights that are not quantised",
        )
    if device.kind == "cuda":
        return _on_cuda(requested, device, tuning)
    return _on_cpu(requested, device, tuning) if device.kind == "cpu" else _on_mps(requested)


def with_moments(policy: PrecisionPolicy, moments: MomentsDtype) -> PrecisionPolicy:
    """The policy with the optimizer's moments as the recipe asks for them.

    Raises:
        PrecisionUnavailable: Moments in 8 bits on a device without kernels for them.
        MissingDependency: bitsandbytes, which has the kernels, is not installed.
    """
    if moments == "float32":
        return policy
    if policy.device_kind != "cuda":
        raise PrecisionUnavailable(
            f"moments in 8 bits need a cuda device, this run uses {policy.device_kind}",
            where="optimizer.moments",
            hint="set optimizer.moments to float32",
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise require("bitsandbytes", "qlora")
    return replace(policy, optimizer_dtype=moments, reason=f"{policy.reason}; moments in 8 bits")


def choose_inference_dtype(device: DeviceFacts) -> Dtype:
    """The dtype in which a checkpoint is loaded to predict, where nobody asks for another."""
    if device.kind != "cuda":
        return "float32"
    return "bfloat16" if device.has_bf16 else "float16"


def compute_dtype(kind: str, weights: torch.dtype) -> torch.dtype:
    """The dtype in which a product with `weights` is to be computed on a device of this kind, now."""
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weights


def guard_trainables(model: nn.Module) -> None:
    """Refuses a model in which a learning parameter has fewer than 32 bits.

    Called before training, when the optimizer is made and after anything that may cast or add
    parameters: a user's `.half()`, `modules_to_save`, a loader that keeps the dtype of the file.

    Raises:
        Float16Trainable: With the tensors, and what their dtype would do.
    """
    short = [
        (name, parameter.dtype)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.dtype not in _LEARNING_DTYPES
    ]
    if not short:
        return
    listed = [f"{name} ({_short_name(dtype)})" for name, dtype in short[:_LISTED_TENSORS]]
    if len(short) > _LISTED_TENSORS:
        listed.append(f"and {len(short) - _LISTED_TENSORS} more")
    raise Float16Trainable(
        f"{len(short)} learning parameters are not fp32: {_consequence(dtype for _, dtype in short)}",
        where=", ".join(listed),
        hint="cast them with ocrtune.models.precision.cast_learning(model, policy) before the optimizer is made",
    )


def cast_learning(model: nn.Module, policy: PrecisionPolicy) -> list[str]:
    """Casts every learning parameter to the policy's learning dtype, in place.

    The parameters stay the same objects, so an optimizer that holds them still does; its moments,
    if it has any yet, keep their old dtype.

    Returns:
        Names of the parameters that changed.
    """
    learning, cast = policy.torch_dtype(policy.learning_dtype), []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.dtype != learning:
            parameter.data = parameter.data.to(learning)
            parameter.grad = None
            cast.append(name)
    return cast


def _cuda_facts() -> DeviceFacts:
    if not torch.cuda.is_available():
        reason = (
            "this torch is built without cuda" if torch.version.cuda is None else "no cuda driver or card"
        )
        raise PrecisionUnavailable(
            f"no cuda device: {reason}",
            where="training.device",
            hint="set training.device to auto or cpu, or install a cuda build of torch",
        )
    major, minor = torch.cuda.get_device_capability()
    return DeviceFacts(
        kind="cuda",
        capability=(major, minor),
        name=torch.cuda.get_device_name(),
        count=torch.cuda.device_count(),
    )


def _mps_facts() -> DeviceFacts:
    if not torch.backends.mps.is_available():
        raise PrecisionUnavailable(
            "no mps device: this is no Mac with Apple silicon, or torch is built without it",
            where="training.device",
            hint="set training.device to auto or cpu",
        )
    return DeviceFacts(kind="mps", name="Apple GPU")


def _has_bf16_tiles() -> bool:
    # Private in torch; one that lacks it says nothing of the CPU.
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(ask and ask())


def _on_cpu(requested: Requested, device: DeviceFacts, method: Method) -> PrecisionPolicy:
    if requested == "fp16":
        raise PrecisionUnavailable(
            "a cpu does not train in fp16",
            where="training.precision",
            hint="set training.precision to auto (fp32 on a cpu) or bf16",
        )
    if requested == "bf16":
        return PrecisionPolicy(
            device_kind="cpu",
            base_dtype="float32" if method == "full" else "bfloat16",
            autocast_dtype="bfloat16",
            reason=f"bf16 was asked for; {_bf16_on_cpu(device)}",
        )
    return PrecisionPolicy(
        device_kind="cpu",
        base_dtype="float32",
        reason="fp32 was asked for" if requested == "fp32" else _fp32_on_cpu(device),
    )


def _bf16_on_cpu(device: DeviceFacts) -> str:
    if device.has_bf16_tiles:
        return "this cpu has units for bf16 products (AMX)"
    return "this cpu has no AMX, so it is likely slower than fp32; with adapters it saves memory"


def _fp32_on_cpu(device: DeviceFacts) -> str:
    reason = "fp32 needs no scaling, and auto computes in it on every cpu"
    if device.has_bf16_tiles:
        return (
            f"{reason}; this one has units for bf16 products (AMX): training.precision=bf16 is likely faster"
        )
    return reason


def _on_mps(requested: Requested) -> PrecisionPolicy:
    if requested in {"bf16", "fp16"}:
        raise PrecisionUnavailable(
            f"training in {requested} is not supported on mps",
            where="training.precision",
            hint="set training.precision to auto: fp32 on mps",
        )
    return PrecisionPolicy(
        device_kind="mps",
        base_dtype="float32",
        reason="fp32 was asked for" if requested == "fp32" else "fp32 is what ocrtune trains in on mps",
    )


def _on_cuda(requested: Requested, device: DeviceFacts, method: Method) -> PrecisionPolicy:
    if requested == "bf16" and not device.has_bf16:
        raise PrecisionUnavailable(
            f"{_described(device)} has no bf16 units; torch would emulate them",
            where="training.precision",
            hint="set training.precision to auto: fp16 autocast with a scaler, fp32 parameters that learn",
        )
    if requested == "fp32":
        return _policy(device, method, None, "fp32 was asked for: no autocast")
    if requested == "fp16" or not device.has_bf16:
        why = "fp16 was asked for" if requested == "fp16" else f"{_described(device)} has no bf16 units"
        return _policy(device, method, "float16", f"{why}: fp16 autocast with a scaler")
    why = "bf16 was asked for" if requested == "bf16" else f"{_described(device)} has bf16 units"
    return _policy(device, method, "bfloat16", f"{why}: bf16 autocast, which needs no scaler")


def _policy(device: DeviceFacts, method: Method, autocast: Dtype | None, reason: str) -> PrecisionPolicy:
    compute: Dtype = autocast or "float32"
    return PrecisionPolicy(
        device_kind=device.kind,
        base_dtype="float32" if method == "full" else compute,
        autocast_dtype=autocast,
        scaler=autocast == "float16",
        quantized=method == "qlora",
        reason=f"{reason}; {_what_is_kept(method, autocast, compute)}",
    )


def _what_is_kept(method: Method, autocast: Dtype | None, compute: Dtype) -> str:
    if method == "qlora":
        return f"the base's linear layers in 4-bit NF4, its other weights in {compute}, adapters in fp32"
    if method == "lora":
        return f"the base in {compute}, adapters in fp32"
    if autocast is None:
        return "weights in fp32"
    return f"master weights in fp32, products in {compute}, the router in fp32"


def _described(device: DeviceFacts) -> str:
    capability = ".".join(str(number) for number in device.capability or ())
    return f"{device.name or device.kind} (capability {capability or 'unknown'})"


def _short_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _consequence(dtypes: Iterable[torch.dtype]) -> str:
    if torch.float16 in set(dtypes):
        return (
            "fp16 ones end in 'Attempting to unscale FP16 gradients.' with a scaler, in NaN weights without"
        )
    return "without fp32 master weights small updates are rounded away"
