"""LoRA against full fine-tuning of the small model on the sample lines; writes `benchmarks/tuning_methods.json`.

The demo's recipe and lines, the same steps and batches; only what learns, and its rate, differ.
"""

import json
import tempfile
import time
from pathlib import Path

import torch

from base_model import sample_lines, score
from machine import describe_machine
from ocrtune.config import read_config
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.sources import write_text_atomically
from ocrtune.training import train

RESULT = Path(__file__).with_suffix(".json")
THREADS = 2
TEST_DOCUMENT = "6"

RANK = 16
LORA = ("tuning.method=lora", f"tuning.lora.rank={RANK}", "optimizer.learning_rate=2e-3")
METHODS: dict[str, tuple[str, ...]] = {
    "full": (),
    "full, decoder and projector": ("tuning.parts=[decoder,projector]",),
    "LoRA, all parts": (*LORA, "tuning.parts=[decoder,projector,vision]"),
    "LoRA with experts, all parts": (
        *LORA,
        "tuning.parts=[decoder,projector,vision]",
        "tuning.lora.preset=experts",
    ),
    "LoRA, decoder": (*LORA, "tuning.parts=[decoder]"),
}


def main() -> None:
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        before = read_test_page(build_tiny_checkpoint(Path(folder)))
    methods = {name: measure(overrides) for name, overrides in METHODS.items()}
    result = {
        "threads": THREADS,
        "rank": RANK,
        "steps": next(iter(methods.values()))["steps"],
        "before": before,
        "methods": methods,
        "machine": describe_machine("torch", "transformers"),
    }
    write_text_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def measure(overrides: tuple[str, ...]) -> dict[str, float]:
    """Train as the demo does, and read the test page with the best checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        done = train(read_config("tiny-demo", [f"run.folder={folder}/run", *overrides]))
        elapsed_s = time.monotonic() - started
        table = json.loads((done.run / "learning.json").read_text(encoding="utf-8"))
        scores = read_test_page(done.best)
    learning = sum(row["parameters"] for row in table if row["learns"])
    return {"learning_parameters": learning, "steps": done.steps, "train_s": round(elapsed_s), **scores}


def read_test_page(checkpoint: Path) -> dict[str, float]:
    """Rates of the test page."""
    return score(load_checkpoint(checkpoint, device="cpu"), sample_lines(TEST_DOCUMENT))


if __name__ == "__main__":
    main()
