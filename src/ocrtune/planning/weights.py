"""How many numbers a model holds, and how many of them learn, from its configuration alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedConfig

from ocrtune.config import LoraSection, TuningSection
from ocrtune.models.load import empty_model
from ocrtune.models.tuning import DECODER_LINEARS, ROUTED_EXPERTS, VISION_LINEARS, part_of

_DECODER_LAYER = re.compile(r"model\.language_model\.layers\.(\d+)\.")
_HEAD = ("lm_head.", "model.language_model.norm.")
_EMBEDDING = "model.language_model.embed_tokens."
QUANTIZED_BYTES = 0.52
"""Of a weight in NF4 with its doubly quantised scales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Weights of one place of the model.

    Attributes:
        place: `vision`, `projector`, `embedding`, `layer 0` and so on, or `head`.
        frozen: Numbers that do not learn.
        learning: Numbers that learn, adapters included.
        quantized: Of the frozen ones, those that QLoRA holds in 4 bits.
        largest: Numbers of the largest tensor that learns.
    """

    place: str
    frozen: int
    learning: int
    quantized: int
    largest: int


@dataclass(frozen=True, slots=True)
class Weights:
    """All weights of a model, by place.

    Attributes:
        groups: In the order of the forward.
    """

    groups: tuple[Group, ...]

    @property
    def learning(self) -> int:
        """Numbers that learn."""
        return sum(group.learning for group in self.groups)

    @property
    def frozen(self) -> int:
        """Numbers that do not."""
        return sum(group.frozen for group in self.groups)

    @property
    def total(self) -> int:
        """All numbers."""
        return self.learning + self.frozen

    def learning_of(self, place: str) -> int:
        """Numbers that learn in one place."""
        return sum(group.learning for group in self.groups if group.place == place)

    def largest_of(self, place: str) -> int:
        """Numbers of the largest tensor that learns in one place."""
        return max((group.largest for group in self.groups if group.place == place), default=0)


def count_weights(config: PreTrainedConfig, tuning: TuningSection) -> Weights:
    """Counts what `apply_tuning` would set up, without any memory.

    Args:
        config: Of the model.
        tuning: What learns.
    """
    model = empty_model(config)
    full = tuning.method == "full"
    counts: dict[str, list[int]] = {}
    for name, numbers in ((name, parameter.numel()) for name, parameter in model.named_parameters()):
        part = part_of(name)
        learns = part in tuning.parts and (full or part == "projector")
        row = counts.setdefault(_place(name), [0, 0, 0, 0])
        row[1 if learns else 0] += numbers
        row[2] += numbers * (tuning.method == "qlora" and _is_quantized(name))
        row[3] = max(row[3], numbers * learns)
    for name, numbers, whole in _adapters(model, tuning):
        row = counts[_place(name)]
        row[1] += numbers
        row[3] = max(row[3], whole)
    return Weights(
        tuple(
            Group(place=place, frozen=frozen, learning=learning, quantized=quantized, largest=largest)
            for place, (frozen, learning, quantized, largest) in counts.items()
        )
    )


def _place(name: str) -> str:
    layer = _DECODER_LAYER.match(name)
    if layer:
        return f"layer {layer[1]}"
    if name.startswith(_HEAD):
        return "head"
    return "embedding" if name.startswith(_EMBEDDING) else part_of(name)


def _is_quantized(name: str) -> bool:
    return any(re.fullmatch(pattern + r"\.weight", name) for pattern in DECODER_LINEARS)


def _adapters(model: nn.Module, tuning: TuningSection) -> Iterator[tuple[str, int, int]]:
    """(module, numbers of both matrices, numbers of the larger tensor that a gradient is made of)."""
    if tuning.method == "full":
        return
    patterns = [
        *(DECODER_LINEARS if "decoder" in tuning.parts else ()),
        *(VISION_LINEARS if "vision" in tuning.parts else ()),
    ]
    rank = tuning.lora.rank
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and any(re.fullmatch(pattern, name) for pattern in patterns):
            sizes = (module.in_features, module.out_features)
            yield f"{name}.", rank * sum(sizes), rank * max(sizes)
    if "decoder" in tuning.parts:
        yield from _expert_adapters(model, tuning.lora)


def _expert_adapters(model: nn.Module, lora: LoraSection) -> Iterator[tuple[str, int, int]]:
    if lora.preset != "experts":
        return
    for name, parameter in model.named_parameters():
        if re.fullmatch(ROUTED_EXPERTS, name):
            experts, outputs, inputs = parameter.shape
            yield name, experts * lora.rank * (inputs + outputs), experts * lora.rank * max(inputs, outputs)
