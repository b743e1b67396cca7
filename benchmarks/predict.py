"""Pages a second of `predict` in batches of 16 against one page after the other; writes `benchmarks/predict.json`.

The small model of the package reads sample lines. Both ways take turns, on the same pages, and must read the same texts.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from machine import describe_machine
from ocrtune.config import DecodingSection
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.prediction import predict
from ocrtune.records import Page, Prediction
from ocrtune.sources import read_pages, write_text_atomically

RESULT = Path(__file__).with_suffix(".json")
BATCH_SIZE = 16
ROUNDS = int(os.environ.get("ROUNDS", "3"))
LINES = 64
LONGEST_ANSWER_TOKENS = 96


def main() -> None:
    torch.set_num_threads(1)
    pages = list(read_pages("builtin"))[:LINES]
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_checkpoint(build_tiny_checkpoint(Path(folder)), device="cpu")
        # The first pages pay for what is set up once.
        predict(loaded, pages[:BATCH_SIZE], decoding=decoding(BATCH_SIZE))
        rounds = [compare(loaded, pages) for _ in range(ROUNDS)]
    speeds = {
        name: [round(LINES / seconds[name], 2) for seconds, _ in rounds] for name in ("alone", "batched")
    }
    ratios = [seconds["alone"] / seconds["batched"] for seconds, _ in rounds]
    result = {
        "pages": LINES,
        "batch_size": BATCH_SIZE,
        "answer_tokens": rounds[0][1],
        "pages_per_s": {name: statistics.median(values) for name, values in speeds.items()},
        "ratio": round(statistics.median(ratios), 2),
        "rounds": {**speeds, "ratio": [round(ratio, 2) for ratio in ratios]},
        "machine": describe_machine("torch", "transformers"),
    }
    write_text_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def compare(loaded: LoadedCheckpoint, pages: list[Page]) -> tuple[dict[str, float], dict[str, float]]:
    """Processor seconds of both ways, one right after the other, and how long the answers were."""
    alone_s, alone = timed(loaded, pages, 1)
    batched_s, batched = timed(loaded, pages, BATCH_SIZE)
    if [row.text for row in alone] != [row.text for row in batched]:
        raise SystemExit("a batch reads other texts than its pages alone")
    lengths = [row.num_tokens for row in batched]
    return {"alone": alone_s, "batched": batched_s}, {
        "mean": round(statistics.mean(lengths), 1),
        "longest": max(lengths),
    }


def timed(loaded: LoadedCheckpoint, pages: list[Page], batch_size: int) -> tuple[float, list[Prediction]]:
    start = time.process_time()
    rows = predict(loaded, pages, decoding=decoding(batch_size))
    return time.process_time() - start, rows


def decoding(batch_size: int) -> DecodingSection:
    return DecodingSection(batch_size=batch_size, max_new_tokens=LONGEST_ANSWER_TOKENS)


if __name__ == "__main__":
    main()
