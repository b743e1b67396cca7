"""Model configurations: the published `config.json` in its own schema, or the native one.

transformers reads the published files of two families without complaint and with wrong values: DeepSeek-OCR's
as if it decoded with a window, DeepSeek-OCR-2's with the sizes of another decoder. They are read here key by
key instead, and a key that is not there is an error.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import DeepseekOcr2Config
from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrConfig

from ocrtune.errors import CheckpointError
from ocrtune.families import FAMILIES, Family, family_of

CONFIG_FILE = "config.json"

FULL_ATTENTION = "full_attention"
REFERENCE_WINDOW = "reference_sliding_attention"

# What the published code holds in constants and never writes into a config.
_SAM_PATCH_PX = 16
_SAM_WINDOW_PATCHES = 14
_SAM_NECK_CHANNELS = 256
_MLP_RATIO = 4
_ROPE_THETA = 10_000.0
_NORM_EPS = 1e-6

# DeepSeek-OCR-2's second encoder has the shape of Qwen2-0.5B; its config gives the width alone.
_QWEN2_LAYERS = 24
_QWEN2_HEAD_DIM = 64
_QWEN2_KEY_VALUE_HEADS = 2
_QWEN2_INTERMEDIATE = 4864
_QWEN2_MAX_POSITIONS = 131_072
_QWEN2_ROPE_THETA = 1_000_000.0

_COPIED_DECODER_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "n_group",
    "topk_group",
    "topk_method",
    "bos_token_id",
    "eos_token_id",
)


class DeepseekOcrConfig(UnlimitedOcrConfig):
    """DeepSeek-OCR: Unlimited-OCR's architecture, every decoder layer with full attention."""

    model_type = "deepseek_ocr"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.text_config.layer_types = [FULL_ATTENTION] * self.text_config.num_hidden_layers


CONFIG_CLASSES: Mapping[str, type[PreTrainedConfig]] = {
    config_class.model_type: config_class
    for config_class in (DeepseekOcrConfig, DeepseekOcr2Config, UnlimitedOcrConfig)
}
"""Native `model_type`, which is the family's name, → configuration class."""


def read_raw_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder as it stands.

    Raises:
        CheckpointError: There is none, or it is not a JSON object.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(
            f"no {CONFIG_FILE} in the model folder",
            where=str(folder),
            hint="give the folder that holds config.json and the .safetensors files, or a hub id such as owner/name",
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{CONFIG_FILE} is not JSON: {error}", where=str(path)) from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{CONFIG_FILE} holds a {type(raw).__name__}, not an object", where=str(path))
    return raw


def read_family(folder: Path, family: str | None = None) -> Family:
    """The family of a model folder: the one named, or the one its `config.json` speaks of.

    Raises:
        CheckpointError: No such family, or `config.json` is of none of them.
    """
    if family is None:
        return family_of(read_raw_config(folder))
    if family not in FAMILIES:
        raise CheckpointError(f"no model family {family!r}", hint=f"known: {', '.join(FAMILIES)}")
    return FAMILIES[family]


def read_config(folder: Path, family: Family) -> PreTrainedConfig:
    """The native configuration of a model folder in the published or the native schema.

    Raises:
        CheckpointError: `config.json` is missing, or lacks a value that must not be guessed.
    """
    raw = read_raw_config(folder)
    where = str(folder / CONFIG_FILE)
    native = native_schema(raw, family, where=where) if "language_config" in raw else raw
    if "text_config" not in native or "vision_config" not in native:
        raise CheckpointError(
            "config.json has neither `language_config` (published) nor `text_config` and `vision_config` (native)",
            where=where,
        )
    known = {
        key: value for key, value in native.items() if key not in {"architectures", "model_type", "auto_map"}
    }
    return CONFIG_CLASSES[family.name].from_dict(known)


def native_schema(raw: Mapping[str, Any], family: Family, *, where: str = CONFIG_FILE) -> dict[str, Any]:
    """The published `config.json` in the native schema.

    Args:
        raw: As published: `language_config`, `vision_config.width`, `projector_config`.
        family: Whose it is.
        where: The file, for messages.

    Raises:
        CheckpointError: A key is missing, or asks for something the published code does not compute either.
    """
    published = _Published(raw, where)
    return {
        "image_token_id": raw.get("image_token_id", family.vocabulary.published_ids[family.vocabulary.image]),
        "tie_word_embeddings": False,
        "text_config": _decoder(published, family),
        "vision_config": {"sam_config": _sam(published), "encoder_config": _second_encoder(published)},
    }


