"""What numbers of a benchmark depend on beside the code, and how its processes keep to one thread."""

import os
import platform
from importlib.metadata import version

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
"""Of a process's environment."""


def describe_machine(*packages: str) -> dict[str, int | str | None]:
    """How many processors there are, and versions of Python and of the packages that take part."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
