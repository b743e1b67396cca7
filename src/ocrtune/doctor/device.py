"""The device of a run and the precision it gets, asked of torch."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from ocrtune.models.precision import (
    DeviceFacts,
    Method,
    PrecisionPolicy,
    choose_precision,
    detect_device,
)
from ocrtune.records import Finding

METHODS: Sequence[Method] = ("lora", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """A device, and what `precision: auto` decides on it.

    Attributes:
        device: Facts about it.
        policies: The decision for each of `METHODS`.
    """

    device: DeviceFacts
    policies: Sequence[PrecisionPolicy]

    def as_dict(self) -> dict[str, object]:
        """The report for `--json`."""
        chosen = zip(METHODS, self.policies, strict=True)
        return {
            "device": asdict(self.device),
            "precision": {method: policy.as_dict() for method, policy in chosen},
        }


def inspect_device() -> DeviceReport:
    """The best device there is and the precision chosen on it."""
    device = detect_device("auto")
    return DeviceReport(
        device=device, policies=[choose_precision("auto", device, method) for method in METHODS]
    )


def check_device(device: DeviceFacts) -> list[Finding]:
    """What a device with these facts cannot do, or does slowly."""
    return list(_check_device(device))


def _check_device(device: DeviceFacts) -> Iterator[Finding]:
    if device.kind == "cpu":
        yield Finding(
            code="no-accelerator",
            severity="note",
            message="no cuda or mps device: small models train on a cpu, published ones take minutes for a page",
            hint="`ocrtune demo` runs here; a published model wants a cuda device",
        )
    elif device.capability is not None and not device.has_bf16:
        major, minor = device.capability
        yield Finding(
            code="no-bf16",
            severity="note",
            message=f"{device.name} has capability {major}.{minor} and no bf16 units: fp16 autocast with a scaler "
            "is used, and the experts of a layer are computed one after another",
            hint="leave training.precision at auto",
        )
