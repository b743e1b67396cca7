"""Weights in memory: a model of any family from a folder, checked name by name before it is read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BitsAndBytesConfig, GenerationConfig, PreTrainedConfig
from transformers.utils import GENERATION_CONFIG_NAME, logging

from ocrtune.errors import CheckpointError
from ocrtune.models.classes import MODEL_CLASSES, OcrModel
from ocrtune.models.configs import CONFIG_FILE, read_config, read_family
from ocrtune.models.decoder import mend_decoder
from ocrtune.models.experts import ExpertsName
from ocrtune.models.precision import TORCH_DTYPES
from ocrtune.models.tensors import check_tensors, weight_files
from ocrtune.models.tuning import part_of
from ocrtune.models.weights import copy_tensors, read_state
from ocrtune.progress import talk

_NO_DECODER: Mapping[str, Any] = {
    "num_hidden_layers": 0,
    "layer_types": [],
    "mlp_layer_types": [],
    "vocab_size": 1,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def load_model(
    folder: str | Path,
    *,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    family: str | None = None,
    experts: ExpertsName = "ocrtune",
    quantization: BitsAndBytesConfig | None = None,
) -> OcrModel:
    """A model of any family, in eval mode, from a folder in the published or the native layout.

    Nothing is fetched and no code of the folder is run. On the CPU, tensors that the files hold in the model's form
    and in `dtype` stay mapped; all others are copied once, into their place (`ocrtune.models.weights`).

    Args:
        folder: Holds `config.json` and safetensors files, one or several with an index.
        dtype: `float32`, `bfloat16` or `float16`; the weights are cast to it whatever the files hold.
        device: Where the weights go.
        family: `deepseek_ocr`, `deepseek_ocr2` or `unlimited_ocr`; read from `config.json` without it.
        experts: How routed experts are computed: as `experts.py` has it, or by transformers in one grouped product
            or one after another.
        quantization: Hold linear layers in 4 bits, see `quantization_config`; needs a CUDA device.

    Raises:
        CheckpointError: The folder lacks something, or its configuration is of no known family.
        TensorMismatch: Tensors are missing, unexpected or mis-shaped; all of them are listed.
    """
    folder, options = Path(folder), _options(dtype, experts)
    facts = read_family(folder, family)
    config = read_config(folder, facts)
    model_class = MODEL_CLASSES[facts.native_class]
    empty = empty_model(config)
    layout = check_tensors(folder, empty, unused=facts.unused_tensors)
    if quantization is not None:
        # Weights are packed on their device while they are read, and cannot be moved afterwards.
        return _quantized(model_class, folder, device, quantization, {"config": config, **options})
    state = read_state(weight_files(folder), layout, empty.state_dict(), options["dtype"])
    model = _of_state(folder, state, {"config": config, **options})
    mend_decoder(model)
    return model.to(device).eval()


def load_vision(
    folder: str | Path,
    *,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    family: str | None = None,
) -> OcrModel:
    """The vision part of a model, to compute features alone: encoder, projector, newline and separator.

    Tensors of the decoder are not read; the model has one of no layers and a single token. Features and their key are those
    of the whole model, bit for bit (`tests/models/test_load_vision.py`).

    Args:
        folder: As `load_model`; all its tensors are compared with its configuration, by the files' headers.
        dtype: As `load_model`.
        device: As `load_model`.
        family: As `load_model`.

    Raises:
        CheckpointError: As `load_model`.
        TensorMismatch: As `load_model`.
    """
    folder, options = Path(folder), _options(dtype, "ocrtune")
    facts = read_family(folder, family)
    config = read_config(folder, facts)
    layout = check_tensors(folder, empty_model(config), unused=facts.unused_tensors)
    small = _without_decoder(config)
    empty = empty_model(small).state_dict()
    state = read_state(
        weight_files(folder),
        {name: pieces for name, pieces in layout.items() if part_of(pieces[0].name) != "decoder"},
        {name: tensor for name, tensor in empty.items() if part_of(name) != "decoder"},
        options["dtype"],
    )
    rest = {
        name: torch.zeros(tensor.shape, dtype=options["dtype"])
        for name, tensor in empty.items()
        if name not in state
    }
    model = _of_state(folder, state | rest, {"config": small, **options})
    return model.to(device).eval().requires_grad_(requires_grad=False)


def restore_weights(model: OcrModel, folder: Path) -> None:
    """Copy the weights of a folder into a model that has others, in place, whatever the dtypes of the two.

    Raises:
        CheckpointError: The folder has no weights.
        TensorMismatch: They are not those of the model.
    """
    layout = check_tensors(folder, model, unused=model.family.unused_tensors)
    copy_tensors(weight_files(folder), layout, model.state_dict())


def empty_model(config: PreTrainedConfig) -> OcrModel:
    """The model of a configuration on the meta device: names and shapes without memory."""
    with torch.device("meta"):
        return _class_of(config)(config)


def _options(dtype: str, experts: ExpertsName) -> dict[str, Any]:
    if dtype not in TORCH_DTYPES:
        raise CheckpointError(f"no dtype {dtype!r}", hint=f"known: {', '.join(TORCH_DTYPES)}")
    return {"dtype": TORCH_DTYPES[dtype], "experts_implementation": experts}


def _of_state(folder: Path, state: dict[str, Tensor], options: Mapping[str, Any]) -> OcrModel:
    """The model whose tensors are there already: transformers takes them over."""
    with _bar(shown=False):
        model: OcrModel = _class_of(options["config"]).from_pretrained(
            None, state_dict=state, generation_config=_read_generation_config(folder), **options
        )
    # transformers notes which names it converted, none here, and would write native ones (5.23).
    model._weight_conversions = None  # noqa: SLF001
    model.name_or_path = model.config.name_or_path = str(folder)
    return model


def _without_decoder(config: PreTrainedConfig) -> PreTrainedConfig:
    values = config.to_dict()
    return type(config).from_dict({**values, "text_config": {**values["text_config"], **_NO_DECODER}})


def _read_generation_config(folder: Path) -> GenerationConfig:
    """What a folder says about decoding; ocrtune decodes by its own settings, others may not."""
    if (folder / GENERATION_CONFIG_NAME).is_file():
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    return GenerationConfig.from_pretrained(
        folder, config_file_name=CONFIG_FILE, local_files_only=True, _from_model_config=True
    )


def _quantized(
    model_class: type[OcrModel],
    folder: Path,
    device: str | torch.device,
    quantization: BitsAndBytesConfig,
    options: Mapping[str, Any],
) -> OcrModel:
    # In a log, the bar would be noise.
    with _bar(shown=talk().is_terminal):
        model: OcrModel = model_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            quantization_config=quantization,
            device_map={"": str(device)},
            **options,
        )
    mend_decoder(model)
    return model.eval()


@contextmanager
def _bar(*, shown: bool) -> Iterator[None]:
    """The bar of transformers, if the user has it on, shown or not."""
    hides = logging.is_progress_bar_enabled() and not shown
    if hides:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hides:
            logging.enable_progress_bar()


def _class_of(config: PreTrainedConfig) -> type[OcrModel]:
    return next(
        model_class for model_class in MODEL_CLASSES.values() if model_class.config_class is type(config)
    )
