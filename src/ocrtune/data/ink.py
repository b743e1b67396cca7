"""What stands on a picture, roughly and fast: how much ink, and how high its small letters are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_PIXELS = 2_000_000
"""Larger pictures are looked at reduced by a whole number; A4 at 300 dpi by 3."""

RULE_PX = 32
"""A power of two."""

_PAPER_BLOCK_PX = 32
_LEAST_CONTRAST = 12.0
_NOISE_FACTOR = 4.0
_ROUGHEST_PAPER = 20.0
_MAD_TO_DEVIATION = 1.4826

_STRIPS = 14
_NARROWEST_STRIP_PX = 24
_WIDEST_STRIP_PX = 96
_CORE_LEVEL = 0.4
"""Share of a line's densest row that its rows between baseline and mean line have at least."""

_FEWEST_WIDE = 3.0
"""Strips are this many times as wide as small letters are high at least."""

_FEWEST_CORES = 5
_NEAR = 0.35
_LEAST_ALIKE = 0.5
"""Share of the heights that are within `_NEAR` of their median at least: lines are alike, pictures are not."""

_SMALLEST_PX = 4.0
"""Dotted lines look like letters of less."""
_MOST_INK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ink:
    """What was seen of a picture's ink.

    Attributes:
        ink_px: Pixels of ink when the picture is made at most `MOST_PIXELS` large.
        letters: About how many letters stand in its lines; 0 where no lines are seen.
        x_height_px: Height of small letters in pixels of the picture itself, the median over its lines; of capitals
            where a line has nothing else. None where no lines are seen.
    """

    ink_px: int
    letters: int
    x_height_px: float | None


def look_for_ink(image: Image.Image) -> Ink:
    """Ink of a picture, RGB or grey, dark on light or light on dark."""
    factor = _reduction(image.size)
    grey = image.convert("L")
    if factor > 1:
        grey = grey.reduce(factor)
    ink = _find_ink(np.asarray(grey))
    ink_px = int(np.count_nonzero(ink))
    if not 0 < ink_px < _MOST_INK * ink.size:
        return Ink(ink_px=ink_px, letters=0, x_height_px=None)
    x_height, letters = _measure_lines(ink)
    return Ink(ink_px=ink_px, letters=letters, x_height_px=None if x_height is None else x_height * factor)


def _reduction(size: tuple[int, int]) -> int:
    width, height = size
    factor = 1
    while (width // factor) * (height // factor) > MOST_PIXELS:
        factor += 1
    return factor


def _find_ink(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(height, width): where a picture is darker than the paper around; on a dark picture, lighter."""
    levels = grey if np.median(grey[::7, ::7]) >= 96 else 255 - grey  # noqa: PLR2004 - far below any paper
    darkness = _paper(levels).astype(np.int16) - levels
    sample = darkness[::3, ::3]
    middle = np.median(sample)
    noise = float(np.median(np.abs(sample - middle))) * _MAD_TO_DEVIATION
    # What is rough all over is no paper, and nothing says that it is empty.
    certain = float(middle) + _NOISE_FACTOR * noise if noise <= _ROUGHEST_PAPER else 0.0
    least = max(_LEAST_CONTRAST, certain)
    # Letters are half as dark as the darkest of them at their edges.
    beyond = sample[sample > least]
    darkest = float(np.percentile(beyond, 90)) if beyond.size else least
    return darkness > max(least, 0.4 * darkest)


def _paper(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(height, width): how light the paper is around each pixel."""
    block = _PAPER_BLOCK_PX
    height, width = levels.shape
    padded = np.pad(levels, ((0, -height % block), (0, -width % block)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block)
    lightest = np.percentile(blocks[:, ::4, :, ::4], 85, axis=(1, 3)).astype(np.uint8)
    paper = np.repeat(np.repeat(lightest, block, axis=0), block, axis=1)
    return paper[:height, :width]


def _measure_lines(ink: NDArray[np.bool_]) -> tuple[float | None, int]:
    """Median height of the cores of text lines in pixels, and about how many letters there are."""
    ink = _without_rules(ink)
    width = ink.shape[1]
    narrow = int(np.clip(width // _STRIPS, min(_NARROWEST_STRIP_PX, width), _WIDEST_STRIP_PX))
    small, large = _measure_strips(ink, narrow), _measure_strips(ink, min(3 * narrow, width))
    # Letters too large for narrow strips fall apart there; lines of small ones that lie askew run together in wide ones.
    if large[0] is not None and narrow < _FEWEST_WIDE * large[0]:
        return large
    if small[0] is not None and narrow < _FEWEST_WIDE * small[0]:
        return None, 0
    return small


def _without_rules(ink: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Ink without what runs on along a row for `RULE_PX` and more, as rules of tables and no letters do."""
    if ink.shape[1] < RULE_PX:
        return ink
    long = ink
    length = 1
    while length < RULE_PX:
        long = long[:, :-length] & long[:, length:]
        length *= 2
    rules = np.zeros_like(ink)
    rules[:, : long.shape[1]] = long
    length = 1
    while length < RULE_PX:
        rules[:, length:] |= rules[:, :-length].copy()
        length *= 2
    return ink & ~rules


def _measure_strips(ink: NDArray[np.bool_], strip: int) -> tuple[float | None, int]:
    """The same, with the picture cut into strips of a width in pixels, which need not lie straight."""
    count = ink.shape[1] // strip
    rows = ink[:, : count * strip].reshape(ink.shape[0], count, strip).sum(axis=2, dtype=np.int32)
    heights = np.array([height for column in rows.T for height in _cores(column)])
    heights = heights[heights >= _SMALLEST_PX]
    if len(heights) < _FEWEST_CORES:
        return None, 0
    middle = float(np.median(heights))
    near = heights[np.abs(heights - middle) <= _NEAR * middle]
    if len(near) < max(_FEWEST_CORES, _LEAST_ALIKE * len(heights)):
        return None, 0
    x_height = float(np.median(near))
    return x_height, round(len(near) * strip / x_height)


def _cores(profile: NDArray[np.int32]) -> Iterator[float]:
    """Heights of the runs of rows that have much ink, measured between rows where the ink begins and ends."""
    inked = profile[profile > 0]
    if inked.size < _FEWEST_CORES:
        return
    level = _CORE_LEVEL * float(np.percentile(inked, 95))
    padded = np.concatenate([[0], profile, [0]]).astype(float)
    above = padded > level
    starts = np.flatnonzero(~above[:-1] & above[1:])
    ends = np.flatnonzero(above[:-1] & ~above[1:])
    upper = (level - padded[starts]) / (padded[starts + 1] - padded[starts])
    lower = (level - padded[ends + 1]) / (padded[ends] - padded[ends + 1])
    yield from (ends + lower) - (starts + upper)
