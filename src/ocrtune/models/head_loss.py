"""Cross-entropy of the head without the logits of all positions: chunk by chunk, with the gradients at once.

Logits, their log-probabilities and their gradient are three times n × vocabulary numbers; at 129,280 tokens they are the
largest tensors of a step. Here one chunk of them is there at a time, in two buffers that all chunks share.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ocrtune.models.precision import compute_dtype

CHUNK_BYTES = 64 * 2**20
"""Most bytes of fp32 logits at a time; fewer positions than that are one chunk."""

_LOGIT_BYTES = 4


def head_loss(hidden: Tensor, weight: Tensor, targets: Tensor, num_items: int | Tensor) -> Tensor:
    """The sum of the targets' cross-entropies over `num_items`, a fp32 scalar.

    Products are computed in the dtype of autocast, all else in fp32 as transformers' loss is.

    Args:
        hidden: (n, H), the decoder's normed outputs at supervised positions.
        weight: (vocabulary, H), the head; it may learn.
        targets: int64 (n,), none of them ignored.
        num_items: What the sum is divided by.

    Source: `torch.nn.functional.cross_entropy` of the whole logits, equal to 1e-6 in the loss and in gradients
        (`tests/models/test_head_loss.py`).
    """
    dtype = compute_dtype(hidden.device.type, weight.dtype)
    with torch.autocast(hidden.device.type, enabled=False):
        loss: Tensor = _HeadLoss.apply(  # type: ignore[no-untyped-call]  # as torch has it
            hidden, weight, targets, 1 / num_items, dtype, torch.is_grad_enabled()
        )
    return loss


def chunk_rows(num_rows: int, vocabulary: int) -> int:
    """Positions whose logits are there at a time: as even as they can be, none over `CHUNK_BYTES`."""
    most = max(CHUNK_BYTES // (vocabulary * _LOGIT_BYTES), 1)
    chunks = max(-(-num_rows // most), 1)
    return max(-(-num_rows // chunks), 1)


class _HeadLoss(torch.autograd.Function):
    """The gradients are made with the loss, while a chunk's logits are there, and scaled in the backward pass."""

    @staticmethod
    def forward(  # noqa: PLR0917  # torch passes by position
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        scale: float | Tensor,
        dtype: torch.dtype,
        learns: bool,
    ) -> Tensor:
        inputs, head = hidden.to(dtype), weight.to(dtype)
        rows = chunk_rows(len(inputs), len(head))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        # torch names what requires a gradient, under no_grad too.
        wants = [learns and needed for needed in ctx.needs_input_grad[:2]]
        to_hidden = torch.empty(hidden.shape if any(wants) else 0, dtype=torch.float32, device=hidden.device)
        to_weight = None
        if wants[1]:
            to_weight = torch.empty(weight.shape, dtype=torch.float32, device=hidden.device)
        logits = torch.empty((rows, len(head)), dtype=dtype, device=hidden.device)
        log_probabilities = torch.empty_like(logits, dtype=torch.float32)
        for start in range(0, len(inputs), rows):
            chunk = inputs[start : start + rows]
            gradient = log_probabilities[: len(chunk)]
            products = torch.mm(chunk, head.mT, out=logits[: len(chunk)])
            torch.log_softmax(products, dim=-1, dtype=torch.float32, out=gradient)
            wanted = targets[start : start + rows].unsqueeze(-1)
            total -= gradient.gather(1, wanted).sum()
            if not any(wants):
                continue
            # Of the loss in the logits: probabilities, less one at the target.
            gradient.exp_().scatter_add_(1, wanted, -torch.ones_like(gradient[:, :1]))
            narrow = gradient if dtype == torch.float32 else products.copy_(gradient)
            to_hidden[start : start + rows] = narrow @ head
            if to_weight is not None:
                _add_product(to_weight, narrow, chunk, anew=start == 0)
        if to_weight is not None and not len(inputs):
            to_weight.zero_()
        ctx.save_for_backward(to_hidden, to_weight)
        ctx.scale, ctx.dtypes = scale, (hidden.dtype, weight.dtype)
        return total * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_weight = ctx.saved_tensors
        hidden_dtype, weight_dtype = ctx.dtypes
        factor = gradient * ctx.scale
        if to_weight is not None:
            to_weight = to_weight.mul_(factor).to(weight_dtype)
        return (to_hidden * factor).to(hidden_dtype), to_weight, None, None, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor, *, anew: bool) -> None:
    """Add left.T × right to fp32 `total`, or put it there."""
    if left.dtype == total.dtype:
        total.addmm_(left.mT, right, beta=0 if anew else 1)
    elif anew:
        total.copy_(left.mT @ right)
    else:
        total += left.mT @ right
