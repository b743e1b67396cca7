"""What learns: adapters or the weights themselves, by full module path, and the table that says so.

Adapters go into the model in place. It stays the class it was, with both of its call forms, and the names
of its tensors only grow (`….q_proj.lora_A.default.weight`); there is no wrapper around it.

Modules are found by their full native path. A bare name such as `q_proj` also matches the vision encoder of
DeepSeek-OCR-2, and `gate_proj` each of the routed experts in the published code.
"""

import importlib.util
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from rich.box import SIMPLE
from rich.table import Table
from torch import nn
from transformers import BitsAndBytesConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ocrtune.config import CheckpointedPart, LoraSection, OptimizerSection, Part, TuningSection
from ocrtune.errors import TuningError, require
from ocrtune.models.adapters import factor_adapters
from ocrtune.models.classes import OcrModel
from ocrtune.models.precision import PrecisionPolicy, cast_learning, guard_trainables
from ocrtune.progress import talk

ADAPTER_NAME = "default"

DECODER_LINEARS = (
    r"model\.language_model\.layers\.\d+\.self_attn\.[qkvo]_proj",
    r"model\.language_model\.layers\.\d+\.mlp\.(?:shared_experts\.)?(?:gate|up|down)_proj",
)
"""Attention, the dense MLP of the first layer and the shared experts of the others."""

ROUTED_EXPERTS = r"model\.language_model\.layers\.\d+\.mlp\.experts\.(?:gate_up_proj|down_proj)"
"""Parameters of three dimensions: (experts, out, in)."""

VISION_LINEARS = (
    r"model\.vision_tower\.sam_encoder\.layers\.\d+\.(?:attn\.(?:qkv|proj)|mlp\.lin[12])",
    r"model\.vision_tower\.vision_encoder\.(?:encoder\.)?layers\.\d+\.self_attn\.(?:[qkvo]|out)_proj",
    r"model\.vision_tower\.vision_encoder\.(?:encoder\.)?layers\.\d+\.mlp\.(?:fc[12]|(?:gate|up|down)_proj)",
)
"""Attention and MLP of the SAM encoder and of the CLIP or Qwen2 encoder behind it."""

