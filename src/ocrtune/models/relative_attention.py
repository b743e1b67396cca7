"""Attention with relative positions, without ever building the bias that they are.

SAM adds to the score of a query and a key what the query says of the key's row, and of its column. Written out that is as
large as the scores: 805 MB in fp32 for one global layer and one view of 1024 px. Here either a block of scores that fits the
cache is made at a time, or rows and columns become dimensions of queries and keys.

Shapes: G heads of all windows or views, N queries, K = R·C keys that stand in R rows and C columns, D a head's width.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ocrtune.models.precision import BF16_CAPABILITY

Way = Literal["blocks", "widened", "bias"]

BLOCK_SCORES = 2**20
"""Most scores in a block: 4 MB in fp32; larger blocks leave the cache, smaller ones are many calls."""

WIDTH_MULTIPLE = 8
"""Fused kernels want a head's width in steps of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeAttention:
    """How attention with relative positions is computed, and why.

    Attributes:
        way: `blocks`: some queries at a time; `widened`: rows and columns as further dimensions of queries and keys,
            for a fused kernel; `bias`: with the whole bias, as transformers does.
        widens_values: Values get the width of the queries, by zeros: one fused kernel asks for it, the other computes less
            without.
        reason: Why, for people.
    """

    way: Way
    widens_values: bool = False
    reason: str


def choose_attention(
    device_kind: str, capability: tuple[int, int] | None, dtype: torch.dtype
) -> RelativeAttention:
    """The way for a device.

    Args:
        device_kind: `cpu`, `cuda` or another of torch's.
        capability: CUDA compute capability (major, minor); None elsewhere.
        dtype: Of the queries.
    """
    if device_kind in {"cpu", "meta"}:
        return RelativeAttention(way="blocks", reason="a block of scores stays in the cache")
    if device_kind != "cuda" or capability is None:
        return RelativeAttention(way="bias", reason=f"nothing else was tried on {device_kind}")
    if dtype != torch.float32 and capability >= BF16_CAPABILITY:
        return RelativeAttention(
            way="widened", widens_values=True, reason="flash attention: 16 bits, equal widths, no mask"
        )
    return RelativeAttention(way="widened", reason="memory-efficient attention: values keep their width")


def attend(
    query: Tensor, key: Tensor, value: Tensor, rel_rows: Tensor, rel_columns: Tensor, *, scale: float
) -> Tensor:
    """Scaled dot-product attention, to each score added `rel_rows` of the key's row and `rel_columns` of its column.

    Args:
        query: (G, N, D).
        key: (G, K, D), row by row.
        value: (G, K, D).
        rel_rows: (G, N, R).
        rel_columns: (G, N, C).
        scale: Of the products of queries and keys; the additions are not scaled.

    Returns:
        (G, N, D) in the dtype of `query`.

    Source: `get_decomposed_rel_pos` and what follows it in transformers' SAM attention; tests/models/test_sam.py.
    """
    chosen = choose_attention(query.device.type, _capability(query.device), query.dtype)
    if chosen.way == "blocks":
        return attend_in_blocks(query, key, value, rel_rows, rel_columns, scale=scale)
    if chosen.way == "widened":
        return attend_widened(
            query, key, value, rel_rows, rel_columns, scale=scale, widens_values=chosen.widens_values
        )
    return attend_with_bias(query, key, value, rel_rows, rel_columns, scale=scale)


def attend_with_bias(
    query: Tensor, key: Tensor, value: Tensor, rel_rows: Tensor, rel_columns: Tensor, *, scale: float
) -> Tensor:
    """As `attend`, with all additions written out: (G, N, K) of them."""
    bias = (rel_rows[..., :, None] + rel_columns[..., None, :]).flatten(-2)
    attended = functional.scaled_dot_product_attention(
        query[None], key[None], value[None], attn_mask=bias[None], scale=scale
    )
    return attended[0]


def attend_widened(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rel_rows: Tensor,
    rel_columns: Tensor,
    *,
    scale: float,
    widens_values: bool,
) -> Tensor:
    """As `attend`: queries carry their additions, keys a 1 at their row and at their column, so the product holds both."""
    rows, columns = rel_rows.shape[-1], rel_columns.shape[-1]
    spare = -(query.shape[-1] + rows + columns) % WIDTH_MULTIPLE
    wide_query = functional.pad(torch.cat([query * scale, rel_rows, rel_columns], dim=-1), (0, spare))
    places = functional.pad(_places(rows, columns, key), (0, spare)).expand(len(key), -1, -1)
    wide_key = torch.cat([key, places], dim=-1)
    width = value.shape[-1]
    if widens_values:
        value = functional.pad(value, (0, wide_query.shape[-1] - width))
    attended = functional.scaled_dot_product_attention(
        wide_query[None], wide_key[None], value[None], scale=1.0
    )
    return attended[0, ..., :width]


