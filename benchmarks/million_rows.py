"""A manifest of a million rows: how fast it is read, split, checked and streamed, and how much memory that takes.

Run it with `python benchmarks/million_rows.py [ROWS]`; it prints one JSON object and, for a million rows, writes it to
`million_rows.json` beside it. Each step runs in a process of its own, and its memory is what it takes at most, reading included, beyond an
interpreter that has imported the package. The named baseline is Python's own `json.loads` of every line.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe_machine
from peak_memory import forget_peak, peak_mib

ROWS = 1_000_000
ROWS_OF_A_DOCUMENT = 200
SHARDS = 200
STREAMED = 200_000
"""Pages asked for one by one in a random order, as training does."""

WORDS = ("Vicksburg", "batteries", "river", "the", "enemy", "of", "morning", "works", "fire", "command")


def main() -> None:
    if len(sys.argv) == 3:  # a step and its file
        print(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.jsonl"
        write_manifest(manifest, rows)
        result = {
            "rows": rows,
            "bytes": manifest.stat().st_size,
            "steps": [measure(step, manifest) for step in STEPS],
            "machine": describe_machine(),
        }
    result["steps"] = with_ratios(result["steps"])
    text = json.dumps(result, indent=2) + "\n"
    if rows == ROWS:
        Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def write_manifest(path: Path, rows: int) -> None:
    """Rows as people have them: a path, a line of text with words enough to differ, a document."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            text = " ".join(WORDS[(number // 10**place) % 10] for place in range(7)) + f" {number}"
            document = f"book {number // ROWS_OF_A_DOCUMENT}"
            row = {"image": f"scans/{document}/{number}.png", "text": text, "document": document}
            file.write(json.dumps(row) + "\n")


def measure(step: str, manifest: Path) -> dict[str, Any]:
    """What a step took, in a process of its own."""
    command = [sys.executable, __file__, step, str(manifest)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def with_ratios(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each step's time beside the baseline's for as many rows."""
    baseline = steps[0]["rows_per_s"]
    return [{**step, "times_baseline": round(baseline / step["rows_per_s"], 2)} for step in steps]


def run(step: str, manifest: Path) -> dict[str, Any]:
    """Do a step; speed is in processor time, memory in MB beyond the interpreter with its modules."""
    prepare, work = STEPS[step]
    import_everything()
    forget_peak()
    before_mib = peak_mib()
    prepared = prepare(manifest)
    start = time.process_time()
    rows = work(prepared)
    elapsed_s = time.process_time() - start
    return {
        "name": step,
        "rows_per_s": round(rows / elapsed_s),
        "memory_mb": round(peak_mib() - before_mib),
    }


def import_everything() -> None:
    import ocrtune.data  # noqa: PLC0415
    import ocrtune.families  # noqa: F401, PLC0415


def load_lines(manifest: Path) -> int:
    with manifest.open("rb") as file:
        return sum(1 for line in file if json.loads(line))


def open_pages(manifest: Path) -> Any:
    """The pages, so that a step after reading is measured by itself."""
    from ocrtune.sources import read_pages  # noqa: PLC0415

    return read_pages(str(manifest))


def read(manifest: Path) -> int:
    return len(open_pages(manifest))


def split(pages: Any) -> int:
    from ocrtune.config import DataSection  # noqa: PLC0415
    from ocrtune.data import split_by_document  # noqa: PLC0415

    split_by_document(pages, DataSection(uri="manifest.jsonl"), 0)
    return len(pages)


def check(pages: Any) -> int:
    from ocrtune.data import check_dataset  # noqa: PLC0415
    from ocrtune.families import get_family  # noqa: PLC0415

    check_dataset(pages, get_family("deepseek_ocr"), open_images=False, workers=1)
    return len(pages)


def stream(pages: Any) -> int:
    import numpy as np  # noqa: PLC0415

    order = np.random.default_rng(0).permutation(len(pages))[:STREAMED]
    for place in order:
        pages[int(place)]
    return len(order)


def open_shards(_: Path) -> Any:
    """A million pages in tars, an image and a text each, as their headers would be kept; no tar is written."""
    import numpy as np  # noqa: PLC0415

    from ocrtune.sources.shards.files import Shard  # noqa: PLC0415
    from ocrtune.sources.shards.pages import Piece  # noqa: PLC0415
    from ocrtune.sources.shards.tar_pages import Index, TarPages  # noqa: PLC0415

    shards = [Shard(path=Path(f"{number}.tar"), name=f"{number}.tar") for number in range(SHARDS)]
    pieces = [Piece(name=shard.name, num_pages=ROWS // SHARDS, num_bytes=2**30) for shard in shards]
    index = Index()
    index.firsts.frombytes(np.arange(2, 2 * ROWS + 1, 2, dtype=np.int64).tobytes())
    index.starts.frombytes(np.arange(2 * ROWS, dtype=np.int64).tobytes())
    index.sizes.frombytes(np.full(2 * ROWS, 20_000, dtype=np.uint32).tobytes())
    index.roles.frombytes(np.tile(np.array([0, 1], dtype=np.uint8), ROWS).tobytes())
    index.repeated.frombytes(bytes(ROWS))
    return TarPages(shards, pieces, index)


def order_shards(pages: Any) -> int:
    """Three epochs, as many as a process keeps."""
    from ocrtune.data.shard_order import ORDERS_KEPT, ShardOrder  # noqa: PLC0415

    sizes = [piece.num_pages for piece in pages.pieces]
    order = ShardOrder(sizes, seed=0, lanes=32, batch_size=8, shuffle_pages=1000)
    for epoch in range(ORDERS_KEPT):
        order.place(epoch * len(pages))
    return ORDERS_KEPT * len(pages)


Step = tuple[Callable[[Path], Any], Callable[[Any], int]]
STEPS: dict[str, Step] = {
    "json.loads of every line": (lambda manifest: manifest, load_lines),
    "read": (lambda manifest: manifest, read),
    "split by document": (open_pages, split),
    "check, images left aside": (open_pages, check),
    "pages in random order": (open_pages, stream),
    "shard order of an epoch": (open_shards, order_shards),
}

if __name__ == "__main__":
    main()