_DECODER_LAYER = r"model\.language_model\.layers\.\d+\."
_GROUPS: tuple[tuple[Part, str, str], ...] = (
    ("decoder", "decoder embedding", r"model\.language_model\.embed_tokens\."),
    ("decoder", "decoder attention", _DECODER_LAYER + r"self_attn\."),
    ("decoder", "decoder dense mlp", _DECODER_LAYER + r"mlp\.(?:gate|up|down)_proj\."),
    ("decoder", "decoder shared experts", _DECODER_LAYER + r"mlp\.shared_experts\."),
    ("decoder", "decoder routed experts", _DECODER_LAYER + r"mlp\.experts\."),
    ("decoder", "decoder router", _DECODER_LAYER + r"mlp\.gate\."),
    ("decoder", "decoder norms", rf"(?:{_DECODER_LAYER}\w+_layernorm|model\.language_model\.norm)\."),
    ("decoder", "decoder head", r"lm_head\."),
    ("projector", "projector", r"model\.multi_modal_projector\."),
    ("projector", "projector newline, separator", r"model\.(?:image_newline|view_separator)$"),
    ("vision", "vision sam", r"model\.vision_tower\.sam_encoder\."),
    ("vision", "vision encoder", r"model\.vision_tower\.(?:vision_encoder|query_\d+_resolution)\."),
)
_VISION_LAYER = re.compile(r"model\.vision_tower\.")
_ADAPTER = re.compile(r"\.lora_[AB]\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRow:
    """Tensors of one part that share a dtype and whether they learn.

    Attributes:
        part: Such as `decoder attention`, or `decoder attention adapters`; its first word is the recipe's part.
        tensors: How many.
        parameters: How many numbers they hold; of 4-bit weights the numbers they stand for.
        dtype: Of the tensors in memory; `uint8` for packed 4-bit weights.
        learns: They get gradients and are updated.
        learning_rate: Peak rate; None where they do not learn or no rate is known yet.
    """

    part: str
    tensors: int
    parameters: int
    dtype: str
    learns: bool
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True)
class LearningTable:
    """Every parameter of the model, counted: what learns and what is frozen.

    Attributes:
        rows: In the order the parts have in the model.
    """

    rows: tuple[LearningRow, ...]

    @property
    def num_learning(self) -> int:
        """Parameters that learn."""
        return sum(row.parameters for row in self.rows if row.learns)

    @property
    def num_parameters(self) -> int:
        """All parameters, adapters included."""
        return sum(row.parameters for row in self.rows)

    def with_rates(self, optimizer: OptimizerSection) -> "LearningTable":
        """The table with the peak rate of each row that learns."""
        rates = {str(part): rate for part, rate in optimizer.learning_rates.items()}
        return LearningTable(
            tuple(
                replace(row, learning_rate=rates.get(row.part.split()[0], optimizer.learning_rate))
                if row.learns
                else row
                for row in self.rows
            )
        )

    def as_dicts(self) -> list[dict[str, object]]:
        """The rows written to `learning.json`."""
        return [asdict(row) for row in self.rows]


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A model set up to learn.

    Attributes:
        model: The model given, changed in place.
        table: What learns in it.
    """

    model: OcrModel
    table: LearningTable


def apply_tuning(
    model: OcrModel, tuning: TuningSection, policy: PrecisionPolicy, *, seed: int = 0
) -> TunedModel:
    """Sets up what learns, in place, and counts it.

    Args:
        model: A loaded model without adapters, in the policy's base dtype.
        tuning: Method, parts and adapters.
        policy: Gives the dtype of what learns.
        seed: Of the adapters' first values; at the first step they add nothing, whatever it is.

    Raises:
        TuningError: The model has adapters already, or nothing that the recipe names.
        Float16Trainable: Never for a model ocrtune loaded; the guard is run for all others.
    """
    if has_adapters(model):
        raise TuningError("the model has adapters already", hint="load the base model once more")
    if policy.quantized != _is_quantized(model):
        state = "is" if _is_quantized(model) else "is not"
        raise TuningError(
            f"the policy {'wants' if policy.quantized else 'does not want'} 4-bit weights, the model {state} quantised",
            where="tuning.method",
            hint="load the model with quantization_config(policy)",
        )
    model.requires_grad_(requires_grad=False)
    if tuning.method == "full":
        _learn_in_full(model, tuning.parts)
    else:
        _add_adapters(model, tuning, seed)
        _learn_in_full(model, set(tuning.parts) & {"projector"})
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TuningError(f"nothing learns: the model has no {', '.join(tuning.parts)}", where="tuning.parts")
    cast_learning(model, policy)
    guard_trainables(model)
    return TunedModel(model, count_parameters(model))


def count_parameters(model: nn.Module) -> LearningTable:
    """Counts every parameter of `model` by part, dtype and whether it learns.

    Raises:
        TuningError: A parameter belongs to no known part.
    """
    counts: dict[tuple[int, bool, str, bool], tuple[int, int]] = {}
    for name, parameter, numbers in _sized_parameters(model):
        dtype = str(parameter.dtype).removeprefix("torch.")
        key = (_group_index(name), is_adapter(name), dtype, parameter.requires_grad)
        tensors, total = counts.get(key, (0, 0))
        counts[key] = (tensors + 1, total + numbers)
    return LearningTable(
        tuple(
            LearningRow(
                part=_GROUPS[index][1] + (" adapters" if adapter else ""),
                tensors=counts[key][0],
                parameters=counts[key][1],
                dtype=dtype,
                learns=learns,
            )
            for key in sorted(counts)
            for index, adapter, dtype, learns in [key]
        )
    )


def part_of(name: str) -> Part:
    """The part of the recipe that the parameter called `name` belongs to, adapters included.

    Raises:
        TuningError: None; the name is no native one.
    """
    return _GROUPS[_group_index(name)][0]


def group_of(name: str) -> str:
    """The row of the learning table that the parameter called `name` is counted in, adapters included.

    Raises:
        TuningError: None; the name is no native one.
    """
    return _GROUPS[_group_index(name)][1] + (" adapters" if is_adapter(name) else "")


def is_adapter(name: str) -> bool:
    """The parameter called `name` is a matrix of an adapter."""
    return _ADAPTER.search(name) is not None


def has_adapters(model: nn.Module) -> bool:
    """Some module of `model` carries an adapter."""
    return any(isinstance(module, BaseTunerLayer) for module in model.modules())


def learning_names(model: nn.Module) -> list[str]:
    """Names of the parameters that learn, in the model's order."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def prepare_checkpointing(
    model: OcrModel, parts: Collection[CheckpointedPart] = get_args(CheckpointedPart)
) -> None:
    """Has activations of some parts recomputed in the backward pass, in a way that frozen embeddings do not break.

    Checkpointing that re-enters autograd gives gradients only to blocks whose input has one: behind a frozen
    embedding every decoder adapter would stay at its first value, without an error.
    """
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    for path, module in model.named_modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.gradient_checkpointing = ("vision" if _VISION_LAYER.match(path) else "decoder") in parts


