"""What the scanner or the camera adds."""

import io
import random

import numpy as np
from PIL import Image

from ocrtune.synth.degradations.draws import draw_grain
from ocrtune.synth.degradations.impression import Degradation, Impression, to_picture, to_shares

MOST_NOISE = 0.11
SMALLEST_EM_PX = 12
"""Smaller letters are hard to read, whatever they were before."""

SHORTEST_SIDE_PX = 8
BEST_QUALITY, WORST_QUALITY = 95, 20


def _noise(impression: Impression, strength: float, rng: random.Random) -> None:
    impression.need_paper()
    impression.shares = impression.shares + np.float32(MOST_NOISE * strength) * draw_grain(
        impression.shares, rng
    )


def _downscale(impression: Impression, strength: float, _: random.Random) -> None:
    least = min(1.0, SMALLEST_EM_PX / impression.em_px)
    share = 1 - strength * (1 - least)
    old = (impression.width, impression.height)
    size = tuple(max(min(SHORTEST_SIDE_PX, side), round(side * share)) for side in old)
    picture = to_picture(impression.shares).resize((size[0], size[1]), Image.Resampling.BILINEAR)
    impression.shares = to_shares(picture)
    factors = np.array(size) / np.array(old)
    impression.outlines = [outline * factors for outline in impression.outlines]
    impression.letters = impression.letters * factors
    impression.em_px *= float(factors[1])


def _jpeg(impression: Impression, strength: float, _: random.Random) -> None:
    impression.need_paper()
    buffer = io.BytesIO()
    quality = round(BEST_QUALITY - (BEST_QUALITY - WORST_QUALITY) * strength)
    to_picture(impression.shares).save(buffer, "JPEG", quality=quality)
    impression.shares = to_shares(Image.open(buffer))


SCANNER = (
    Degradation("noise", "scanner", "Every pixel is a little off, as in poor light.", _noise),
    Degradation(
        "downscale", "scanner", "A lower resolution, down to letters that are just legible.", _downscale
    ),
    Degradation("jpeg", "scanner", "Saved as a JPEG of low quality.", _jpeg),
)
