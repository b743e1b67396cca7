"""AdamW over groups of parameters: per-part rates, weight decay on matrices only."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ocrtune.config import OptimizerSection, Part
from ocrtune.models.tuning import part_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share a rate and a decay.

    Attributes:
        part: Part of the model.
        decays: Whether weight decay applies.
        learning_rate: Peak rate.
        parameters: In the model's order.
    """

    part: Part
    decays: bool
    learning_rate: float
    parameters: tuple[nn.Parameter, ...]


def group_parameters(model: nn.Module, optimizer: OptimizerSection) -> list[ParameterGroup]:
    """The learning parameters of `model` in groups; each is in exactly one."""
    groups: dict[tuple[Part, bool], list[nn.Parameter]] = {}
    embeddings = _embedding_weights(model.modules())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and id(parameter) not in embeddings
            groups.setdefault((part_of(name), decays), []).append(parameter)
    return [
        ParameterGroup(
            part=part,
            decays=decays,
            learning_rate=optimizer.learning_rates.get(part, optimizer.learning_rate),
            parameters=tuple(parameters),
        )
        for (part, decays), parameters in groups.items()
    ]


def make_optimizer(model: nn.Module, optimizer: OptimizerSection, *, fused: bool) -> torch.optim.Optimizer:
    """AdamW over the learning parameters of `model`.

    Args:
        model: With `requires_grad` set on what learns, in fp32.
        optimizer: Rates, decay, betas, epsilon.
        fused: One kernel for all parameters. It skips the check for fp16 gradients, `guard_trainables` does not.

    Returns:
        torch's AdamW, or that of bitsandbytes where moments are kept in 8 bits; it keeps those of small tensors in fp32.
    """
    groups: list[dict[str, Any]] = [
        {
            "params": list(group.parameters),
            "lr": group.learning_rate,
            "weight_decay": optimizer.weight_decay if group.decays else 0.0,
        }
        for group in group_parameters(model, optimizer)
    ]
    settings: dict[str, Any] = {
        "lr": optimizer.learning_rate,
        "betas": optimizer.betas,
        "eps": optimizer.epsilon,
    }
    if optimizer.moments == "int8":
        in_8_bits: torch.optim.Optimizer = importlib.import_module("bitsandbytes.optim").AdamW8bit(
            groups, **settings
        )
        return in_8_bits
    return torch.optim.AdamW(groups, **settings, fused=fused)


def _embedding_weights(modules: Iterable[nn.Module]) -> set[int]:
    return {id(module.weight) for module in modules if isinstance(module, nn.Embedding)}
