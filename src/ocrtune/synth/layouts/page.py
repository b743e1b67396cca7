"""A page filled from top to bottom, column by column."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ocrtune.synth.drawing import Box, Canvas, make_block
from ocrtune.synth.layouts.galley import Galley
from ocrtune.synth.sheet import Block

FEWEST_LINES = 2
"""Fewer lines of a paragraph do not stand alone at the foot of a column, if it has more."""


class Piece(Protocol):
    """What stands on a page as a whole, such as a table."""

    @property
    def kind(self) -> str:
        """Its label."""

    @property
    def target(self) -> str:
        """What is to be read there."""

    @property
    def height_px(self) -> float:
        """How much of a column it takes."""

    def put(self, canvas: Canvas, left: float, top: float) -> Box | None:
        """Put it on a canvas; the bounds of its ink."""


@dataclass(slots=True)
class Filling:
    """Columns of a page that are being filled.

    Attributes:
        canvas: The page.
        lefts: Left edge of each column, in reading order.
        top: Upper edge of all columns.
        bottom: Lower edge of all columns.
        y: Where the current column is filled to.
        column: The current column.
        blocks: What stands on the page so far, in reading order.
    """

    canvas: Canvas
    lefts: Sequence[float]
    top: float
    bottom: float
    y: float = -1.0
    column: int = 0
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.y = self.top

    @property
    def full(self) -> bool:
        """No column is left."""
        return self.column >= len(self.lefts)

    def skip(self, height_px: float) -> None:
        """Leave room, except at the head of a column."""
        if self.y > self.top:
            self.y += height_px

    def add_lines(self, kind: str, galley: Galley, *, keep_px: float = 0.0) -> None:
        """Put lines, in the next column where this one ends; a block for each column, lines that find none left out.

        Args:
            kind: Of the blocks.
            galley: The lines.
            keep_px: Room that is to be left below, in the same column.
        """
        while galley.lines and not self.full:
            room = int((self.bottom - self.y - keep_px) // galley.leading_px)
            if room < min(len(galley.lines), FEWEST_LINES):
                self._turn()
                continue
            head, galley = galley.split(room)
            self._note(kind, head.text, head.put(self.canvas, self.lefts[self.column], self.y))
            self.y += head.height_px

    def add_piece(self, piece: Piece) -> bool:
        """Put a piece in this column or the next; False where it fits in none."""
        if self.bottom - self.y < piece.height_px:
            self._turn()
        if self.full or self.bottom - self.y < piece.height_px:
            return False
        self._note(piece.kind, piece.target, piece.put(self.canvas, self.lefts[self.column], self.y))
        self.y += piece.height_px
        return True

    def _note(self, kind: str, target: str, box: Box | None) -> None:
        if box is not None:
            self.blocks.append(make_block(kind, target, box))

    def _turn(self) -> None:
        self.column += 1
        self.y = self.top


@dataclass(frozen=True, slots=True)
class Margins:
    """Bare edges of a page, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def draw_margins(rng: random.Random, width_px: int, height_px: int) -> Margins:
    """Margins as books and letters have them."""
    left, right = (round(rng.uniform(0.05, 0.11) * width_px) for _ in range(2))
    top, bottom = (round(rng.uniform(0.05, 0.1) * height_px) for _ in range(2))
    return Margins(left, top, right, bottom)
