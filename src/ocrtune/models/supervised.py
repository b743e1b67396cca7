"""A training forward that ends in the loss: no logits, and no outputs of the last layer that nobody asks for."""

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

from ocrtune.models.decoder import KEPT_POSITIONS, can_trim
from ocrtune.models.head_loss import head_loss

NEEDS_WHOLE_ROWS = ("output_hidden_states", "output_attentions", "output_router_logits")
"""Keywords with which the last layer must see whole rows: what they ask for is about all positions."""


def forward_to_loss(
    model: Any,
    given: dict[str, Any],
    *,
    logits_to_keep: Tensor,
    shift_labels: Tensor,
    num_items_in_batch: int | Tensor,
    **kwargs: Any,
) -> MoeCausalLMOutputWithPast:
    """The loss at supervised positions.

    Args:
        model: An `OcrModel`.
        given: What transformers' inner model is given: ids, mask, features.
        logits_to_keep: bool (B, L), the supervised positions.
        shift_labels: int64 (n,), their targets.
        num_items_in_batch: What the sum of the losses is divided by.
        **kwargs: What the decoder is told besides.

    Returns:
        transformers' record with `loss`, and `router_logits` where they are asked for.
    """
    asked = [kwargs.get(key) for key in NEEDS_WHOLE_ROWS]
    trims = (
        model.trims_last_layer and can_trim(model) and all(value is None or value is False for value in asked)
    )
    if trims:
        kwargs[KEPT_POSITIONS] = logits_to_keep
    output = model.model(**given, **kwargs)
    hidden = output.last_hidden_state[0] if trims else output.last_hidden_state[logits_to_keep]
    return MoeCausalLMOutputWithPast(
        loss=_loss(model.lm_head, hidden, shift_labels, num_items_in_batch),
        router_logits=output.router_logits,
    )


def _loss(head: nn.Module, hidden: Tensor, targets: Tensor, num_items: int | Tensor) -> Tensor:
    if type(head) is nn.Linear and head.bias is None:
        return head_loss(hidden, head.weight, targets, num_items)
    # A head that does more than one product, such as one with an adapter.
    losses = nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
    return losses / num_items
