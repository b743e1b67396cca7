"""How many pages a second one core reads from shards, against the same image files in a folder.

Run it with `python benchmarks/streaming.py`; it prints one JSON object and writes it to `streaming.json` beside it. Files are
written to a temporary folder first, so they come from the memory of the system and not from a disk.
"""

import io
import json
import statistics
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from machine import describe_machine
from ocrtune.data.shard_order import ShardOrder
from ocrtune.data.streams import open_stream
from ocrtune.records import EncodedImage, Page
from ocrtune.sources import open_image, read_pages, sample_path
from ocrtune.sources.shards.options import ShardRequest
from ocrtune.sources.shards.reading import read_shards

PAGES = 4000
SHARDS = 8
ROW_GROUP = 100
ROUNDS = 5
BASELINE = "folder of image files"
STREAMED: dict[str, Any] = {"lanes": 1, "batch_size": 8, "shuffle_pages": 1000}
INDEXED_MEMBERS = 100_000

GetPage = Callable[[int], Page]


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        images = make_images()
        write_all(folder, images)
        result = {
            "pages": PAGES,
            "shards": SHARDS,
            "mean_image_bytes": round(statistics.mean(map(len, images))),
            "rounds": ROUNDS,
            "baseline": BASELINE,
            "rows": measure(sources(folder)),
            "index": measure_index(folder),
            "order": measure_order(),
            "machine": describe_machine("pillow", "numpy", "pyarrow"),
        }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def make_images() -> list[bytes]:
    """Image files of sample lines, each a little different from the others."""
    lines = [open_image(page.images[0]) for page in read_pages(str(sample_path("vicksburg_lines")))]
    return [encode(lines[number % len(lines)], quality=70 + number % 25) for number in range(PAGES)]


def encode(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_all(folder: Path, images: Sequence[bytes]) -> None:
    """The same pages as files, as tar shards and as Parquet shards."""
    for kind in ("files", "tars", "parquets"):
        (folder / kind).mkdir()
    for number, image in enumerate(images):
        (folder / "files" / f"{number:05}.jpg").write_bytes(image)
        (folder / "files" / f"{number:05}.txt").write_text(f"page {number}", encoding="utf-8")
    for shard in range(SHARDS):
        numbers = range(shard * PAGES // SHARDS, (shard + 1) * PAGES // SHARDS)
        write_tar(folder / "tars" / f"{shard}.tar", numbers, images)
        rows = {
            "image": [images[number] for number in numbers],
            "text": [f"page {number}" for number in numbers],
        }
        pq.write_table(pa.table(rows), folder / "parquets" / f"{shard}.parquet", row_group_size=ROW_GROUP)


def write_tar(path: Path, numbers: range, images: Sequence[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            for suffix, content in (("jpg", images[number]), ("txt", f"page {number}".encode())):
                info = tarfile.TarInfo(f"{number:05}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def sources(folder: Path) -> dict[str, GetPage]:
    """Name → pages by number; those of files in a random order, as a run takes them."""
    order = np.random.default_rng(0).permutation(PAGES)
    files = folder / "files"

    def from_file(number: int) -> Page:
        image = files / f"{order[number]:05}.jpg"
        return Page(
            name=image.name, images=(image,), text=image.with_suffix(".txt").read_text(encoding="utf-8")
        )

    return {
        BASELINE: from_file,
        "tar shards": open_stream(f"webdataset:{folder / 'tars'}", **STREAMED).page,
        "parquet shards": open_stream(f"parquet:{folder / 'parquets'}", **STREAMED).page,
    }


def measure(pages: dict[str, GetPage]) -> list[dict[str, Any]]:
    """Medians over rounds in which the sources take turns, and their ratios to the baseline of the same round."""
    uses: dict[str, Callable[[Page], object]] = {"bytes": read_bytes, "pixels": read_pixels}
    rows = []
    for use, take in uses.items():
        rounds = [{name: speed(get, take) for name, get in pages.items()} for _ in range(ROUNDS)]
        for name in pages:
            ratios = [each[name] / each[BASELINE] for each in rounds]
            rows.append(
                {
                    "name": name,
                    "read": use,
                    "pages_per_s": round(statistics.median(each[name] for each in rounds)),
                    "times_baseline": round(statistics.median(ratios), 2),
                    "lowest": round(min(ratios), 2),
                    "highest": round(max(ratios), 2),
                }
            )
    return rows


def speed(get: GetPage, take: Callable[[Page], object]) -> float:
    start = time.process_time()
    for number in range(PAGES):
        take(get(number))
    return PAGES / (time.process_time() - start)


def read_bytes(page: Page) -> int:
    (source,) = page.images
    return len(source.read() if isinstance(source, EncodedImage) else Path(str(source)).read_bytes())


def read_pixels(page: Page) -> tuple[int, int]:
    return open_image(page.images[0]).size


def measure_index(folder: Path) -> dict[str, Any]:
    """Time to find the pages of one tar of many members, ours and with tarfile."""
    path = folder / "many.tar"
    write_tar(path, range(INDEXED_MEMBERS // 2), [b"\xff\xd8" * 500] * (INDEXED_MEMBERS // 2))
    start = time.process_time()
    pages, _ = read_shards(ShardRequest(path=path, kind="webdataset"))
    ours_s = time.process_time() - start
    start = time.process_time()
    with tarfile.open(path, "r:") as tar:
        count = sum(1 for _ in tar)
    theirs_s = time.process_time() - start
    assert count == 2 * len(pages) == INDEXED_MEMBERS
    return {
        "members": INDEXED_MEMBERS,
        "members_per_s": round(INDEXED_MEMBERS / ours_s),
        "tarfile_members_per_s": round(INDEXED_MEMBERS / theirs_s),
    }


def measure_order() -> dict[str, Any]:
    """Time to make the order of one epoch."""
    order = ShardOrder([1000] * 2000, seed=0, lanes=8, batch_size=8, shuffle_pages=1000)
    start = time.process_time()
    order.epoch(0)
    return {"pages": order.num_pages, "seconds": round(time.process_time() - start, 2)}


if __name__ == "__main__":
    main()
