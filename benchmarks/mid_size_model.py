"""A model of 38 M parameters with the proportions of DeepSeek-OCR, and pages of one to six lines for it.

What the packing, the forecasts and the input pipeline are measured on.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocrtune.config import Config, parse_config
from ocrtune.models.tiny import TinyShape
from ocrtune.sources import open_image, read_pages, write_jsonl
from ocrtune.training.data import prepare_data
from ocrtune.training.train import make_plan
from seeded_model import write_seeded_model

SHAPE = TinyShape(
    view_px=256,
    sam_width=152,
    sam_layers=4,
    sam_window=8,
    neck_width=48,
    middle_width=104,
    encoder_width=208,
    encoder_layers=8,
    decoder_width=256,
    decoder_layers=4,
    dense_width=1368,
    expert_width=176,
    experts=64,
    experts_per_token=6,
    shared_experts=2,
)
"""DeepSeek-OCR at a fifth of its widths and a third of its layers."""

VOCABULARY_SIZE = 8576
"""The head then has the share of the parameters a token goes through that it has in DeepSeek-OCR: 29 %."""

MODE = {"global_px": 256, "tile_px": 128, "max_tiles": 9}
NUM_PAGES = 40
LINES_ON_A_PAGE = range(1, 7)
SEED = 0


def prepare(folder: Path) -> dict[str, Any]:
    """Write the model to `model` and the pages to `pages`, and tell what they are."""
    parameters = write_model(folder / "model")
    write_pages(folder / "pages")
    plan = make_plan(run_config(folder))
    rows = list(prepare_data(plan.config, plan.recipe, plan.tokenizer).train)
    return {
        "model": {
            "family": plan.family.name,
            "shape": asdict(SHAPE),
            "vocabulary": VOCABULARY_SIZE,
            "parameters": parameters,
        },
        "pages": {
            "number": len(rows),
            "lines_on_a_page": [LINES_ON_A_PAGE.start, LINES_ON_A_PAGE.stop - 1],
            "mode": MODE,
            "tiles": sum(len(row.views[0].tiles) for row in rows),
            "tokens": sum(len(row.input_ids) for row in rows),
            "shortest_tokens": min(len(row.input_ids) for row in rows),
            "longest_tokens": max(len(row.input_ids) for row in rows),
            "image_tokens": sum(int(row.image_mask.sum()) for row in rows),
            "supervised_tokens": sum(int((row.labels != -100).sum()) for row in rows),
        },
    }


def write_model(folder: Path) -> int:
    """The model in published layout; returns how many parameters it has."""
    return write_seeded_model(folder, SHAPE, VOCABULARY_SIZE)


def write_pages(folder: Path) -> None:
    """Pages of one to six consecutive lines of the sample book, so that tiles and lengths vary."""
    (folder / "images").mkdir(parents=True)
    lines = read_pages("builtin")
    draw = np.random.default_rng(SEED)
    rows = []
    for number in range(NUM_PAGES):
        count = int(draw.integers(LINES_ON_A_PAGE.start, LINES_ON_A_PAGE.stop))
        first = int(draw.integers(0, len(lines) - count))
        chosen = lines[first : first + count]
        name = f"images/{number:02d}.png"
        stack([open_image(line.images[0]) for line in chosen]).save(folder / name)
        rows.append({"image": name, "text": "\n".join(line.text or "" for line in chosen)})
    write_jsonl(folder / "manifest.jsonl", rows)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures one under another on white."""
    size = (max(picture.width for picture in pictures), sum(picture.height for picture in pictures))
    page, top = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        page.paste(picture, (0, top))
        top += picture.height
    return page


def run_config(folder: Path) -> Config:
    """A run over the pages without held-out ones."""
    return parse_config(
        {
            "model": str(folder / "model"),
            "run": {"folder": str(folder / "run"), "resume": True, "seed": SEED},
            "data": {"uri": str(folder / "pages" / "manifest.jsonl"), "validation_fraction": 0},
            "inputs": {"mode": MODE},
            "tuning": {"method": "full"},
            "training": {"device": "cpu"},
        }
    )
