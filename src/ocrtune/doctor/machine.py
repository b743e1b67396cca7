"""What the machine has, asked without torch: Python, packages, disk and memory."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ocrtune.records import Finding

TRAINING_PACKAGES = ("torch", "transformers", "peft", "accelerate", "safetensors", "tensorboard")
OPTIONAL_PACKAGES = ("bitsandbytes",)

MIN_FREE_BYTES = 20 * 10**9
"""A model as published, and one checkpoint of all its weights beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What the machine has.

    Attributes:
        python: Its version.
        system: Operating system and architecture.
        cores: Processor cores.
        memory_bytes: Main memory; None where the system does not say.
        free_disk_bytes: Free space where runs are written.
        folder: Where that is.
        packages: Version by name; None for one that is not installed.
    """

    python: str
    system: str
    cores: int
    memory_bytes: int | None
    free_disk_bytes: int
    folder: Path
    packages: Mapping[str, str | None]

    def as_dict(self) -> dict[str, object]:
        """The facts for `--json`."""
        return {
            "python": self.python,
            "system": self.system,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "free_disk_bytes": self.free_disk_bytes,
            "folder": str(self.folder),
            "packages": dict(self.packages),
        }


def inspect_machine(folder: Path | None = None) -> MachineFacts:
    """Facts about this machine.

    Args:
        folder: Where runs will be written; the current folder without it.
    """
    folder = Path.cwd() if folder is None else folder
    return MachineFacts(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        free_disk_bytes=shutil.disk_usage(folder).free,
        folder=folder,
        packages={name: _version(name) for name in ("ocrtune", *TRAINING_PACKAGES, *OPTIONAL_PACKAGES)},
    )


def check_machine(facts: MachineFacts) -> list[Finding]:
    """What stands in the way of a run on a machine with these facts."""
    return [*_check_packages(facts), *_check_disk(facts)]


def _check_packages(facts: MachineFacts) -> Iterator[Finding]:
    missing = [name for name in TRAINING_PACKAGES if facts.packages.get(name) is None]
    if missing:
        yield Finding(
            code="packages-missing",
            severity="warning",
            message=f"not installed: {', '.join(missing)}; reading, checking and scoring work without, "
            "training and prediction do not",
            hint="pip install 'ocrtune[train]'",
        )
    if facts.packages.get("bitsandbytes") is None:
        yield Finding(
            code="qlora-unavailable",
            severity="note",
            message="bitsandbytes is not installed: tuning.method qlora cannot be used",
            hint="pip install 'ocrtune[qlora]' on Linux with a cuda device",
        )


def _check_disk(facts: MachineFacts) -> Iterator[Finding]:
    if facts.free_disk_bytes < MIN_FREE_BYTES:
        yield Finding(
            code="disk-low",
            severity="warning",
            message=f"{facts.free_disk_bytes / 10**9:.1f} GB are free, a published model and one full checkpoint "
            f"take {MIN_FREE_BYTES / 10**9:.0f}",
            where=str(facts.folder),
            hint="adapters take far less; or set run.folder to a larger disk",
        )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _memory_bytes() -> int | None:
    if sys.platform == "win32":  # it has no sysconf
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