def _places(rows: int, columns: int, like: Tensor) -> Tensor:
    """(R·C, R + C): for each key 1 at its row and 1 at its column."""
    row = torch.eye(rows, dtype=like.dtype, device=like.device).repeat_interleave(columns, dim=0)
    return torch.cat([row, torch.eye(columns, dtype=like.dtype, device=like.device).repeat(rows, 1)], dim=1)


def _capability(device: torch.device) -> tuple[int, int] | None:
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


def attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, rel_rows: Tensor, rel_columns: Tensor, *, scale: float
) -> Tensor:
    """As `attend`, at most `BLOCK_SCORES` scores at a time, in the backward pass as well."""
    dtype = query.dtype
    # Scores in half precision would be rounded where fused attention keeps them in fp32; a CPU is faster in fp32 as well.
    compute = dtype if dtype == torch.float64 else torch.float32
    given = [tensor.to(compute) for tensor in (query, key, value, rel_rows, rel_columns)]
    with torch.autocast(query.device.type, enabled=False):
        attended: Tensor = _Blocks.apply(scale, *given)  # type: ignore[no-untyped-call]
    return attended.to(dtype)


class _Blocks(torch.autograd.Function):
    """Attention over blocks of queries; the backward pass makes each block's probabilities anew."""

    @staticmethod
    def forward(ctx: Any, scale: float, *given: Tensor) -> Tensor:
        query, key, value, rel_rows, rel_columns = given
        attended = torch.empty_like(query)
        buffer = _scores_buffer(query, key)
        for heads, queries in _blocks(query, key):
            at = (heads, queries)
            found = _probabilities(buffer, query[at], key[heads], (rel_rows[at], rel_columns[at]), scale)
            attended[at] = torch.bmm(found, value[heads])
        ctx.save_for_backward(*given, attended)
        ctx.scale = scale
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grad.device.type, enabled=False):
            return None, *_gradients(ctx.saved_tensors, grad.contiguous(), ctx.scale)


def _gradients(saved: tuple[Tensor, ...], grad: Tensor, scale: float) -> list[Tensor]:
    query, key, value, rel_rows, rel_columns, attended = saved
    grads = [torch.zeros_like(tensor) for tensor in saved[:5]]
    # What the softmax subtracts in each row: the sum of its gradient over the probabilities.
    common = (grad * attended).sum(dim=-1, keepdim=True).neg_()
    buffer, grad_buffer = _scores_buffer(query, key), _scores_buffer(query, key)
    for heads, queries in _blocks(query, key):
        at = (heads, queries)
        found = _probabilities(buffer, query[at], key[heads], (rel_rows[at], rel_columns[at]), scale)
        _add_product(grads[2][heads], found.transpose(1, 2), grad[at])
        score = grad_buffer[: found.shape[0], : found.shape[1]]
        torch.baddbmm(common[at].expand_as(score), grad[at], value[heads].transpose(1, 2), out=score)
        score *= found
        _add_product(grads[0][at], score, key[heads], scale)
        _add_product(grads[1][heads], score.transpose(1, 2), query[at], scale)
        placed = score.view(*score.shape[:2], rel_rows.shape[-1], rel_columns.shape[-1])
        torch.sum(placed, dim=-1, out=grads[3][at])
        torch.sum(placed, dim=-2, out=grads[4][at])
    return grads


def _add_product(total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None:
    # Counters of arithmetic know this form, and not the one that is called in place.
    torch.baddbmm(total, left, right, alpha=scale, out=total)


def _blocks(query: Tensor, key: Tensor) -> list[tuple[slice, slice]]:
    """Heads and queries of each block: several heads where all queries of one are few."""
    heads, queries = _block_sizes(query, key)
    return [
        (slice(head, head + heads), slice(start, start + queries))
        for head in range(0, query.shape[0], heads)
        for start in range(0, query.shape[1], queries)
    ]


def _block_sizes(query: Tensor, key: Tensor) -> tuple[int, int]:
    num_heads, num_queries, _ = query.shape
    queries = min(num_queries, max(1, BLOCK_SCORES // key.shape[1]))
    return min(num_heads, max(1, BLOCK_SCORES // (queries * key.shape[1]))), queries


def _scores_buffer(query: Tensor, key: Tensor) -> Tensor:
    return query.new_empty(*_block_sizes(query, key), key.shape[1])


def _probabilities(
    buffer: Tensor, query: Tensor, key: Tensor, additions: tuple[Tensor, Tensor], scale: float
) -> Tensor:
    """(g, n, K) in the memory of `buffer`."""
    scores = buffer[: query.shape[0], : query.shape[1]]
    of_rows, of_columns = additions
    placed = scores.view(*scores.shape[:2], of_rows.shape[-1], of_columns.shape[-1])
    torch.add(of_rows[..., :, None], of_columns[..., None, :], out=placed)
    torch.baddbmm(scores, query, key.transpose(1, 2), alpha=scale, out=scores)
    return torch.softmax(scores, dim=-1, out=scores)
