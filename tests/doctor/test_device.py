import pytest

from ocrtune.doctor.device import METHODS, check_device, inspect_device
from ocrtune.models.precision import DeviceFacts


def test_the_precision_of_every_method_comes_with_its_reason():
    report = inspect_device()
    precision = report.as_dict()["precision"]
    assert list(precision) == list(METHODS)
    assert all(policy["reason"] for policy in precision.values())


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        (DeviceFacts(kind="cpu"), ["no-accelerator"]),
        (DeviceFacts(kind="cuda", capability=(7, 5), name="Tesla T4"), ["no-bf16"]),
        (DeviceFacts(kind="cuda", capability=(9, 0), name="NVIDIA H100"), []),
        (DeviceFacts(kind="mps"), []),
    ],
)
def test_a_device_is_told_what_it_cannot_do(device, wanted):
    assert [finding.code for finding in check_device(device)] == wanted
