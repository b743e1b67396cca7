"""A page on its way from ink to image, which degradations change one after the other."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ocrtune.synth.sheet import Ink, Points, Sheet

Shares = NDArray[np.float32]
"""(height, width), or (height, width, 3) once something on it has a colour; from 0 to 1."""

Kind = Literal["ink", "paper", "geometry", "scanner"]

STEPS_OF_GREY = 255
LINE_IS_WIDER = 8
LINE_IS_LOWER_EM = 2.5
DARKEST_PAPER = 0.05


@dataclass(slots=True, kw_only=True)
class Impression:
    """Ink at first; brightness from the first step on that needs paper.

    Attributes:
        shares: Ink, 1 for full; if `on_paper`, brightness, 1 for white.
        on_paper: Which of the two `shares` are.
        tint: Red, green and blue of white paper; grey paper if None. Kept apart, so that grey steps stay fast.
        outlines: One (N, 2) for each block of the sheet.
        letters: (letters, 2).
        em_px: What lengths are measured in; becomes smaller when the picture does.
    """

    shares: Shares
    on_paper: bool = False
    tint: tuple[float, float, float] | None = None
    outlines: list[Points]
    letters: Points
    em_px: float

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.shares.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.shares.shape[1])

    @property
    def is_line(self) -> bool:
        """Whether it is one line of text, which has little room above and below."""
        return self.width > LINE_IS_WIDER * self.height or self.height < LINE_IS_LOWER_EM * self.em_px

    def need_paper(self) -> None:
        """Turn ink into black on white, if that has not happened yet."""
        if not self.on_paper:
            self.shares, self.on_paper = 1 - self.shares, True

    def need_colour(self) -> None:
        """Turn grey into three channels, if that has not happened yet."""
        self.need_paper()
        if self.shares.ndim == 2:  # noqa: PLR2004 - a picture without channels
            self.shares = np.repeat(self.shares[:, :, None], 3, axis=2)

    def split(self) -> tuple[Shares, Shares | float]:
        """What of it is ink, and the brightness of the paper below; scanned ink is parted from its paper again."""
        if not self.on_paper:
            return self.shares, 1.0
        paper = self._paper_level()
        return np.clip(1 - self.shares / paper, 0, 1), paper

    def change_ink(self, change: Callable[[Shares], Shares]) -> None:
        """Let `change` work on the ink, on paper or not; the paper stays as it is."""
        ink, paper = self.split()
        changed = np.clip(change(ink), 0, 1)
        self.shares = paper * (1 - changed) if self.on_paper else changed

    def image(self) -> Image.Image:
        """The picture it has become: mode L, or RGB."""
        self.need_paper()
        picture = to_picture(self.shares)
        if self.tint is None:
            return picture
        channels = picture.split() if picture.mode == "RGB" else (picture,) * 3
        tables = [[round(grey * share) for grey in range(STEPS_OF_GREY + 1)] for share in self.tint]
        return Image.merge(
            "RGB", [channel.point(table) for channel, table in zip(channels, tables, strict=True)]
        )

    def _paper_level(self) -> Shares:
        """The brightest within about an em of every pixel, smoothly: letters leave paper between them."""
        picture = to_picture(self.shares)
        coarse = picture.reduce(max(1, round(self.em_px / 8)))
        level = coarse.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(3))
        return np.maximum(to_shares(level.resize(picture.size, Image.Resampling.BILINEAR)), DARKEST_PAPER)


Apply = Callable[[Impression, float, random.Random], None]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One thing that can happen to a page.

    Attributes:
        name: What a recipe calls it.
        kind: What it happens to.
        description: One sentence for people.
        apply: Changes an impression in place, with a strength above 0 and up to 1.
    """

    name: str
    kind: Kind
    description: str
    apply: Apply


def impression_of(sheet: Sheet) -> Impression:
    """A sheet as degradations take it; they make new arrays, so that the sheet stays as it is."""
    ink: Ink = np.asarray(sheet.ink, np.float32)
    outlines = [np.asarray(block.outline, np.float64) for block in sheet.blocks]
    letters = np.asarray(sheet.letters, np.float64).reshape(-1, 2)
    return Impression(shares=ink, outlines=outlines, letters=letters, em_px=sheet.em_px)


def to_picture(shares: Shares) -> Image.Image:
    """Mode L or RGB."""
    return Image.fromarray((np.clip(shares, 0, 1) * STEPS_OF_GREY + 0.5).astype(np.uint8))


def to_shares(picture: Image.Image) -> Shares:
    """The opposite of `to_picture`."""
    return np.asarray(picture, np.float32) / np.float32(STEPS_OF_GREY)
