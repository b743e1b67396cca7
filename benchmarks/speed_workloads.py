"""What `speed.py` measures on: models, pages, and what learns.

The model has the geometry of DeepSeek-OCR (views of 1024 and 640 px, its layers of SAM, its vocabulary, its 64
experts) at small widths, chosen so that vision's forward and the decoder's forward and backward cost as much beside each other as
in the published model. Its pages are printed by PIL from the texts of the sample book; a letter is a token.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ocrtune.config import Config, parse_config
from ocrtune.config.reading import apply_overrides
from ocrtune.models.tiny import TinyShape
from ocrtune.sources import open_image, read_pages, write_jsonl
from seeded_model import write_seeded_model

SHAPE = TinyShape(
    view_px=1024,
    sam_width=128,
    sam_layers=12,
    sam_window=14,
    neck_width=64,
    middle_width=128,
    encoder_width=256,
    encoder_layers=8,
    decoder_width=320,
    decoder_layers=6,
    dense_width=1712,
    expert_width=112,
    experts=64,
    experts_per_token=6,
    shared_experts=2,
    max_positions=8192,
)
GLOBAL_LAYERS = (2, 5, 8, 11)
"""Layers of SAM without windows, as published."""

SAM_HEADS = SHAPE.sam_width // 64
"""Heads of 64, as published."""

VOCABULARY_SIZE = 129_280
PATCHES_ON_A_SIDE = SHAPE.view_px // 16
SEED = 0

Size = tuple[int, int]
A4_PX: Size = (1240, 1754)
SIZE_OF_TILES: Mapping[int, Size] = MappingProxyType(
    {0: (600, 600), 2: (600, 1200), 4: (1200, 1200), 6: A4_PX, 9: (1900, 1900)}
)
"""(width, height) px of a page that is cut into so many tiles of 640 px."""

A4_TARGETS = 301
MIXTURE_TARGETS = (20, 400, 90, 60, 250, 30, 150, 40)
"""Answers of the mixture, EOS included."""

GROWTH_TILES = (0, 2, 4, 6, 9)
GROWTH_TARGETS = (100, 300, 600, 1000, 2000)
GROWTH_PAGES = (1, 2, 4, 8)
GROWTH_PAGE_TARGETS = 100

Regime = Literal["decoder", "lora", "all"]
REGIMES: Mapping[Regime, Mapping[str, Any]] = MappingProxyType(
    {
        "decoder": {"method": "full", "parts": ["decoder"]},
        "lora": {"method": "lora", "parts": ["decoder"]},
        "all": {"method": "full", "parts": ["decoder", "projector", "vision"]},
    }
)
REGIME_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "decoder": "decoder in full, vision frozen",
        "lora": "LoRA on the decoder, vision frozen",
        "all": "everything in full",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is trained on.

    Attributes:
        title: For tables.
        model: The folder of the model within the benchmark's, or `builtin`.
        mode: The name of a mode; the model's own without it.
        batch_size: Pages in a forward.
        accumulation: Forwards in an optimizer step.
        steps: Timed optimizer steps, an epoch of the pages.
        regimes: What learns.
    """

    title: str
    model: str = "mid"
    mode: str | None = "gundam"
    batch_size: int = 1
    accumulation: int = 1
    steps: int
    regimes: tuple[Regime, ...] = ("decoder",)

    @property
    def step_size(self) -> int:
        """Pages in an optimizer step."""
        return self.batch_size * self.accumulation


WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        "page": Workload(title="an A4 page of 2×3 tiles", steps=1, regimes=("decoder", "lora", "all")),
        "mixture": Workload(
            title="pages of one view of 640 px, answers of 20 to 400 tokens",
            mode="small",
            batch_size=2,
            accumulation=2,
            steps=2,
        ),
        "lines": Workload(
            title="lines of the sample book, small model",
            model="builtin",
            mode=None,
            batch_size=8,
            steps=2,
        ),
    }
)


def prepare(folder: Path) -> dict[str, Any]:
    """Write the model and all pages; tells what they are."""
    parameters = write_model(folder / "mid")
    book = " ".join(page.text or "" for page in read_pages("builtin"))
    a4 = [(A4_PX, A4_TARGETS)] * WORKLOADS["page"].steps * WORKLOADS["page"].step_size
    mixture = [(SIZE_OF_TILES[0], targets) for targets in MIXTURE_TARGETS]
    for name, pages in {"page": a4, "mixture": mixture, "growth": growth_pages()}.items():
        write_pages(folder / name, book, pages)
    write_lines(folder / "lines")
    return {
        "parameters": parameters,
        "shape": asdict(SHAPE),
        "sam_global_layers": GLOBAL_LAYERS,
        "vocabulary": VOCABULARY_SIZE,
    }


