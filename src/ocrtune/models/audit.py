"""After the first backward pass: does what is said to learn have a gradient, and nothing else?

A tensor outside the graph has no gradient at all, and no error says so: the loss falls all the same, from
whatever else learns. A gradient of zeros is another matter. An adapter's first matrix has one until its
second, which starts at zero, has moved; so has an expert that no token was routed to.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ocrtune.errors import GradientAuditError, NonFiniteLoss
from ocrtune.models.tuning import group_of, learning_names, part_of
from ocrtune.records import Finding

_VIEW_QUERY = re.compile(r"\.query_(\d+)_resolution\.")
_FIRST_ADAPTER_MATRIX = ".lora_A."
_EXAMPLES = 3


def audit_gradients(
    model: nn.Module, inputs: Mapping[str, Any] | None = None, *, learning: Collection[str] | None = None
) -> list[Finding]:
    """Compares the gradients a model has with what is said to learn.

    Args:
        model: After a backward pass, before the gradients are cleared.
        inputs: The batch of that pass as native keyword arguments; what it holds no views for, such as the
            vision part in a batch of text, needs no gradient. Without it everything does.
        learning: Names of the tensors said to learn; those that require a gradient now without it.

    Returns:
        Errors `gradient-missing` and `gradient-on-frozen`, one for each row of the learning table, and notes
        `gradient-zero`. Each counts its tensors.
    """
    said = frozenset(learning_names(model) if learning is None else learning)
    missing, stray, zero = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            if name in said and _is_reached(name, inputs):
                missing.append(name)
        elif name not in said:
            stray.append(name)
        elif _FIRST_ADAPTER_MATRIX not in name and not bool(torch.count_nonzero(parameter.grad)):
            zero.append(name)
    missing.extend(sorted(said - {name for name, _ in model.named_parameters()}))
    return [*_missing_findings(missing), *_stray_findings(stray), *_zero_findings(zero)]


def require_gradients(
    model: nn.Module, inputs: Mapping[str, Any] | None = None, *, learning: Collection[str] | None = None
) -> list[Finding]:
    """Stops a run whose gradients are not where the recipe says; arguments as for `audit_gradients`.

    Returns:
        The notes.

    Raises:
        GradientAuditError: With every part in which a learning tensor has no gradient, or a frozen one has.
    """
    findings = audit_gradients(model, inputs, learning=learning)
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return findings
    raise GradientAuditError(
        "\n".join(
            [
                "gradients are not where the recipe says",
                *(f"  - {error.message}: {error.where}" for error in errors),
            ]
        ),
        hint="; ".join(dict.fromkeys(error.hint for error in errors)),
    )


def require_finite(loss: float, grad_norm: float | None = None, *, step: int) -> None:
    """Stops a run whose loss or gradient norm is no number.

    Args:
        loss: Of this step.
        grad_norm: Before clipping; None if it is not known, or where a scaler skips such steps by itself.
        step: Which step, from 1.

    Raises:
        NonFiniteLoss: One of them is NaN or infinite.
    """
    for name, value in (("loss", loss), ("gradient norm", grad_norm)):
        if value is not None and not math.isfinite(value):
            raise NonFiniteLoss(
                f"the {name} is {value}",
                where=f"step {step}",
                hint="lower optimizer.learning_rate or raise optimizer.warmup_fraction; in fp16 try bf16 or fp32",
            )


def _is_reached(name: str, inputs: Mapping[str, Any] | None) -> bool:
    """Whether the batch holds what the tensor works on."""
    if inputs is None or part_of(name) == "decoder":
        return True
    views = [inputs[key] for key in ("pixel_values", "pixel_values_local") if inputs.get(key) is not None]
    query = _VIEW_QUERY.search(name)
    if query is None:
        return bool(views)
    return int(query[1]) in {int(view.shape[-1]) for view in views}


def _missing_findings(names: Iterable[str]) -> Iterable[Finding]:
    for group, members in _by_group(names).items():
        yield Finding(
            code="gradient-missing",
            severity="error",
            message=f"{len(members)} tensors of {group} are said to learn and have no gradient",
            where=_examples(members),
            hint="look for no_grad, detach or reentrant checkpointing on the way from them to the loss",
            count=len(members),
        )


def _stray_findings(names: Iterable[str]) -> Iterable[Finding]:
    for group, members in _by_group(names).items():
        yield Finding(
            code="gradient-on-frozen",
            severity="error",
            message=f"{len(members)} tensors of {group} are said to be frozen and have a gradient",
            where=_examples(members),
            hint="set requires_grad through tuning.parts only, and clear gradients after changing it",
            count=len(members),
        )


def _zero_findings(names: Iterable[str]) -> Iterable[Finding]:
    for group, members in _by_group(names).items():
        yield Finding(
            code="gradient-zero",
            severity="note",
            message=f"{len(members)} tensors of {group} have a gradient of zeros",
            where=_examples(members),
            hint="right for experts that no token of the batch was routed to",
            count=len(members),
        )


def _by_group(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(group_of(name), []).append(name)
    return groups


def _examples(names: list[str]) -> str:
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
