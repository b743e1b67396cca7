"""What checks of either form share: how a value is described, and what a view must be."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ocrtune.families import VIEW_STEP_PX, Family
from ocrtune.records import Finding

_RGB = 3
_DIMENSIONS = 4


def error(code: str, message: str, *, where: str = "", hint: str = "") -> Finding:
    """A finding that stops a run."""
    return Finding(code=code, severity="error", message=message, where=where, hint=hint)


def described(value: Any) -> str:
    """What was found instead, in a few words: dtype and shape, or type and length."""
    if value is None:
        return "missing"
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"of type {type(value).__name__}"


def check_view(view: Tensor, family: Family, *, where: str) -> Iterator[Finding]:
    """What is wrong with a stack of views, wanted floating point (N, 3, S, S)."""
    if view.ndim != _DIMENSIONS:
        yield error(
            "image-tensor-not-4d",
            f"an image tensor has shape {tuple(view.shape)}, wanted 4 dimensions (N, 3, S, S)",
            where=where,
            hint="view.unsqueeze(0) for one view, torch.stack(tiles) for several",
        )
        return
    if not view.is_floating_point():
        yield error(
            "view-dtype",
            f"an image tensor is {described(view)}, wanted floating point",
            where=where,
            hint="normalise the pixels, (x / 255 - 0.5) / 0.5, and cast them to the model's dtype",
        )
    wanted = _wanted_sides(family)
    _, channels, height, width = view.shape
    fits = width in family.view_sides_px if family.view_sides_px else width > 0 and width % VIEW_STEP_PX == 0
    if channels != _RGB or height != width or not fits:
        yield error(
            "view-size",
            f"an image tensor has shape {tuple(view.shape)}, wanted (N, 3, S, S) with S {wanted}",
            where=where,
            hint="RGB views, channels first, square; the processor of the model cuts them so",
        )


def _wanted_sides(family: Family) -> str:
    if family.view_sides_px:
        return " or ".join(str(side) for side in family.view_sides_px)
    return f"a multiple of {VIEW_STEP_PX}"
