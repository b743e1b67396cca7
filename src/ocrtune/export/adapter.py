"""The decoder's adapter alone, in PEFT's layout under published names, as vLLM and PEFT load it."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ocrtune.errors import ExportError
from ocrtune.export.basis import Base
from ocrtune.models import load_model
from ocrtune.models.checkpoint import LoadedCheckpoint, adapter_state_published, merge
from ocrtune.models.precision import TORCH_DTYPES, Dtype
from ocrtune.models.tensors import published_tensors
from ocrtune.sources.writing import make_readable, write_text_atomically

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"

PRODUCT_TOLERANCE: Mapping[Dtype, float] = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
"""How far the product of two matrices in this dtype may be off, relative to its largest value."""

MERGE_TOLERANCE = 1e-6
"""What adding the product to a weight in float32 may round off, relative to the largest weight."""

_PREFIX = "base_model.model."


def write_adapter(loaded: LoadedCheckpoint, folder: Path, base: Base, dtype: Dtype) -> float:
    """Write the adapter, and see that base and adapter as written make the weights of the checkpoint.

    Returns:
        The largest difference of a weight, relative to the largest weight of its matrix.

    Raises:
        ExportError: Something learned beside the adapter, or the two do not make the checkpoint.
        TuningError: The decoder has no adapters.
    """
    _require_decoder_only(loaded)
    adapter = adapter_state_published(loaded.model)
    # A gate and an up projection share their first matrix in memory; a file holds it for each.
    tensors = {name: tensor.to(TORCH_DTYPES[dtype], copy=True) for name, tensor in adapter.tensors.items()}
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})
    make_readable(folder / ADAPTER_FILE)
    config = {
        **adapter.config,
        "base_model_name_or_path": base.name,
        "target_modules": target_pattern(tensors),
    }
    write_text_atomically(folder / ADAPTER_CONFIG_FILE, json.dumps(config, indent=1) + "\n")
    loaded.tokenizer.write(folder)
    assert base.folder is not None, "adapters are loaded with their base"
    return _require_weights(
        products=_products(folder),
        before=published_tensors(load_model(base.folder, family=loaded.recipe.family.name)),
        after=published_tensors(merge(loaded.model)),
        tolerance=PRODUCT_TOLERANCE[dtype],
    )


def target_pattern(names: Iterable[str]) -> str:
    """A pattern of the modules that published adapter tensors stand beside, whole paths of them.

    It matches the module names of the published code and those of transformers' classes, so that PEFT finds the
    layers in either. Names alone would match layers of the vision encoder too.
    """
    layers: dict[str, list[str]] = defaultdict(list)
    for name in names:
        path, is_first, _ = name.removeprefix(f"{_PREFIX}model.layers.").partition(".lora_A.weight")
        if is_first:
            number, _, module = path.partition(".")
            layers[module].append(number)
    branches = (rf"(?:{'|'.join(numbers)})\.{re.escape(module)}" for module, numbers in layers.items())
    return rf"model\.(?:language_model\.)?layers\.(?:{'|'.join(branches)})"


def _require_decoder_only(loaded: LoadedCheckpoint) -> None:
    tuning = loaded.card.tuning
    beside = [part for part in tuning.parts if part != "decoder"] if tuning is not None else []
    if beside:
        raise ExportError(
            f"{' and '.join(beside)} learned too, and an adapter alone holds the decoder's part only",
            hint="export the merged model: leave --adapter out",
        )


def _products(folder: Path) -> dict[str, Tensor]:
    """What the adapter in `folder` adds, by published weight: scale · B · A."""
    config = json.loads((folder / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))
    tensors = load_file(folder / ADAPTER_FILE)
    scale = config["lora_alpha"] / config["r"]
    products = {}
    for name, first in tensors.items():
        module, is_first, _ = name.removeprefix(_PREFIX).partition(".lora_A.weight")
        if is_first:
            second = tensors[f"{_PREFIX}{module}.lora_B.weight"]
            products[f"{module}.weight"] = scale * second.float() @ first.float()
    return products


def _require_weights(
    *,
    products: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    tolerance: float,
) -> float:
    """The largest relative difference between `before` with its products and `after`.

    Raises:
        ExportError: A matrix differs by more than rounding.
    """
    largest = 0.0
    for name, weight in after.items():
        product = products.get(name, weight.new_zeros(()))
        apart = float((before[name] + product - weight).abs().max())
        scale = float(weight.abs().max())
        # Not `>`: NaN compares false, and must not pass.
        if not apart <= tolerance * float(product.abs().max()) + MERGE_TOLERANCE * scale:
            raise ExportError(
                f"the adapter as written does not make the checkpoint's {name}: {apart:.1e} apart"
            )
        largest = max(largest, apart / scale) if scale else largest
    return largest
