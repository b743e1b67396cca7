"""Weights in memory: a model of any family from a folder, checked name by name before it is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BitsAndBytesConfig, PreTrainedConfig
from transformers.utils import logging

from ocrtune.errors import CheckpointError
from ocrtune.models.classes import MODEL_CLASSES, OcrModel
from ocrtune.models.configs import read_config, read_family
from ocrtune.models.precision import TORCH_DTYPES
from ocrtune.models.tensors import check_tensors
from ocrtune.progress import talk

Experts = Literal["grouped_mm", "eager"]


def load_model(
    folder: str | Path,
    *,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    family: str | None = None,
    experts: Experts = "grouped_mm",
    quantization: BitsAndBytesConfig | None = None,
) -> OcrModel:
    """A model of any family, in eval mode, from a folder in the published or the native layout.

    Nothing is fetched and no code of the folder is run.

    Args:
        folder: Holds `config.json` and safetensors files, one or several with an index.
        dtype: `float32`, `bfloat16` or `float16`; the weights are cast to it whatever the files hold.
        device: Where the weights go.
        family: `deepseek_ocr`, `deepseek_ocr2` or `unlimited_ocr`; read from `config.json` without it.
        experts: How routed experts are computed: all of a layer in one grouped product, or one after another.
        quantization: Hold linear layers in 4 bits, see `quantization_config`; needs a CUDA device.

    Raises:
        CheckpointError: The folder lacks something, or its configuration is of no known family.
        TensorMismatch: Tensors are missing, unexpected or mis-shaped; all of them are listed.
    """
    if dtype not in TORCH_DTYPES:
        raise CheckpointError(f"no dtype {dtype!r}", hint=f"known: {', '.join(TORCH_DTYPES)}")
    folder = Path(folder)
    facts = read_family(folder, family)
    config = read_config(folder, facts)
    model_class = MODEL_CLASSES[facts.native_class]
    check_tensors(folder, empty_model(config), unused=facts.unused_tensors)
    with _bar_on_terminals_only():
        model: OcrModel = model_class.from_pretrained(
            folder,
            config=config,
            dtype=TORCH_DTYPES[dtype],
            experts_implementation=experts,
            local_files_only=True,
            use_safetensors=True,
            **_placement(device, quantization),
        )
    # Quantised weights are packed on their device while they are read, and cannot be moved afterwards.
    return model.eval() if quantization else model.to(device).eval()


def empty_model(config: PreTrainedConfig) -> OcrModel:
    """The model of a configuration on the meta device: names and shapes without memory."""
    with torch.device("meta"):
        return _class_of(config)(config)


@contextmanager
def _bar_on_terminals_only() -> Iterator[None]:
    """In a log, transformers' bar would be noise."""
    shown = logging.is_progress_bar_enabled() and not talk().is_terminal
    if shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _placement(device: str | torch.device, quantization: BitsAndBytesConfig | None) -> dict[str, Any]:
    if quantization is None:
        return {}
    return {"quantization_config": quantization, "device_map": {"": str(device)}}


def _class_of(config: PreTrainedConfig) -> type[OcrModel]:
    return next(
        model_class for model_class in MODEL_CLASSES.values() if model_class.config_class is type(config)
    )
