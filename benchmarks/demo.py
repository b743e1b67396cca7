"""Run the demo as a user does, and write its scores and its time to `benchmarks/demo.json`."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine
from ocrtune.evaluation import Scorecard, evaluate_predictions, read_predictions
from ocrtune.sources import read_pages, write_text_atomically

THREADS = 2
RESULT = Path(__file__).with_suffix(".json")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        started = time.monotonic()
        found = run_demo(run)
        elapsed_s = time.monotonic() - started
        cards = {name: score(run / "predictions" / f"test-{name}.jsonl") for name in ("before", "after")}
    result = {
        "lines": cards["after"].pages,
        "threads": THREADS,
        "elapsed_s": round(elapsed_s),
        "export_matches": found["export_matches"],
        "scores": {name: rates(card) for name, card in cards.items()},
        "machine": describe_machine("torch", "transformers"),
    }
    write_text_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def run_demo(run: Path) -> dict[str, object]:
    """What `ocrtune demo --json` prints last."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ocrtune"), "demo", "--run", run, "--json"],
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def score(predictions: Path) -> Scorecard:
    """Scores of the test lines the demo read."""
    rows = read_predictions(predictions)
    names = {row.image for row in rows}
    pages = [page for page in read_pages("builtin") if page.name in names]
    return evaluate_predictions(rows, pages).scorecard


def rates(card: Scorecard) -> dict[str, float]:
    return {
        "cer": round(card.cer.micro, 4),
        "cer_median": round(card.cer.median, 4),
        "wer": round(card.wer.micro, 4),
        "runaway_rate": round(card.runaway_rate, 4),
    }


if __name__ == "__main__":
    main()
