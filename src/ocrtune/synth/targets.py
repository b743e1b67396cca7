"""Blocks → the text a model is to answer: plain, or with boxes in the family's form."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ocrtune.families import Family
from ocrtune.synth.config import Target
from ocrtune.synth.sheet import Block, Points

LAST = 999
"""The end of the scale of boxes; 0 is its begin."""

_Form = Callable[[str, tuple[int, int, int, int], str], str]


def write_target(blocks: Sequence[Block], size: tuple[int, int], *, target: Target, family: Family) -> str:
    """The answer for a page.

    Args:
        blocks: In reading order.
        size: (width, height) of the image that outlines are measured on.
        target: `plain` for texts alone, `grounded` for a box before each.
        family: Whose form of boxes is written.

    Returns:
        Blocks with an empty line between them; a block's own text as it is.
    """
    if target == "plain":
        return "\n\n".join(block.target for block in blocks)
    write = _FORMS[family.grounding]
    return "\n\n".join(write(block.kind, box_of(block.outline, size), block.target) for block in blocks)


def box_of(outline: Points, size: tuple[int, int]) -> tuple[int, int, int, int]:
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


def _ref_det(kind: str, box: tuple[int, int, int, int], text: str) -> str:
    return f"<|ref|>{kind}<|/ref|><|det|>[[{', '.join(map(str, box))}]]<|/det|>\n{text}"


def _det(kind: str, box: tuple[int, int, int, int], text: str) -> str:
    return f"<|det|>{kind} [{', '.join(map(str, box))}]<|/det|>{text}"


_FORMS: Mapping[str, _Form] = MappingProxyType({"ref-det": _ref_det, "det": _det})
