"""What encoding costs over PIL's own decoding and resizing, for an A4 page at 200 dpi in Gundam.

Run it with `python benchmarks/encode.py`; it prints one JSON object and writes it to `encode.json` beside it.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from PIL import Image, ImageDraw, ImageFont, ImageOps

from machine import describe_machine
from ocrtune.families import FAMILIES
from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.records import Example

A4_AT_200_DPI_PX = (1654, 2339)
ROUNDS = 15
FORMATS = {"png": {}, "jpeg": {"quality": 90}}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = byte_tokenizer(Path(folder))
        pages = {name: draw_page(Path(folder) / f"page.{name}", **FORMATS[name]) for name in FORMATS}
        result = {
            "page_px": list(A4_AT_200_DPI_PX),
            "mode": "gundam",
            "rounds": ROUNDS,
            "formats": {name: compare(path, tokenizer) for name, path in pages.items()},
            "machine": describe_machine("pillow", "numpy"),
        }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def compare(page: Path, tokenizer: Tokenizer) -> dict[str, float]:
    """Medians in milliseconds, and the median ratio of pairs timed one right after the other."""
    family = FAMILIES["deepseek_ocr"]
    recipe = InputsRecipe.default(family)
    example = Example(name=page.name, images=(page,), prompt=recipe.prompt, target="A page. " * 300)
    # The first call of each pays for imports and caches.
    encode(example, recipe, tokenizer)
    decode_and_resize(page)
    pairs = [
        (
            milliseconds(lambda: decode_and_resize(page)),
            milliseconds(lambda: encode(example, recipe, tokenizer)),
        )
        for _ in range(ROUNDS)
    ]
    return {
        "decode_and_resize_ms": round(statistics.median(alone for alone, _ in pairs), 1),
        "encode_ms": round(statistics.median(encoded for _, encoded in pairs), 1),
        "ratio": round(statistics.median(encoded / alone for alone, encoded in pairs), 2),
    }


def decode_and_resize(page: Path) -> None:
    """What no encoder can do without: the page decoded, stretched to 2×3 tiles of 640 px, and padded to 1024 px."""
    with Image.open(page) as image:
        image.load()
        image.resize((2 * 640, 3 * 640))
        ImageOps.pad(image, (1024, 1024), color=(127, 127, 127))


def milliseconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def draw_page(path: Path, **options: Any) -> Path:
    """A page of text on slightly noisy paper, as a scanner gives it."""
    width, height = A4_AT_200_DPI_PX
    noise = np.random.default_rng(0).integers(240, 256, (height, width, 3), dtype=np.uint8)
    page = Image.fromarray(noise)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=28)
    for top in range(160, height - 160, 44):
        draw.text(
            (160, top), "the quick brown fox jumps over the lazy dog " * 2, fill=(20, 20, 20), font=font
        )
    page.save(path, **options)
    return path


def byte_tokenizer(folder: Path) -> Tokenizer:
    """One token per byte: more ids than any real tokenizer would make of the same text."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(VOCABULARY.published_ids))
    tokenizer.save(str(folder / "tokenizer.json"))
    return Tokenizer.read(folder)


if __name__ == "__main__":
    main()
