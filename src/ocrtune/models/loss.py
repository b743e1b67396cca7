"""The loss of a training step: the token mean over all of it, computed where something is learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ocrtune.errors import LabelsAllIgnored
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models.classes import ROUTER_CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOutput:
    """A loss and what it is made of.

    Attributes:
        loss: Scalar to differentiate, the weighted router loss included.
        num_tokens: Supervised positions of the batch.
        router_loss: Router loss of the batch before its weight, detached; 0 where it is off, 1 for a router that
            spreads tokens evenly.
    """

    loss: Tensor
    num_tokens: int
    router_loss: Tensor


def supervised_loss(
    model: nn.Module,
    batch: Mapping[str, Any],
    *,
    num_items: int | Tensor | None = None,
    router_loss: float = 0.0,
) -> LossOutput:
    """The sum of token losses over `num_items`, with logits at supervised positions alone.

    Both terms are sums over examples divided by `num_items`, so losses and gradients of the batches of an optimizer
    step add up to those of one large batch, however the examples are cut into batches, or packed in rows.

    Args:
        model: An `OcrModel`, or a wrapper around one that passes keyword arguments on.
        batch: Keyword arguments of the model in either form, `labels` among them.
        num_items: Supervised positions of the whole optimizer step; those of this batch without it.
        router_loss: Weight of the router's load-balancing loss. Each example's, over its unpadded positions, counts
            as much as its supervised positions do.

    Raises:
        LabelsAllIgnored: Nothing is supervised and no `num_items` is given.
    """
    labels: Tensor = batch["labels"]
    targets = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)
    supervised = targets != IGNORED_LABEL
    num_tokens = int(supervised.sum())
    if num_items is None:
        if not num_tokens:
            raise LabelsAllIgnored(
                "every label is -100: the mean over no tokens is NaN", hint="give each row an answer to learn"
            )
        num_items = num_tokens
    output = model(
        **batch,
        shift_labels=targets[supervised],
        logits_to_keep=supervised,
        num_items_in_batch=num_items,
        use_cache=False,
        loss_only=True,
        output_router_logits=router_loss > 0,
    )
    if not router_loss:
        return LossOutput(loss=output.loss, num_tokens=num_tokens, router_loss=output.loss.new_zeros(()))
    members = _members(batch)
    balance = _imbalance(output.router_logits, members, _experts_per_token(model))
    weighted = (balance * (members & supervised.flatten()).sum(dim=1)).sum()
    return LossOutput(
        loss=output.loss + router_loss * weighted / num_items,
        num_tokens=num_tokens,
        router_loss=(weighted / max(num_tokens, 1)).detach(),
    )


def _imbalance(router_logits: Sequence[Tensor], members: Tensor, experts_per_token: int) -> Tensor:
    """How unevenly each example's tokens are spread over the experts, (N,): 1 if evenly, more if not.

    Experts × Σ (share of the choices that fell on an expert) × (mean probability it was given), the mean over
    layers. Padding counts nowhere, and an example's value does not depend on those beside it.

    Args:
        router_logits: (T, experts) of each layer, T being all positions of the batch.
        members: bool (N, T), which positions are an example's.
        experts_per_token: How many are chosen.
    """
    weights = members.float() / members.sum(dim=1, keepdim=True)  # (N, T)
    layers = []
    for logits in router_logits:
        probabilities = logits.float().softmax(dim=-1)  # (T, experts)
        chosen = torch.zeros_like(probabilities).scatter(
            -1, probabilities.topk(experts_per_token).indices, 1.0
        )
        # Shares of thousands of positions are no matter for half precision.
        with torch.autocast(logits.device.type, enabled=False):
            shares = weights @ chosen / experts_per_token
            means = weights @ probabilities
        layers.append(probabilities.shape[-1] * (shares * means).sum(dim=-1))
    return torch.stack(layers).mean(dim=0)


def _members(batch: Mapping[str, Any]) -> Tensor:
    """Which of all positions are an example's, bool (N, T): a padded row is one example, a packed one several."""
    labels: Tensor = batch["labels"]
    lengths = batch.get("segment_lengths") or [labels.shape[1]] * labels.shape[0]
    numbers = torch.arange(len(lengths), device=labels.device)
    members = numbers.repeat_interleave(torch.tensor(lengths, device=labels.device)) == numbers[:, None]
    attention_mask: Tensor | None = batch.get("attention_mask")
    return members if attention_mask is None else members & attention_mask.flatten().bool()


def _experts_per_token(model: nn.Module) -> int:
    """Asked of a router itself, because a wrapper around the model need not have its configuration."""
    return next(int(module.top_k) for module in model.modules() if isinstance(module, ROUTER_CLASSES))
