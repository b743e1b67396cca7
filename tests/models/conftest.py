from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers.models import WordLevel

from ocrtune.families.vocabulary import VOCABULARY
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.models import load_model
from ocrtune.models.precision import PrecisionPolicy

SIDES_PX = {"deepseek_ocr": (256, 128), "unlimited_ocr": (256, 128), "deepseek_ocr2": (1024, 768)}
IMAGE_ID = 500


@pytest.fixture(scope="session")
def load_golden(golden):
    """A golden model of a family, in training mode, and the caller's own: each is read once and copied."""
    read = cache(load_model)

    def load(family="deepseek_ocr", dtype="float32"):
        return deepcopy(read(golden / family, dtype=dtype)).train()

    return load


@pytest.fixture(scope="session")
def fp32_policy():
    return PrecisionPolicy(device_kind="cpu", base_dtype="float32", reason="a test")


@pytest.fixture(scope="session")
def native_batch():
    """One row with one image of noise, in the native form; its text is the target."""

    def make(family="deepseek_ocr", *, tiles=True, seed=0):
        draw = torch.Generator().manual_seed(seed)
        global_px, tile_px = SIDES_PX[family]
        with_grid = family != "deepseek_ocr2"
        num_features = 21 + 10 * tiles if with_grid else 257 + 288 * tiles
        text = torch.randint(3, 400, (12,), generator=draw)
        input_ids = torch.cat([torch.tensor([0]), torch.full((num_features,), IMAGE_ID), text])[None]
        labels = input_ids.masked_fill(input_ids == IMAGE_ID, -100)
        labels[:, 0] = -100
        return {
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids),
            "labels": labels,
            "pixel_values": torch.randn(1, 3, global_px, global_px, generator=draw),
            "num_local_patches": [2 * tiles],
            **({"pixel_values_local": torch.randn(2, 3, tile_px, tile_px, generator=draw)} if tiles else {}),
            **({"patches_grid": [[2, 1] if tiles else [1, 1]]} if with_grid else {}),
        }

    return make


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory) -> Tokenizer:
    """A small tokenizer with every special token of the families."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    special = [VOCABULARY.bos, VOCABULARY.eos, VOCABULARY.pad, VOCABULARY.image, *VOCABULARY.kept]
    words = tokenizers.Tokenizer(WordLevel({token: index for index, token in enumerate(special)}))
    words.add_special_tokens(special)
    words.save(str(folder / "tokenizer.json"))
    return Tokenizer.read(folder)
