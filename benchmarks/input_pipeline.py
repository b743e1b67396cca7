"""How long a training step waits for its pages, and where a page's way to a batch spends its time.

Run it with `python benchmarks/input_pipeline.py`; it prints one JSON object and writes it to `input_pipeline.json` beside it.
"""

import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from encode import byte_tokenizer
from machine import describe_machine
from mid_size_model import MODE, write_model
from ocrtune.config import parse_config
from ocrtune.families import FAMILIES
from ocrtune.inputs import InputsRecipe, encode
from ocrtune.inputs.collate import collate, normalize_views
from ocrtune.inputs.layout import choose_grid
from ocrtune.records import Cut, Example
from ocrtune.sources import open_image, write_jsonl
from ocrtune.sources.images import MOST_KEPT_BYTES, keep_pages
from ocrtune.training import train
from ocrtune.training.prefetch import KEPT_PAGES_BYTES

WAYS = {"between steps": 0, "a thread": "auto", "two processes": 2}
"""Who encodes → `training.workers`."""

SIDES_PX = (16, 40, 100, 250, 500, 1000, 1600, 2400, 3200, 4000)
PAGES_OF_A_SIDE = 2
BATCH_SIZE, EPOCHS, ROUNDS = 2, 3, 2

A4_AT_200_DPI_PX = (1654, 2339)
STAGES_OF_PX = ((16, 16), (600, 60), A4_AT_200_DPI_PX, (4000, 5600))
THREADS = (1, 2)
PAGES_OF_LINES, LINES_OF_A_PAGE = 12, 4
SEED = 0


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "mode": MODE,
            "sides_px": [SIDES_PX[0], SIDES_PX[-1]],
            "pages": len(SIDES_PX) * PAGES_OF_A_SIDE,
            "batch_size": BATCH_SIZE,
            "epochs": EPOCHS,
            "rounds": ROUNDS,
            "learning_threads": torch.get_num_threads(),
            "rows": compare_ways(folder),
            "stages_ms": stages(folder),
            "encoding": scaling(folder),
            "lines": lines_of_pages(folder),
            "machine": describe_machine("torch", "pillow"),
        }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def compare_ways(folder: Path) -> list[dict[str, Any]]:
    """Runs that differ in who encodes, each way once in a round; medians of the rounds."""
    write_model(folder / "model")
    write_mixture(folder / "pages")
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(ROUNDS):
        for way, workers in WAYS.items():
            found[way].append(measure(folder, workers, folder / f"run-{workers}-{number}"))
    losses = {runs[0]["last_loss"] for runs in found.values()}
    if len(losses) > 1:
        raise SystemExit(f"error: ways learn different things: {losses}")
    return [
        {
            "way": way,
            "waiting_share": round(statistics.median(each["waiting_share"] for each in runs), 4),
            "shares_of_rounds": [round(each["waiting_share"], 4) for each in runs],
            "pages_per_s": round(statistics.median(each["pages_per_s"] for each in runs), 2),
            "last_loss": runs[0]["last_loss"],
        }
        for way, runs in found.items()
    ]


def measure(folder: Path, workers: int | str, run: Path) -> dict[str, float]:
    """What a run waits, and how many pages a second it learns from."""
    config = parse_config(
        {
            "model": str(folder / "model"),
            "run": {"folder": str(run), "seed": SEED},
            "data": {"uri": str(folder / "pages" / "manifest.jsonl"), "validation_fraction": 0},
            "inputs": {"mode": MODE},
            "tuning": {"method": "full"},
            "training": {
                "epochs": EPOCHS,
                "batch_size": BATCH_SIZE,
                "device": "cpu",
                "workers": workers,
                "log_every_steps": 1,
                "save_every_steps": 1_000_000,
            },
        }
    )
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        result = train(config)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert result.waiting_share is not None
    # From the first log on: before it processes are started, which the length of a run decides the weight of.
    elapsed_s = rows[-1]["elapsed_s"] - rows[0]["elapsed_s"]
    return {
        "waiting_share": result.waiting_share,
        "pages_per_s": (len(rows) - 1) * BATCH_SIZE / elapsed_s,
        "last_loss": rows[-1]["loss"],
    }


def write_mixture(folder: Path) -> None:
    """Pages of every side, PNG and JPEG in turn."""
    folder.mkdir()
    rows = []
    for number, side in enumerate(SIDES_PX * PAGES_OF_A_SIDE):
        name = f"{number:02}.{('png', 'jpg')[number % 2 ^ number // len(SIDES_PX)]}"
        draw_page((side, side), SEED + number).save(folder / name)
        rows.append({"image": name, "text": f"page {number} of {side} pixels " * 4, "document": f"d{number}"})
    write_jsonl(folder / "manifest.jsonl", rows)


