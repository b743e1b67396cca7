"""Letters, words and rules as ink on a canvas.

A letter is drawn by itself, so that its place is known; a word is shaped as a whole, so that its letters join, stack
and kern. Both are kept, because drawing them costs more than all else about a page.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ocrtune.synth.fonts import Face
from ocrtune.synth.sheet import Block, Ink, Points
from ocrtune.synth.texts import is_right_to_left

Grey = NDArray[np.uint8]
"""(height, width), 0 for bare paper and 255 for full ink: a quarter of the bytes of `Ink`."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are the first column and row without ink."""

FULL_INK = 255
LETTERS_KEPT, WORDS_KEPT, FONTS_KEPT = 60_000, 4_096, 512
POINTS_A_SIDE = 8
X_HEIGHT_EM = 0.5

_SHAPED = re.compile("[\u0300-\u036f\u0590-\u109f\u1780-\u18af\ufb1d-\ufdff\ufe70-\ufefc]")
"""Combining marks, and the scripts whose letters join, stack or change places: Hebrew to Myanmar, Khmer, Mongolian."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A letter or word, cut close to its ink.

    Attributes:
        ink: How much ink.
        left: Pixels from the pen to its first column.
        top: Pixels from the baseline to its first row, negative above the baseline.
        advance: How far it moves the pen.
    """

    ink: Grey
    left: int
    top: int
    advance: float


@dataclass(frozen=True, slots=True)
class Pen:
    """A face at a size, writing a language.

    Attributes:
        face: What to draw in.
        size_px: Em size.
        language: Its code; tells direction, and which forms of its letters a font is asked for.
    """

    face: Face
    size_px: int
    language: str

    @property
    def right_to_left(self) -> bool:
        """Which way lines run."""
        return is_right_to_left(self.language)

    @property
    def space_px(self) -> float:
        """Width of a space."""
        return self.letter(" ").advance

    @property
    def x_height_px(self) -> float:
        """Height of a small letter without ascender; half an em where the face has no x."""
        if ord("x") not in self.face.characters:
            return X_HEIGHT_EM * self.size_px
        return float(-self.letter("x").top)

    def letter(self, letter: str) -> Glyph:
        """`letter` by itself, without kerning."""
        return _letter(self.face.path, self.face.index, self.size_px, letter)

    def word(self, word: str) -> Glyph:
        """`word`, or several with spaces between, shaped as a whole."""
        direction = "rtl" if self.right_to_left else "ltr"
        return _word(self.face.path, self.face.index, self.size_px, word, (direction, self.language))

    def resized(self, size_px: float) -> "Pen":
        """The same face at another size."""
        return Pen(self.face, round(size_px), self.language)


class Canvas:
    """Where ink is put.

    Attributes:
        grey: What was put so far.
    """

    def __init__(self, width: int, height: int) -> None:
        self.grey: Grey = np.zeros((height, width), np.uint8)

    @property
    def ink(self) -> Ink:
        """What was put so far, in 0 to 1."""
        return self.grey.astype(np.float32) / np.float32(FULL_INK)

    def put(self, glyph: Glyph, pen_x: float, baseline: float) -> Box | None:
        """Put a glyph where the pen stands; where two overlap, the darker one counts.

        Returns:
            Its bounds; None where no ink of it is on the canvas.
        """
        height, width = self.grey.shape
        left, top = round(pen_x) + glyph.left, round(baseline) + glyph.top
        x, y = max(left, 0), max(top, 0)
        right, bottom = min(left + glyph.ink.shape[1], width), min(top + glyph.ink.shape[0], height)
        if x >= right or y >= bottom:
            return None
        part = self.grey[y:bottom, x:right]
        np.maximum(part, glyph.ink[y - top : bottom - top, x - left : right - left], out=part)
        return x, y, right, bottom

    def rule(self, box: Box, *, grey: int = FULL_INK, period_px: int = 0) -> Box:
        """A filled box: a line where it is thin, dots or dashes along x where a period is given, each half of it.

        Returns:
            The box.
        """
        left, top, right, bottom = (max(0, side) for side in box)
        step = period_px or max(1, right - left)
        for x in range(left, right, step):
            end = min(right, x + -(-step // 2)) if period_px else right
            part = self.grey[top:bottom, x:end]
            np.maximum(part, np.uint8(grey), out=part)
        return box

    def frame(self, box: Box, *, thickness_px: int = 1, grey: int = FULL_INK) -> Box:
        """The four sides of a box, inside it.

        Returns:
            The box.
        """
        left, top, right, bottom = box
        for side in (
            (left, top, right, top + thickness_px),
            (left, bottom - thickness_px, right, bottom),
            (left, top, left + thickness_px, bottom),
            (right - thickness_px, top, right, bottom),
        ):
            self.rule(side, grey=grey)
        return box


def needs_shaping(text: str) -> bool:
    """Whether letters of `text` join, stack or change places, so that they cannot be drawn one by one."""
    return _SHAPED.search(text) is not None


def bounds_of(boxes: Iterable[Box | None]) -> Box | None:
    """The box around boxes; None around nothing."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def outline_of(box: Box) -> Points:
    """Points around a box, clockwise from the left upper corner, 8 between two corners.

    So many, because a curved page bends sides, and the bounds of four corners would then cut ink off.
    """
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
    shares = np.arange(POINTS_A_SIDE + 1)[:, None] / (POINTS_A_SIDE + 1)
    sides = [
        here + shares * (there - here)
        for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True)
    ]
    return np.concatenate(sides)


def make_block(kind: str, target: str, box: Box) -> Block:
    """A block with an outline around `box`."""
    return Block(kind=kind, target=target, outline=outline_of(box))


@lru_cache(maxsize=FONTS_KEPT)
def _sized(path: Path, index: int, size_px: int, engine: ImageFont.Layout) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size_px, index=index, layout_engine=engine)


@lru_cache(maxsize=LETTERS_KEPT)
def _letter(path: Path, index: int, size_px: int, letter: str) -> Glyph:
    return _drawn(_sized(path, index, size_px, ImageFont.Layout.BASIC), letter, None, None)


@lru_cache(maxsize=WORDS_KEPT)
def _word(path: Path, index: int, size_px: int, word: str, way: tuple[str, str]) -> Glyph:
    return _drawn(_sized(path, index, size_px, ImageFont.Layout.RAQM), word, *way)


def _drawn(font: ImageFont.FreeTypeFont, text: str, direction: str | None, language: str | None) -> Glyph:
    bounds = font.getbbox(text, direction=direction, language=language, anchor="ls")
    left, top = (int(np.floor(side)) for side in bounds[:2])
    right, bottom = (int(np.ceil(side)) for side in bounds[2:])
    canvas = Image.new("L", (max(0, right - left), max(0, bottom - top)), 0)
    if canvas.width and canvas.height:
        ImageDraw.Draw(canvas).text(
            (-left, -top), text, FULL_INK, font, anchor="ls", direction=direction, language=language
        )
    advance = font.getlength(text, direction=direction, language=language)
    return _cut_close(np.asarray(canvas), left, top, advance)


def _cut_close(grey: Grey, left: int, top: int, advance: float) -> Glyph:
    """A font's own bounds begin at the pen even where the ink begins later."""
    rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    if not len(rows):
        return Glyph(np.zeros((0, 0), np.uint8), 0, 0, advance)
    ink = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return Glyph(ink, left + int(columns[0]), top + int(rows[0]), advance)