def write_lines(folder: Path) -> None:
    """Scanned lines of the sample book, an epoch of them."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, line in enumerate(
        read_pages("builtin")[: WORKLOADS["lines"].steps * WORKLOADS["lines"].step_size]
    ):
        name = f"images/{number:02d}.png"
        open_image(line.images[0]).save(folder / name)
        rows.append({"image": name, "text": line.text})
    write_jsonl(folder / "manifest.jsonl", rows)


def growth_pages() -> list[tuple[Size, int]]:
    """Pages of the curves: of every number of tiles, of every length, and a batch of short ones."""
    return [
        *((SIZE_OF_TILES[tiles], A4_TARGETS) for tiles in GROWTH_TILES),
        *((SIZE_OF_TILES[0], targets) for targets in GROWTH_TARGETS),
        *((SIZE_OF_TILES[0], GROWTH_PAGE_TARGETS) for _ in range(max(GROWTH_PAGES))),
    ]


def growth_points() -> dict[str, dict[int, list[int]]]:
    """Curve → its points → which of the growth pages make the batch of each."""
    lengths = len(GROWTH_TILES)
    batch = lengths + len(GROWTH_TARGETS)
    return {
        "tiles": {tiles: [place] for place, tiles in enumerate(GROWTH_TILES)},
        "targets": {targets: [lengths + place] for place, targets in enumerate(GROWTH_TARGETS)},
        "pages": {count: list(range(batch, batch + count)) for count in GROWTH_PAGES},
    }


def write_model(folder: Path) -> int:
    """The model from a seed, in published layout; returns how many parameters it has."""
    sam = {"global_attn_indexes": list(GLOBAL_LAYERS), "num_attention_heads": SAM_HEADS}
    return write_seeded_model(folder, SHAPE, VOCABULARY_SIZE, sam=sam, tensors=relative_positions())


def relative_positions() -> dict[str, Any]:
    """SAM's tables of its heads and windows, not zero, so that a way that forgot them computes another loss."""
    draw = np.random.default_rng(SEED)
    tables = {}
    for layer in range(SHAPE.sam_layers):
        side = PATCHES_ON_A_SIDE if layer in GLOBAL_LAYERS else SHAPE.sam_window
        for axis in "hw":
            size = (2 * side - 1, SHAPE.sam_width // SAM_HEADS)
            table = draw.standard_normal(size, dtype=np.float32) * 0.02
            tables[f"model.sam_model.blocks.{layer}.attn.rel_pos_{axis}"] = table
    return tables


def write_pages(folder: Path, book: str, pages: Sequence[tuple[Size, int]]) -> None:
    """Pages of a size and a number of targets each, with consecutive texts of the book."""
    (folder / "images").mkdir(parents=True)
    rows, start = [], 0
    for number, (size, targets) in enumerate(pages):
        # A letter is a token, EOS the last one; a space at the end would be cut off.
        text = f"{book[start : start + targets - 2].strip():x<{targets - 2}}."
        start = (start + targets) % (len(book) // 2)
        name = f"images/{number:02d}.png"
        print_page(size, text, number).save(folder / name)
        rows.append({"image": name, "text": text})
    write_jsonl(folder / "manifest.jsonl", rows)


def print_page(size: Size, text: str, number: int) -> Image.Image:
    """Black text on white, its lines broken by their width; the number keeps equal texts apart."""
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=22)
    letters = size[0] // 13
    lines = [f"{number}", *(text[start : start + letters] for start in range(0, len(text), letters))]
    draw.multiline_text((20, 20), "\n".join(lines), fill="black", font=font)
    return page


def run_config(
    folder: Path,
    workload: str,
    regime: Regime,
    *,
    epochs: int = 1,
    pages: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Config:
    """A run on a CPU over a workload's pages, without held-out pages or checkpoints.

    Args:
        folder: What `prepare` filled.
        workload: A key of `WORKLOADS`.
        regime: A key of `REGIMES`.
        epochs: Over the pages.
        pages: Those of another folder.
        settings: By dotted key, instead of what stands here.
    """
    facts = WORKLOADS[workload]
    tree: dict[str, Any] = {
        "model": facts.model if facts.model == "builtin" else str(folder / facts.model),
        "run": {"folder": str(folder / "run"), "resume": True, "seed": SEED},
        "data": {"uri": str(folder / (pages or workload) / "manifest.jsonl"), "validation_fraction": 0},
        "tuning": dict(REGIMES[regime]),
        "training": {
            "epochs": epochs,
            "batch_size": facts.batch_size,
            "accumulation_steps": facts.accumulation,
            "device": "cpu",
        },
    }
    if facts.mode is not None:
        tree["inputs"] = {"mode": facts.mode}
    return parse_config(
        apply_overrides(tree, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    )