def draw_page(size: tuple[int, int], seed: int) -> Image.Image:
    """Lines of text on slightly noisy paper, as a scanner gives it."""
    width, height = size
    noise = np.random.default_rng(seed).integers(236, 256, (height, width, 3), dtype=np.uint8)
    page = Image.fromarray(noise)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=28)
    for top in range(10, height - 30, 44):
        draw.text((10, top), "the quick brown fox jumps over the lazy dog " * 6, fill=(20, 20, 20), font=font)
    return page


def stages(folder: Path) -> list[dict[str, Any]]:
    """Milliseconds of each step of a page's way in Gundam, the least of several."""
    torch.set_num_threads(1)
    found = []
    for size in STAGES_OF_PX:
        for suffix in ("png", "jpg"):
            path = folder / f"page.{suffix}"
            draw_page(size, SEED).save(path)
            found.append({"page_px": list(size), "file": suffix, **stages_of(path, folder)})
    return found


def stages_of(path: Path, folder: Path) -> dict[str, float]:
    family, tokenizer = FAMILIES["deepseek_ocr"], byte_tokenizer(folder)
    recipe = InputsRecipe.default(family)
    image, mode = open_image(path), recipe.mode
    columns, rows = choose_grid(image.size, mode)
    assert mode.tile_px is not None
    tiled_px = (columns * mode.tile_px, rows * mode.tile_px)
    example = Example(name="page", images=(path,), prompt=recipe.prompt, target="A page. " * 300)
    inputs = encode(example, recipe, tokenizer)
    raw = collate([inputs], family, pad_id=tokenizer.pad_id, dtype=torch.uint8).native()
    return {
        "decode": least_ms(lambda: open_image(path)),
        "global_view": least_ms(lambda: ImageOps.pad(image, (mode.global_px, mode.global_px))),
        "tiles": least_ms(lambda: image.resize(tiled_px)) if (columns, rows) != (1, 1) else 0.0,
        "tokenize": least_ms(lambda: tokenizer.encode(example.target or "")),
        "encode": least_ms(lambda: encode(example, recipe, tokenizer)),
        "collate": least_ms(lambda: collate([inputs], family, pad_id=tokenizer.pad_id, dtype=torch.uint8)),
        "normalize": least_ms(lambda: normalize_views(raw, torch.float32)),
    }


def scaling(folder: Path) -> list[dict[str, Any]]:
    """How many A4 pages a second threads encode."""
    path, family, tokenizer = folder / "a4.png", FAMILIES["deepseek_ocr"], byte_tokenizer(folder)
    draw_page(A4_AT_200_DPI_PX, SEED).save(path)
    recipe = InputsRecipe.default(family)
    example = Example(name="page", images=(path,), prompt=recipe.prompt, target="A page. " * 300)
    found = []
    for count in THREADS:
        with ThreadPoolExecutor(count) as threads:
            work = [example] * 6
            each_ms = least_ms(
                lambda threads=threads, work=work: list(
                    threads.map(lambda each: encode(each, recipe, tokenizer), work)
                ),
                times=3,
            ) / len(work)
        found.append({"threads": count, "pages_per_s": round(1000 / each_ms, 1)})
    return found


def lines_of_pages(folder: Path) -> dict[str, Any]:
    """Milliseconds a line that is cut out of a page takes, in random order, with few and with many pages kept decoded."""
    (folder / "lines").mkdir()
    cuts = []
    for number in range(PAGES_OF_LINES):
        path = folder / "lines" / f"{number}.png"
        draw_page(A4_AT_200_DPI_PX, number).save(path)
        cuts += [cut_line(path, 10 + 44 * line) for line in range(LINES_OF_A_PAGE)]
    shuffled = [cuts[place] for place in np.random.default_rng(SEED).permutation(len(cuts))]
    kept = {"two_pages": 2 * 4 * A4_AT_200_DPI_PX[0] * A4_AT_200_DPI_PX[1], "all_pages": KEPT_PAGES_BYTES}
    found = {}
    for name, most_bytes in kept.items():
        keep_pages(most_bytes)
        start = time.perf_counter()
        for cut in shuffled:
            open_image(cut)
        found[name] = round((time.perf_counter() - start) * 1000 / len(shuffled), 1)
    keep_pages(MOST_KEPT_BYTES)
    return {"pages": PAGES_OF_LINES, "lines": len(cuts), "ms_a_line": found}


def cut_line(path: Path, top: int) -> Cut:
    right = A4_AT_200_DPI_PX[0] - 10
    return Cut(path=path, polygon=((10, top), (right, top), (right, top + 40), (10, top + 40)))


def least_ms(work: Callable[[], object], times: int = 5) -> float:
    """The least of several; the first, which pays for caches, is not among them."""
    work()
    taken: Sequence[float] = [seconds(work) for _ in range(times)]
    return round(min(taken) * 1000, 2)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
