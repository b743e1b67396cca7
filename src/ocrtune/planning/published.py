"""The sizes of the published models, for planning without their files."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from transformers import PreTrainedConfig

from ocrtune.families import FAMILIES
from ocrtune.models.configs import CONFIG_CLASSES, native_schema

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "deepseek-ai/DeepSeek-OCR": "deepseek_ocr",
        "deepseek-ai/DeepSeek-OCR-2": "deepseek_ocr2",
        "baidu/Unlimited-OCR": "unlimited_ocr",
    }
)
"""Models on the hub whose sizes are known without asking it → family."""

_DECODER = {
    "use_mla": False,
    "vocab_size": 129_280,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "moe_intermediate_size": 896,
    "num_hidden_layers": 12,
    "first_k_dense_replace": 1,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
    "max_position_embeddings": 8192,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "n_group": 1,
    "topk_group": 1,
    "topk_method": "greedy",
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_SAM = {
    "width": 768,
    "layers": 12,
    "heads": 12,
    "global_attn_indexes": [2, 5, 8, 11],
    "downsample_channels": [512, 1024],
}
_CLIP = {"clip-l-14-224": {"width": 1024, "layers": 24, "heads": 16, "image_size": 224, "patch_size": 14}}
_QWEN2 = {"qwen2-0-5b": {"dim": 896}}
_WINDOW = 128


def published_config(name: str) -> PreTrainedConfig:
    """The native configuration of the published model of the family called `name`."""
    family = FAMILIES[name]
    # The family without row breaks is the one with queries for its features.
    encoder: Mapping[str, Any] = _CLIP if family.newline_after_row else _QWEN2
    raw = {
        "language_config": _DECODER,
        "projector_config": {"input_dim": 2048 if family.newline_after_row else 896},
        "vision_config": {"image_size": 1024, "width": {"sam_vit_b": _SAM, **encoder}},
        "sliding_window": _WINDOW,
    }
    return CONFIG_CLASSES[name].from_dict(native_schema(raw, family))
