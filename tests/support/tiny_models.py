"""Golden checkpoints as folders that ocrtune loads: with a tokenizer of their size; and pages of noise."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ocrtune.families import FAMILIES, Family, Mode
from ocrtune.families.vocabulary import BOS, EOS, IMAGE, PAD, VOCABULARY
from ocrtune.inputs import InputsRecipe, Tokenizer
from ocrtune.records import Page

VOCABULARY_SIZE = 512
IMAGE_ID = 500
KEPT_FROM_ID = 501


def tokenizer_json() -> dict:
    """Bytes, special tokens at the ids the golden checkpoints have, and words that stand for the other ids."""
    specials = {BOS: 0, EOS: 1, PAD: 2, IMAGE: IMAGE_ID}
    specials |= {text: KEPT_FROM_ID + index for index, text in enumerate(VOCABULARY.kept)}
    taken = set(specials.values())
    letters = [chr(code) for code in range(33, 127)]
    others = iter(letters + [f"w{number}" for number in range(VOCABULARY_SIZE)])
    vocab = dict(specials)
    for token_id in range(VOCABULARY_SIZE):
        if token_id not in taken:
            vocab[next(others)] = token_id
    added = [
        {
            "id": token_id,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for text, token_id in specials.items()
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "."},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"},
    }


def golden_mode(family: Family) -> Mode:
    if family.view_sides_px:
        return Mode(name="custom", global_px=1024, tile_px=768, max_tiles=2)
    return Mode(name="custom", global_px=256, tile_px=128, max_tiles=6)


@dataclass(frozen=True)
class TinyModel:
    """A golden checkpoint as a folder that ocrtune loads, with its recipe."""

    folder: Path
    family: Family
    recipe: InputsRecipe
    tokenizer: Tokenizer


def make_tiny_model(golden: Path, folder: Path, name: str) -> TinyModel:
    folder.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (folder / file).symlink_to((golden / name / file).resolve())
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()), encoding="utf-8")
    family = FAMILIES[name]
    recipe = InputsRecipe(
        family=family, mode=golden_mode(family), prompt=family.prompts[family.default_prompt]
    )
    return TinyModel(folder, family, recipe, Tokenizer.read(folder))


def random_page(name: str, size: tuple[int, int], seed: int, **fields) -> Page:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Page(name=name, images=(Image.fromarray(pixels),), **fields)
