"""A model from a seed in published layout, of any shape."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ocrtune.models.tiny import TinyShape, tiny_config, tiny_tensors, train_tiny_tokenizer

SEED = 0
Tensors = Mapping[str, "np.ndarray[Any, Any]"]


def write_seeded_model(
    folder: Path,
    shape: TinyShape,
    vocabulary_size: int,
    *,
    sam: Mapping[str, Any] = MappingProxyType({}),
    tensors: Tensors = MappingProxyType({}),
) -> int:
    """Write config, weights and tokenizer into a new folder; returns how many parameters there are.

    Args:
        folder: Where they go.
        shape: Widths and numbers of layers.
        vocabulary_size: Rows of the embedding. As in the published models, it has more than the tokenizer has tokens.
        sam: Keys of SAM's config, instead of the shape's.
        tensors: Weights by name, instead of drawn ones.
    """
    folder.mkdir(parents=True)
    tokenizer = train_tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = tiny_config(tokenizer, shape)
    config["text_config"]["vocab_size"] = vocabulary_size
    config["vision_config"]["sam_config"] |= sam
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {**tiny_tensors(vocabulary_size, shape, seed=SEED), **tensors}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(tensor.size for tensor in weights.values())
