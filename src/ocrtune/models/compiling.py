"""The decoder's layers compiled, each by itself: for forwards that learn, and no others.

Names of parameters, hooks and checkpointing stay as they are, for a layer's `forward` alone is another. Experts and
attention within segments run as they do without it, between compiled pieces: their shapes depend on what is routed and packed.
"""

import os
import shutil
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import DeepseekOcr2TextDecoderLayer
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import UnlimitedOcrTextDecoderLayer

from ocrtune.errors import ConfigError, MissingDependency
from ocrtune.models.decoder import KEPT_POSITIONS, DeepseekOcr2LastLayer, UnlimitedOcrLastLayer

DECODER_LAYERS = (UnlimitedOcrTextDecoderLayer, DeepseekOcr2TextDecoderLayer)
LAST_LAYERS = (UnlimitedOcrLastLayer, DeepseekOcr2LastLayer)
CPU_COMPILERS = ("g++", "clang++")
VARIANTS_PER_LAYER = 8
"""Compiled forms that a layer may have; torch counts those of all layers together, and runs the rest uncompiled."""


def require_compiler(device: str) -> None:
    """Whatever `training.compile` needs on a device is there.

    Raises:
        MissingDependency: There is no C++ compiler on a CPU, or no triton on CUDA.
        ConfigError: The device is neither.
    """
    if device not in {"cpu", "cuda"}:
        raise ConfigError(
            [f"training.compile true on {device!r}, where layers are not compiled"], hint="set it to false"
        )
    if device == "cuda" and find_spec("triton") is None:
        raise MissingDependency(
            "training.compile needs triton, which is not installed",
            hint="pip install triton, or set training.compile to false",
        )
    compilers = (os.environ.get("CXX", ""), *CPU_COMPILERS)
    if device == "cpu" and not any(shutil.which(compiler) for compiler in compilers if compiler):
        raise MissingDependency(
            "training.compile needs a C++ compiler, and there is none",
            hint="install g++, name another in the variable CXX, or set training.compile to false",
        )


def compile_layers(model: nn.Module, *, backend: str = "inductor") -> int:
    """Have the decoder's layers compiled at their first learning forward, in place, for any number of positions.

    A last layer that computes kept positions alone runs uncompiled, and so does whatever runs in `eval` or without gradients.

    Args:
        model: An `OcrModel`, with adapters or without.
        backend: Of `torch.compile`.

    Returns:
        How many layers.

    Source: the same layers uncompiled, equal to 1e-5 in loss and gradients (`tests/models/test_compiling.py`).
    """
    layers: list[Any] = [module for module in model.modules() if isinstance(module, DECODER_LAYERS)]
    config: Any = torch._dynamo.config  # noqa: SLF001  # torch has no other name for it
    config.recompile_limit = max(config.recompile_limit, VARIANTS_PER_LAYER * len(layers))
    for layer in layers:
        layer.forward = _learning_forward(layer, backend)
    return len(layers)


def _learning_forward(layer: nn.Module, backend: str) -> Callable[..., Any]:
    plain = layer.forward
    compiled = torch.compile(plain, dynamic=True, backend=backend)

    @wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        # All layers are told which positions are kept; the last alone computes fewer for it.
        trims = isinstance(layer, LAST_LAYERS) and kwargs.get(KEPT_POSITIONS) is not None
        learns = layer.training and torch.is_grad_enabled()
        return (compiled if learns and not trims else plain)(*args, **kwargs)

    return forward
