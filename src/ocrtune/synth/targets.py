"""Blocks → the text a model is to answer: plain, or with boxes in the family's form."""

from collections.abc import Sequence

from ocrtune.families import Family
from ocrtune.families.grounding import box_of, ground
from ocrtune.synth.config import Target
from ocrtune.synth.sheet import Block


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
    return "\n\n".join(
        ground(block.kind, box_of(block.outline, size), block.target, family) for block in blocks
    )