def quantization_config(policy: PrecisionPolicy) -> BitsAndBytesConfig | None:
    """How the base is quantised while it is loaded; None where it is not.

    The head, the vision part and the projector keep the base dtype: they are small beside the routed experts,
    which keep it as well because they are no linear layers.

    Raises:
        MissingDependency: bitsandbytes is not installed.
    """
    if not policy.quantized:
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise require("bitsandbytes", "qlora")
    return BitsAndBytesConfig(**quantization_settings(policy))


def quantization_settings(policy: PrecisionPolicy) -> dict[str, Any]:
    """What bitsandbytes is told: NF4 with doubly quantised scales, computing in the policy's dtype."""
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": policy.torch_compute,
        "llm_int8_skip_modules": ["lm_head", "vision_tower", "multi_modal_projector"],
    }


def print_table(table: LearningTable) -> None:
    """The table for people, on stderr."""
    with_rates = any(row.learning_rate is not None for row in table.rows)
    drawn = Table(title="what learns", title_justify="left", box=SIMPLE)
    for heading in ("part", "tensors", "parameters", "dtype", "learns", *(("rate",) if with_rates else ())):
        drawn.add_column(heading, justify="right" if heading in {"tensors", "parameters", "rate"} else "left")
    for row in table.rows:
        rate = "" if row.learning_rate is None else f"{row.learning_rate:.2g}"
        cells = [
            row.part,
            f"{row.tensors:,}",
            f"{row.parameters:,}",
            row.dtype,
            "yes" if row.learns else "no",
        ]
        drawn.add_row(*cells, *((rate,) if with_rates else ()), style=None if row.learns else "dim")
    console = talk()
    console.print(drawn)
    share = table.num_learning / table.num_parameters
    console.print(f"{table.num_learning:,} of {table.num_parameters:,} parameters learn ({share:.2%})")


def _is_quantized(model: nn.Module) -> bool:
    # bitsandbytes packs 4-bit weights two to a byte.
    return any(parameter.dtype == torch.uint8 for parameter in model.parameters())


def _learn_in_full(model: nn.Module, parts: Collection[str]) -> None:
    for name, parameter in model.named_parameters():
        if part_of(name) in parts and not is_adapter(name):
            parameter.requires_grad = True


def _add_adapters(model: nn.Module, tuning: TuningSection, seed: int) -> None:
    patterns = [
        *(DECODER_LINEARS if "decoder" in tuning.parts else ()),
        *(VISION_LINEARS if "vision" in tuning.parts else ()),
    ]
    if not patterns:
        return
    config = LoraConfig(
        r=tuning.lora.rank,
        lora_alpha=tuning.lora.alpha,
        lora_dropout=tuning.lora.dropout,
        target_modules="|".join(patterns),
        target_parameters=_expert_parameters(model, tuning.lora) if "decoder" in tuning.parts else None,
    )
    # Adapters are drawn on the CPU; what was drawn before must not change them, nor they what is drawn after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, ADAPTER_NAME)
    factor_adapters(model)


def _expert_parameters(model: nn.Module, lora: LoraSection) -> list[str] | None:
    if lora.preset != "experts":
        return None
    names = [name for name, _ in model.named_parameters() if re.fullmatch(ROUTED_EXPERTS, name)]
    if not names:
        raise TuningError(
            "the model has no routed experts", where="tuning.lora.preset", hint="take attention"
        )
    return names


def _sized_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, int]]:
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            # 4-bit weights are packed two to a byte; the layer still knows how many there are.
            is_matrix = isinstance(module, nn.Linear) and name == "weight"
            numbers = module.in_features * module.out_features if is_matrix else parameter.numel()
            yield f"{path}.{name}" if path else name, parameter, numbers


def _group_index(name: str) -> int:
    for index, (_, _, pattern) in enumerate(_GROUPS):
        if re.match(pattern, name):
            return index
    raise TuningError(
        f"parameter {name!r} belongs to no part ocrtune knows",
        hint="ask with the model itself, not with one wrapped for several devices",
    )
