from dataclasses import replace
from pathlib import Path

import pytest

from ocrtune.doctor import check_machine, inspect_machine
from ocrtune.doctor.machine import MIN_FREE_BYTES, MachineFacts

HEALTHY = MachineFacts(
    python="3.11.2",
    system="Linux x86_64",
    cores=8,
    memory_bytes=64 * 2**30,
    free_disk_bytes=500 * 10**9,
    folder=Path("/runs"),
    packages={
        "ocrtune": "0.1.0",
        "torch": "2.13.0",
        "transformers": "5.23.0",
        "peft": "0.21.2",
        "accelerate": "1.15.0",
        "safetensors": "0.7.0",
        "tensorboard": "2.20.0",
        "bitsandbytes": "0.48.0",
    },
)


def codes(facts):
    return [(finding.code, finding.severity) for finding in check_machine(facts)]


def test_this_machine_is_described(tmp_path):
    facts = inspect_machine(tmp_path)
    assert facts.cores >= 1
    assert facts.free_disk_bytes > 0
    assert facts.packages["torch"].startswith("2.")
    assert facts.as_dict()["folder"] == str(tmp_path)


def test_a_machine_that_has_everything_has_no_finding():
    assert codes(HEALTHY) == []


@pytest.mark.parametrize(
    "package", ["torch", "transformers", "peft", "accelerate", "safetensors", "tensorboard"]
)
def test_a_package_that_training_needs_is_named(package):
    (finding,) = check_machine(replace(HEALTHY, packages={**HEALTHY.packages, package: None}))
    assert (finding.code, finding.severity) == ("packages-missing", "warning")
    assert finding.message.startswith(f"not installed: {package};")
    assert "ocrtune[train]" in finding.hint


def test_without_bitsandbytes_there_is_no_qlora():
    assert codes(replace(HEALTHY, packages={**HEALTHY.packages, "bitsandbytes": None})) == [
        ("qlora-unavailable", "note")
    ]


def test_a_full_disk_is_a_warning():
    assert codes(replace(HEALTHY, free_disk_bytes=MIN_FREE_BYTES - 1)) == [("disk-low", "warning")]
    assert codes(replace(HEALTHY, free_disk_bytes=MIN_FREE_BYTES)) == []
