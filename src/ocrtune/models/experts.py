"""Routed experts: the product of each token with the experts it was sent to, in the dtype of autocast.

transformers' own grouped product ignores autocast, keeps the copies of every token for the backward pass and needs the sum
of weights and adapters as a tensor of its own. Here tokens are gathered anew in the backward pass, activations are
computed anew from the one product that is kept, and adapters stay two small products beside the large one.

Shapes: T tokens, K experts of each, S = T·K rows sorted by expert; E experts, H hidden, I inner, R rank of an adapter.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.activations import SiLUActivation
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from ocrtune.models.precision import compute_dtype
from ocrtune.models.routing import Block, Product, Routing, choose_product

ExpertsName = Literal["ocrtune", "grouped_mm", "eager"]
IMPLEMENTATION: ExpertsName = "ocrtune"
"""The name transformers knows these experts by, see `load_model`."""

Factors = tuple[Tensor, Tensor]
"""An adapter's matrices, (E, R, in) and (E, out, R); the second holds the scale."""


# Rows of each expert are counted on the host: compiled code would be made anew for each count.
@torch.compiler.disable
def experts_forward(self: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Each token's sum over its experts, (T, H) in the dtype of `hidden_states`.

    Products are computed in the dtype of autocast, in that of the weights without it; sums over experts in fp32.

    Args:
        self: The module of a layer's experts.
        hidden_states: (T, H).
        top_k_index: int64 (T, K), the experts of each token, each once.
        top_k_weights: fp32 (T, K).

    Source: transformers' `grouped_mm_experts_forward`, equal to 1e-6 in outputs and gradients
        (`tests/models/test_experts.py`).
    """
    if not computes(self):
        plain: Tensor = grouped_mm_experts_forward(self, hidden_states, top_k_index, top_k_weights)
        return plain
    device, dtype = hidden_states.device, compute_dtype(hidden_states.device.type, self.gate_up_proj.dtype)
    linears = [_linear_of(self, name, dtype) for name in ("gate_up_proj", "down_proj")]
    ranks = [linear.first.shape[1] for linear in linears if linear.first is not None]
    widths = (*linears[1].weight.shape[1:], *ranks)
    # A batch without supervised positions leaves no token for the last layer, and kernels want one.
    grouping = choose_product(device.type, _capability(device), dtype, widths)
    product: Product = grouping if len(hidden_states) else "loop"
    with torch.autocast(device.type, enabled=False):
        summed: Tensor = _RoutedExperts.apply(  # type: ignore[no-untyped-call]  # as torch has it
            hidden_states,
            top_k_weights,
            top_k_index,
            dtype,
            product,
            torch.is_grad_enabled(),
            *linears[0],
            *linears[1],
        )
    return summed


def computes(experts: Any) -> bool:
    """The module of a layer's experts is computed here; others are left to transformers, which knows no factors."""
    is_ours = experts.config._experts_implementation == IMPLEMENTATION  # noqa: SLF001
    return (
        is_ours and not experts._is_expert_parallel and isinstance(experts.act_fn, nn.SiLU | SiLUActivation)  # noqa: SLF001
    )


ALL_EXPERTS_FUNCTIONS.register(IMPLEMENTATION, experts_forward)


def _capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


class _Linear(NamedTuple):
    """Weights (…, out, in) of one expert, or of all with a leading dimension, and an adapter's two matrices."""

    weight: Tensor
    first: Tensor | None
    second: Tensor | None

    def of(self, experts: int | slice, dtype: torch.dtype) -> "_Linear":
        """Those of some experts in the dtype of the products."""
        adapter = (None if matrix is None else matrix[experts] for matrix in (self.first, self.second))
        return _Linear(self.weight[experts].to(dtype), *adapter)

    def multiply(self, block: Block, rows: Tensor) -> Tensor:
        """(rows, in) → (rows, out)."""
        product = block.multiply(rows, self.weight.mT)
        if self.first is not None and self.second is not None:
            product += block.multiply(block.multiply(rows, self.first.mT), self.second.mT)
        return product

    def differentiate(
        self, block: Block, outgoing: Tensor, rows: Tensor, found: Sequence[Tensor | None]
    ) -> Tensor:
        """The gradient of the rows; those of the matrices are put into `found`, where there is something."""
        _put(found[0], block, outgoing, rows)
        incoming = block.multiply(outgoing, self.weight)
        if self.first is not None and self.second is not None:
            between = block.multiply(outgoing, self.second)
            incoming += block.multiply(between, self.first)
            _put(found[1], block, between, rows)
            _put(found[2], block, outgoing, block.multiply(rows, self.first.mT))
        return incoming


def _linear_of(experts: Any, name: str, dtype: torch.dtype) -> _Linear:
    """The weights as they are and their adapter's small matrices in the dtype of the products."""
    factors: dict[str, Factors] = getattr(experts, "adapter_factors", {})
    adapter = (factor.to(dtype).contiguous() for factor in factors[name]) if name in factors else (None, None)
    return _Linear(getattr(experts, name), *adapter)


class _RoutedExperts(torch.autograd.Function):
    """The experts of a layer; of each row it keeps the first product alone."""

    @staticmethod
    def forward(  # noqa: PLR0917  # torch passes by position
        ctx: Any,
        hidden: Tensor,
        shares: Tensor,
        chosen: Tensor,
        dtype: torch.dtype,
        product: Product,
        keeps: bool,
        *matrices: Any,
    ) -> Tensor:
        gate_up, down = _Linear(*matrices[:3]), _Linear(*matrices[3:])
        routing = Routing.of(chosen, len(gate_up.weight), product)
        sorted_shares = shares.reshape(-1)[routing.order].unsqueeze(-1)
        inputs = hidden.to(dtype)
        summed = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
        kept = []
        for block in routing.blocks():
            rows = inputs.index_select(0, routing.tokens[block.rows])
            projected = gate_up.of(block.experts, dtype).multiply(block, rows)
            activated = (_activate(projected) * sorted_shares[block.rows]).to(dtype)
            routing.add(summed, block, down.of(block.experts, dtype).multiply(block, activated))
            if keeps:
                kept.append(projected)
        ctx.save_for_backward(inputs, sorted_shares, *matrices, *kept)
        ctx.routing, ctx.shapes = routing, (hidden.dtype, shares.shape, shares.dtype)
        return summed.to(hidden.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, sorted_shares, *saved = ctx.saved_tensors
        matrices, kept = saved[:6], saved[6:]
        dtype, shape, shares_dtype = ctx.shapes
        routing: Routing = ctx.routing
        found = _room_for_gradients(matrices, ctx.needs_input_grad[6:])
        outgoing = gradient.to(inputs.dtype)
        to_hidden = torch.zeros(inputs.shape, dtype=torch.float32, device=inputs.device)
        to_shares = torch.empty_like(sorted_shares, dtype=torch.float32)
        for block, projected in zip(routing.blocks(), kept, strict=True):
            tokens = routing.tokens[block.rows]
            rows_gradient, to_shares[block.rows] = _differentiate(
                block,
                (_Linear(*matrices[:3]).of(block.experts, inputs.dtype), found[:3]),
                (_Linear(*matrices[3:]).of(block.experts, inputs.dtype), found[3:]),
                rows=inputs.index_select(0, tokens),
                shares=sorted_shares[block.rows],
                projected=projected,
                outgoing=outgoing.index_select(0, tokens),
            )
            routing.add(to_hidden, block, rows_gradient)
        for matrix_gradient in found:
            if matrix_gradient is not None:
                routing.clear_idle(matrix_gradient)
        unsorted = torch.empty_like(to_shares).index_copy_(0, routing.order, to_shares)
        return (
            to_hidden.to(dtype),
            unsorted.view(shape).to(shares_dtype),
            None,
            None,
            None,
            None,
            *found,
        )


def _activate(projected: Tensor) -> Tensor:
    gate, up = projected.chunk(2, dim=-1)
    return functional.silu(gate).mul_(up)


def _differentiate(
    block: Block,
    first: tuple[_Linear, Sequence[Tensor | None]],
    second: tuple[_Linear, Sequence[Tensor | None]],
    *,
    rows: Tensor,
    shares: Tensor,
    projected: Tensor,
    outgoing: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of the rows and of their shares; those of the matrices go where each linear has room for them."""
    gate, up = projected.chunk(2, dim=-1)
    opened = functional.silu(gate)
    activated = opened * up
    # The share stands before the second product here and after it in the sum it is equal to: nothing of the
    # second product need be kept for its gradient.
    down, room = second
    to_scaled = down.differentiate(block, outgoing, (activated * shares).to(rows.dtype), room)
    to_shares = (to_scaled.float() * activated).sum(dim=-1, keepdim=True)
    to_activated = (to_scaled * shares).to(rows.dtype)
    to_projected = torch.empty_like(projected)
    to_projected[:, gate.shape[-1] :] = to_activated * opened
    to_projected[:, : gate.shape[-1]] = torch.ops.aten.silu_backward(to_activated.mul_(up), gate)
    gate_up, room = first
    return gate_up.differentiate(block, to_projected, rows, room), to_shares


def _room_for_gradients(matrices: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Tensors for gradients of those matrices that learn."""
    return [
        torch.empty_like(matrix) if needed and matrix is not None else None
        for matrix, needed in zip(matrices, wanted, strict=True)
    ]


def _put(found: Tensor | None, block: Block, left: Tensor, right: Tensor) -> None:
    """Put the sums of outer products over each expert's rows into `found`, unless nobody wants them."""
    if found is None:
        return
    target = found[block.experts]
    if isinstance(block.experts, int) and target.dtype == left.dtype:
        torch.mm(left.mT, right, out=target)
    else:
        target.copy_(block.outer(left, right))
