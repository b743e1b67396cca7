"""Most memory that a process had, as Linux counts it; where there is no `/proc`, as `ru_maxrss` does.

`ru_maxrss` of a process that another one started begins at the most that one had, so it tells nothing of a small process
of a large parent. The peak in `/proc` is the process's own, and can be forgotten before what is to be measured.
"""

import ctypes
import re
import resource
import sys
from pathlib import Path

STATUS, FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SMALL_BLOCK_BYTES = 65536
GIVES_MEMORY_BACK = {
    "MALLOC_MMAP_THRESHOLD_": str(SMALL_BLOCK_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(SMALL_BLOCK_BYTES),
}
"""Of a process's environment. Otherwise glibc keeps what a program frees, and the peak of the process is not that of its
tensors; it costs time."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def give_memory_back() -> None:
    """The same as `GIVES_MEMORY_BACK`, for a process that runs already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, SMALL_BLOCK_BYTES)


def forget_peak() -> None:
    """Let the peak be what the process has now."""
    FORGET_PEAK.write_text("5", encoding="ascii")


def peak_mib() -> float:
    """Most memory of this process since `forget_peak`, or since it began, in MiB."""
    if sys.platform != "linux":
        # A Mac counts bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="ascii"))
    return int(kib) / 2**10
