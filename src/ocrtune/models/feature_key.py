"""Everything that can change a vision feature, and the digest of it: other weights, mode or dtype are another cache."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from ocrtune.families import Mode
from ocrtune.models.classes import OcrModel
from ocrtune.models.tuning import part_of

FEATURES_VERSION = 1
"""Counts up whenever other views are made of the same image, or other features of the same views."""

_PACKAGES = ("pillow", "pypdfium2", "torch", "transformers")
"""Decode and resize images, render pages, and compute; another version may round otherwise."""


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """What features depend on beside the image.

    Attributes:
        made_of: Plain values for people; weights stand there by their digest.
    """

    made_of: dict[str, Any]

    @property
    def digest(self) -> str:
        """The name of the cache's folder."""
        told = json.dumps(self.made_of, sort_keys=True)
        return sha256(told.encode()).hexdigest()[:32]


def feature_key(model: OcrModel, mode: Mode, *, autocast_dtype: str | None) -> FeatureKey:
    """The key of the features that `model` makes of images in `mode` as it is now.

    Args:
        model: With the weights it computes with; they are read once, a gigabyte takes a second or two.
        mode: All its numbers count, its name does not.
        autocast_dtype: In which products are computed; None for that of the weights.
    """
    numbers = {name: value for name, value in asdict(mode).items() if name != "name"}
    return FeatureKey(
        {
            "family": model.family.name,
            "mode": numbers,
            "weights": weights_digest(model),
            "shape": _settings_digest(model),
            "dtype": str(feature_dtype(model)).removeprefix("torch."),
            "autocast": autocast_dtype,
            "device": model.device.type,
            "float32_products": torch.get_float32_matmul_precision(),
            "version": FEATURES_VERSION,
            "packages": {name: _version(name) for name in _PACKAGES},
        }
    )


def feature_dtype(model: OcrModel) -> torch.dtype:
    """The dtype in which features are kept: the decoder takes them in that of its embedding, so nothing is lost."""
    embedding = model.get_input_embeddings()
    assert embedding is not None
    dtype: torch.dtype = embedding.weight.dtype
    return dtype


def weights_digest(model: OcrModel) -> str:
    """SHA-256 of names, dtypes, shapes and bytes of the encoder, the projector, newline and separator."""
    digest = sha256()
    for name, tensor in vision_tensors(model):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def vision_tensors(model: OcrModel) -> Iterator[tuple[str, Tensor]]:
    """Parameters of all that features are computed by, adapters included, by name."""
    for name, parameter in sorted(model.named_parameters()):
        if part_of(name) != "decoder":
            yield name, parameter


def _settings_digest(model: OcrModel) -> str:
    """Of the encoder's configuration: window sizes and the like change features and are no tensors."""
    settings = model.config.vision_config.to_dict()
    settings["attention"] = str(model.config._attn_implementation)  # noqa: SLF001 - transformers has no other way
    told = json.dumps(settings, sort_keys=True, default=str)
    return sha256(told.encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
