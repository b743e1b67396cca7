"""What is drawn at random; fields are cut out of one pool, since drawing each anew would take most of the time."""

import math
import random
from functools import cache

import numpy as np
from PIL import Image

from ocrtune.synth.degradations.impression import Shares

POOL_ROWS, POOL_COLUMNS = 1024, 2048


def draw_grain(shares: Shares, rng: random.Random) -> Shares:
    """Independent normal noise for every pixel of `shares`, alike in all its channels."""
    height, width = shares.shape[:2]
    return _channels(_piece(height, width, rng), shares)


def draw_clouds(shares: Shares, period_px: float, rng: random.Random) -> Shares:
    """Smooth noise of about normal distribution whose hills are `period_px` apart, alike in all channels of `shares`."""
    height, width = shares.shape[:2]
    period = max(period_px, 1.0)
    rows, columns = math.ceil(height / period) + 3, math.ceil(width / period) + 3
    coarse = Image.fromarray(_piece(rows, columns, rng))
    left, top = rng.uniform(1, 2), rng.uniform(1, 2)
    box = (left, top, left + width / period, top + height / period)
    field = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC, box))
    return _channels(field, shares)


@cache
def _pool() -> Shares:
    pool = np.random.Generator(np.random.PCG64(0)).standard_normal((POOL_ROWS, POOL_COLUMNS), np.float32)
    pool.flags.writeable = False
    return pool


def _piece(height: int, width: int, rng: random.Random) -> Shares:
    # A picture larger than the pool sees it more than once, too far apart to be noticed.
    pool = _pool()
    repeats = (-(-(height + 1) // POOL_ROWS), -(-(width + 1) // POOL_COLUMNS))
    if repeats != (1, 1):
        pool = np.tile(pool, repeats)
    top, left = rng.randrange(pool.shape[0] - height), rng.randrange(pool.shape[1] - width)
    return pool[top : top + height, left : left + width]


def _channels(field: Shares, shares: Shares) -> Shares:
    return field if shares.ndim == field.ndim else field[:, :, None]
