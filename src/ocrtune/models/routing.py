"""Which expert computes which rows: all rows in one grouped product, or those of one expert after another.

Shapes: T tokens, K experts of each, S = T·K rows sorted by expert, E experts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ocrtune.models.precision import BF16_CAPABILITY

Product = Literal["grouped", "loop"]

_GROUPED_MULTIPLE = 8
"""Rows of matrices of a grouped product begin at multiples of 16 bytes."""


def choose_product(
    kind: str, capability: tuple[int, int] | None, dtype: torch.dtype, widths: tuple[int, ...]
) -> Product:
    """How the experts of a layer are computed: in one grouped product, or one expert after another.

    A grouped product is one kernel on CUDA cards with bf16 units, in bf16. Everywhere else torch makes it a loop that
    asks the device for the sizes of the groups in every product; the loop here asks once for a layer and a step.

    Args:
        kind: Of the device.
        capability: Of a CUDA device.
        dtype: Of the products.
        widths: Sides of the matrices, ranks of adapters among them.
    """
    has_kernel = kind == "cuda" and capability is not None and capability >= BF16_CAPABILITY
    fits = dtype == torch.bfloat16 and all(width % _GROUPED_MULTIPLE == 0 for width in widths)
    return "grouped" if has_kernel and fits else "loop"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that are computed at once.

    Attributes:
        rows: Of the sorted rows.
        experts: Whose they are.
        multiply: (rows, a) × (…, a, b) → (rows, b), each row with the matrix of its expert.
        outer: (rows, a), (rows, b) → (…, a, b), the sum over the rows of each expert.
    """

    rows: slice
    experts: int | slice
    multiply: Callable[[Tensor, Tensor], Tensor]
    outer: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Routing:
    """Which row is whose.

    Attributes:
        order: (S,), position of each sorted row among the T·K choices.
        tokens: (S,), token of each sorted row.
        ends: int32 (E,), end of each expert's rows; on the device for a grouped product, else as numbers.
    """

    order: Tensor
    tokens: Tensor
    ends: Tensor | list[int]

    @classmethod
    def of(cls, chosen: Tensor, num_experts: int, product: Product) -> "Routing":
        """The routing of `chosen`, int64 (T, K); each expert comes once at most in a row of it."""
        flat = chosen.reshape(-1)
        ordered, order = torch.sort(flat)
        ends = torch.searchsorted(ordered, torch.arange(num_experts, device=flat.device), right=True)
        tokens = order // chosen.shape[-1]
        return cls(order, tokens, ends.to(torch.int32) if product == "grouped" else ends.tolist())

    def clear_idle(self, gradients: Tensor) -> None:
        """Put zeros where experts without any row have their gradient, in place; the first dimension is the experts'."""
        if isinstance(self.ends, Tensor):
            # On some cards a grouped product leaves what was in memory for a group without rows: pytorch issue 172439.
            idle = torch.diff(self.ends, prepend=self.ends.new_zeros(1)) == 0
            gradients.masked_fill_(idle.view(-1, 1, 1), 0)
            return
        bounds = zip([0, *self.ends], self.ends, strict=False)
        if idle_experts := [expert for expert, (start, end) in enumerate(bounds) if start == end]:
            gradients[idle_experts] = 0

    def blocks(self) -> Iterator[Block]:
        """All rows at once, or those of one expert after another."""
        if isinstance(self.ends, Tensor):
            multiply = partial(functional.grouped_mm, offs=self.ends)
            yield Block(slice(None), slice(None), multiply, lambda a, b: multiply(a.mT, b))
            return
        start = 0
        for expert, end in enumerate(self.ends):
            if end > start:
                yield Block(slice(start, end), expert, torch.mm, lambda a, b: torch.mm(a.mT, b))
            start = end

    def add(self, summed: Tensor, block: Block, rows: Tensor) -> None:
        """Add the rows of a block to their tokens, always in the same order."""
        if isinstance(block.experts, int):
            # An expert has each token once at most, so nothing is added twice at the same time.
            summed.index_add_(0, self.tokens[block.rows], rows.to(summed.dtype))
            return
        unsorted = rows[torch.argsort(self.order)].view(len(summed), -1, rows.shape[-1])
        torch.sum(unsorted, dim=1, dtype=summed.dtype, out=summed)
