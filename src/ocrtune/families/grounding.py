"""An answer with boxes in the form of a family: where a text stands, then the text."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ocrtune.families.family import Family, Grounding

LAST = 999
"""The end of the scale of boxes; 0 is its begin."""

Outline = NDArray[np.float64]
"""(N, 2): x and y in pixels from the left upper corner."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom on the scale of 0 to 999."""


def ground(kind: str, box: Box, text: str, family: Family) -> str:
    """A text with its box before it, as `family` writes it.

    Args:
        kind: The label: `text`, `title`, `table` and the like.
        box: Where it stands.
        text: What stands there.
        family: Whose form of boxes is written.
    """
    return _FORMS[family.grounding](kind, box, text)


def box_of(outline: Outline, size: tuple[int, int]) -> Box:
    """Left, top, right and bottom of an outline on the scale of 0 to 999.

    Args:
        outline: (N, 2), x and y in pixels; points beyond the image count as its edge.
        size: (width, height) of the image.
    """
    left, top = outline.min(axis=0)
    right, bottom = outline.max(axis=0)
    width, height = size
    return (
        _on_scale(left, width),
        _on_scale(top, height),
        _on_scale(right, width),
        _on_scale(bottom, height),
    )


def _on_scale(place: float, side: int) -> int:
    # Down, not to the nearest: the last column and row are reached at the edge alone.
    return int(min(max(place / side, 0.0), 1.0) * LAST)


def _ref_det(kind: str, box: Box, text: str) -> str:
    return f"<|ref|>{kind}<|/ref|><|det|>[[{', '.join(map(str, box))}]]<|/det|>\n{text}"


def _det(kind: str, box: Box, text: str) -> str:
    return f"<|det|>{kind} [{', '.join(map(str, box))}]<|/det|>{text}"


_FORMS: Mapping[Grounding, Callable[[str, Box, str], str]] = MappingProxyType(
    {"ref-det": _ref_det, "det": _det}
)
