"""How well the small model reads what it never saw, without fine-tuning; writes `benchmarks/base_model.json`.

Synthetic lines in fonts and words that nothing was learned from, English and Russian apart, and the sample scans.
"""

import json
import tempfile
from pathlib import Path

import torch

from demo import rates
from machine import describe_machine
from ocrtune.config import read_config
from ocrtune.data.streams import open_stream
from ocrtune.evaluation import evaluate_predictions
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.prediction import predict
from ocrtune.records import Page
from ocrtune.sources import read_pages, write_text_atomically

RESULT = Path(__file__).with_suffix(".json")
RECIPES = Path(__file__).parents[1] / "pretraining"
LINES = 200
DECODING = read_config("tiny-demo").evaluation.decoding
"""The demo's, so that scores are those it has before fine-tuning."""

SAMPLE_PAGES = ("5", "6")


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_checkpoint(build_tiny_checkpoint(Path(folder)), device="cpu")
    sets = {f"synthetic, {language}": synthetic(language) for language in ("en", "ru")}
    sets |= {f"Vicksburg page {document}": sample_lines(document) for document in SAMPLE_PAGES}
    scores = {name: {"lines": len(pages), **score(loaded, pages)} for name, pages in sets.items()}
    result = {"sets": scores, "machine": describe_machine("torch", "transformers")}
    write_text_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def synthetic(language: str) -> list[Page]:
    """Lines of the held-out recipe in one language."""
    return open_stream(f"synth:{RECIPES / f'held-out-{language}.yaml'}").first(LINES)


def sample_lines(document: str) -> list[Page]:
    return [page for page in read_pages("builtin") if page.document == document]


def score(loaded: LoadedCheckpoint, pages: list[Page]) -> dict[str, float]:
    predictions = predict(loaded, pages, decoding=DECODING)
    return rates(evaluate_predictions(predictions, pages).scorecard)


if __name__ == "__main__":
    main()
