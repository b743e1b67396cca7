"""Memory of this process as Linux counts it, for `full_size.py`.

Memory of its own ("anon") is what may not run out. Pages of mapped files count into the resident set too, and the
system takes them back when it needs memory.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS = Path("/proc/self/status")
EVERY_S = 0.05
FIELDS = {"VmRSS": "resident", "RssAnon": "anon", "RssFile": "mapped"}


@contextmanager
def watched_memory() -> Iterator[dict[str, int]]:
    """A dictionary that is filled when the block ends: bytes at most, `peak_…`, and at the end, `end_…`."""
    memory: dict[str, int] = {}
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(memory, ended), daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        ended.set()
        watcher.join()
        memory |= {f"end_{name}": size for name, size in read_memory().items()}


def read_memory() -> dict[str, int]:
    """Bytes of this process now: `resident`, `anon` and `mapped`."""
    kib = dict(re.findall(r"^(\w+):\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE))
    return {name: int(kib[field]) * 1024 for field, name in FIELDS.items()}


def _watch(memory: dict[str, int], ended: threading.Event) -> None:
    while True:
        for name, size in read_memory().items():
            memory[f"peak_{name}"] = max(memory.get(f"peak_{name}", 0), size)
        if ended.wait(EVERY_S):
            return