class _Published:
    """Values by dotted path; a missing one is an error that names the path."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self._raw = raw
        self._where = where

    def get(self, *path: str) -> Any:
        value: Any = self._raw
        for key in path:
            if not isinstance(value, Mapping) or key not in value:
                raise CheckpointError(
                    f"config.json has no `{'.'.join(path)}`",
                    where=self._where,
                    hint="take the file the model was published with",
                )
            value = value[key]
        return value

    def has(self, *path: str) -> bool:
        parent = self.get(*path[:-1])
        return isinstance(parent, Mapping) and path[-1] in parent

    def refuse(self, path: tuple[str, ...], wanted: object) -> None:
        if self.has(*path) and self.get(*path) != wanted:
            raise CheckpointError(
                f"config.json has `{'.'.join(path)}` {self.get(*path)!r}, and only {wanted!r} is computed",
                where=self._where,
            )


def _decoder(published: _Published, family: Family) -> dict[str, Any]:
    published.refuse(("language_config", "use_mla"), wanted=False)
    layers = published.get("language_config", "num_hidden_layers")
    dense = published.get("language_config", "first_k_dense_replace")
    decoder = {key: published.get("language_config", key) for key in _COPIED_DECODER_KEYS}
    decoder |= {
        "mlp_layer_types": ["dense" if layer < dense else "sparse" for layer in range(layers)],
        "rope_parameters": {"rope_type": "default", "rope_theta": _ROPE_THETA},
        "rms_norm_eps": _NORM_EPS,
    }
    if family.reference_window:
        window = published.get("sliding_window")
        decoder |= {"layer_types": [REFERENCE_WINDOW] * layers, "sliding_window": window}
    return decoder


def _sam(published: _Published) -> dict[str, Any]:
    path = ("vision_config", "width", "sam_vit_b")
    width = published.get(*path, "width")
    return {
        "hidden_size": width,
        "num_hidden_layers": published.get(*path, "layers"),
        "num_attention_heads": published.get(*path, "heads"),
        "global_attn_indexes": published.get(*path, "global_attn_indexes"),
        "downsample_channels": _downsample_channels(published),
        "image_size": published.get("vision_config", "image_size"),
        "patch_size": _SAM_PATCH_PX,
        "window_size": _SAM_WINDOW_PATCHES,
        "output_channels": _SAM_NECK_CHANNELS,
        "mlp_dim": width * _MLP_RATIO,
    }


def _downsample_channels(published: _Published) -> list[int]:
    """Channels of the two convolutions behind the neck.

    The second encoder takes the last of them as they are, so its width decides: DeepSeek-OCR-2's config writes
    DeepSeek-OCR's 1024 there, its weights have 896.
    """
    channels = list(published.get("vision_config", "width", "sam_vit_b", "downsample_channels"))
    if published.has("vision_config", "width", "qwen2-0-5b"):
        return [*channels[:-1], published.get("vision_config", "width", "qwen2-0-5b", "dim")]
    return channels


def _second_encoder(published: _Published) -> dict[str, Any]:
    if published.has("vision_config", "width", "qwen2-0-5b"):
        return _qwen2(published)
    path = ("vision_config", "width", "clip-l-14-224")
    width = published.get(*path, "width")
    return {
        "hidden_size": width,
        "intermediate_size": width * _MLP_RATIO,
        "num_hidden_layers": published.get(*path, "layers"),
        "num_attention_heads": published.get(*path, "heads"),
        "image_size": published.get(*path, "image_size"),
        "patch_size": published.get(*path, "patch_size"),
    }


def _qwen2(published: _Published) -> dict[str, Any]:
    width = published.get("vision_config", "width", "qwen2-0-5b", "dim")
    published.refuse(("projector_config", "input_dim"), wanted=width)
    return {
        "hidden_size": width,
        "intermediate_size": _QWEN2_INTERMEDIATE,
        "num_hidden_layers": _QWEN2_LAYERS,
        "num_attention_heads": width // _QWEN2_HEAD_DIM,
        "num_key_value_heads": _QWEN2_KEY_VALUE_HEADS,
        "max_position_embeddings": _QWEN2_MAX_POSITIONS,
        "rope_parameters": {"rope_type": "default", "rope_theta": _QWEN2_ROPE_THETA},
        "rms_norm_eps": _NORM_EPS,
    }
