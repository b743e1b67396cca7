"""Where the rows of each published tensor lie in a model: what is read into it and what is written from it, copied once.

transformers stacks the experts of a layer into parameters of three dimensions and cuts CLIP's queries, keys and values
apart. Row numbers, sent through its own conversion in the weights' stead, say what became of which row.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

_EXPERT_DIMS = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of a model's tensor.

    A row is what one index of the first dimension gives; of experts, a row of one of them, counted through all.

    Attributes:
        name: The tensor, as the model calls it.
        start: Its first row.
        stop: The row after its last.
    """

    name: str
    start: int
    stop: int


Layout = Mapping[str, tuple[Piece, ...]]
"""Name of a tensor in a file → the pieces that make it, one below the other."""


def published_layout(model: PreTrainedModel) -> Layout:
    """The layout of the published files; `model` may be on the meta device, and may have learned since it was loaded."""
    starts, names, numbers = [0], [], {}
    for name, tensor in model.state_dict().items():
        rows = torch.arange(starts[-1], starts[-1] + num_rows(tensor))
        numbers[name] = rows.reshape(_row_sizes(tensor))
        names.append(name)
        # A number left out: no run of rows goes on from one tensor into the next.
        starts.append(starts[-1] + len(rows) + 1)
    reverted = revert_weight_conversion(model, numbers)
    return {name: _pieces(rows.flatten().numpy(), names, starts) for name, rows in reverted.items()}


def native_layout(model: PreTrainedModel) -> Layout:
    """The layout of files that hold a model's tensors as they are."""
    return {name: (Piece(name, 0, num_rows(tensor)),) for name, tensor in model.state_dict().items()}


def num_rows(tensor: Tensor) -> int:
    """How many rows a piece of the whole tensor has."""
    return len(by_rows(tensor))


def by_rows(tensor: Tensor) -> Tensor:
    """The tensor with its rows in the first dimension."""
    return tensor.flatten(0, 1) if tensor.dim() == _EXPERT_DIMS else tensor


def view(tensor: Tensor, piece: Piece) -> Tensor:
    """The rows of a piece, as a view."""
    return by_rows(tensor)[piece.start : piece.stop]


def assemble(pieces: tuple[Piece, ...], state: Mapping[str, Tensor]) -> Tensor:
    """The tensor that pieces of `state` make: a view where it is one piece, else a copy."""
    parts = [view(state[piece.name], piece) for piece in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _row_sizes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of the tensor with one number in each row."""
    kept = 2 if tensor.dim() == _EXPERT_DIMS else 1
    return (*tensor.shape[:kept], *(1 for _ in tensor.shape[kept:]))


def _pieces(numbers: NDArray[np.int64], names: list[str], starts: list[int]) -> tuple[Piece, ...]:
    ends = [*(np.flatnonzero(np.diff(numbers) != 1) + 1), len(numbers)]
    pieces = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        first = int(numbers[begin])
        owner = bisect_right(starts, first) - 1
        start = first - starts[owner]
        pieces.append(Piece(names[owner], start, start + int(end - begin)))
    return tuple(pieces)
