"""Vision features: views → encoder → projector → the order in which they stand in a sequence.

Shapes: N views, S their side in pixels, Q features along a side of a view, H the decoder's hidden size.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ocrtune.models.sam import MLP_FACTOR

MOST_BYTES_ON_CPU, MOST_BYTES = 64 * 2**20, 512 * 2**20
"""Most bytes of the widest activation of a vision forward."""

_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTensors:
    """One image as the vision encoder takes it.

    Attributes:
        global_view: floating point (1, 3, S, S).
        tiles: floating point (P, 3, T, T), row by row; None where there are none.
        grid: (columns, rows) of the tiles; (1, 1) where there are none.
    """

    global_view: Tensor
    tiles: Tensor | None
    grid: tuple[int, int]


def arrange(
    global_features: Tensor,
    tile_features: Tensor | None,
    grid: tuple[int, int],
    *,
    separator: Tensor,
    newline: Tensor | None,
) -> Tensor:
    """The features of one image in the order of its tokens: tiles, global view, separator.

    Args:
        global_features: (Q·Q, H).
        tile_features: (P, q·q, H) or None.
        grid: (columns, rows) of the tiles.
        separator: (H,), stands last.
        newline: (H,), follows each row of a picture; tiles are then joined to one picture. None for a family
            without row breaks, where tiles stand one after another.

    Returns:
        (tokens, H).
    """
    parts = [] if tile_features is None else [_flattened(tile_features, grid, newline)]
    return torch.cat([*parts, _flattened(global_features[None], (1, 1), newline), separator[None]])


def encode_views(
    tower: nn.Module, projector: nn.Module, stacks: Sequence[Tensor], *, chunk_views: int | None
) -> list[Tensor]:
    """Projected features of every stack of views: one forward of the encoder for each side of views.

    Args:
        tower: The vision encoder; views are cast to its dtype.
        projector: From the encoder's width to the decoder's.
        stacks: (N, 3, S, S) each; stacks of the same side are encoded together.
        chunk_views: Most views in one forward; None for as many as `views_per_forward` says.

    Returns:
        (N, Q·Q, H) for each stack, in order.
    """
    by_side: dict[int, list[int]] = defaultdict(list)
    for index, stack in enumerate(stacks):
        by_side[stack.shape[-1]].append(index)
    features: dict[int, Tensor] = {}
    for indices in by_side.values():
        counts = [len(stacks[index]) for index in indices]
        encoded = _encode(tower, projector, torch.cat([stacks[index] for index in indices]), chunk_views)
        features |= zip(indices, torch.split(encoded, counts), strict=True)
    return [features[index] for index in range(len(stacks))]


def views_per_forward(views: Tensor) -> int:
    """How many views of a side go through the encoder together, at least one, see `most_views`.

    Args:
        views: (N, 3, S, S) on the encoder's device and in its dtype.
    """
    return most_views(views.shape[-1], views.element_size(), views.device.type)


def most_views(side_px: int, number_bytes: int, device_kind: str) -> int:
    """How many views of a side go through the encoder together, from numbers alone.

    SAM makes of each patch as many numbers as its pixels have, and four times as many inside its MLP: the widest activation.
    A graphics card takes so many views that it is busy; a processor is so with one, and is slower where memory is
    allocated for more.

    Args:
        side_px: Of each view.
        number_bytes: Of a pixel's value in the encoder's dtype.
        device_kind: Of the encoder's device.
    """
    widest_bytes = _CHANNELS * side_px**2 * number_bytes * MLP_FACTOR
    most_bytes = MOST_BYTES_ON_CPU if device_kind == "cpu" else MOST_BYTES
    return max(1, most_bytes // widest_bytes)


def _encode(tower: nn.Module, projector: nn.Module, views: Tensor, chunk_views: int | None) -> Tensor:
    views = views.to(device=next(tower.parameters()).device, dtype=_compute_dtype(tower))
    chunks = torch.split(views, chunk_views or views_per_forward(views))
    # Without it frozen layers would be computed as if their activations were to be kept.
    learns = views.requires_grad or any(parameter.requires_grad for parameter in tower.parameters())
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        encoded = torch.cat([tower(chunk).last_hidden_state for chunk in chunks])
    # A frozen bf16 encoder may stand before a projector that learns in fp32.
    projected: Tensor = projector(encoded.to(_compute_dtype(projector)))
    return projected


def _compute_dtype(module: nn.Module) -> torch.dtype:
    """The dtype of its inputs: of the parameters that learn, if any do, and never that of packed 4-bit weights."""
    floating = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    return next((parameter.dtype for parameter in floating if parameter.requires_grad), floating[0].dtype)


def _flattened(features: Tensor, grid: tuple[int, int], newline: Tensor | None) -> Tensor:
    """(P, q·q, H) → (tokens, H), as one picture with row breaks or one tile after another."""
    if newline is None:
        return features.flatten(0, 1)
    columns, rows = grid
    side = round(features.shape[1] ** 0.5)
    pictures = features.reshape(rows, columns, side, side, -1)
    picture = pictures.transpose(1, 2).reshape(rows * side, columns * side, -1)
    breaks = newline.to(picture.dtype).expand(len(picture), 1, -1)
    return torch.cat([picture, breaks], dim=1).flatten(0, 1)
