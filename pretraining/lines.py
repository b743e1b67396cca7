"""Lines of print drawn letter by letter, so that the place of every letter is known.

A picture is ink in 0 to 1 on a canvas, then a cut, then paper: what a line cut out of a scanned page looks like.
Everything random is drawn from the generator that is handed in; the same generator gives the same bytes.
"""

import io
import random
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = NDArray[np.float32]
Font = Path | ImageFont.FreeTypeFont
"""A font file, or a font in memory; its size does not matter."""

EM_SIZES_PX = (34, 40, 46)
"""Few of them, so that drawn letters can be used again; the views change the scale anyway."""

CANVAS_EM, BASELINE_EM, MARGIN_EM = 2.2, 1.5, 0.5
INKED = 0.2
"""More ink than this makes a pixel a part of a letter."""

MOST_SLOPE = 0.007
LETTERS_KEPT = 40_000
SENTENCE_ENDS = ".!?:;"
STEPS_OF_GREY = 255
LEAST_HEIGHT_TO_CLIP_PX = 24


@dataclass(frozen=True, slots=True)
class RenderedLine:
    """A picture of one line of print.

    Attributes:
        image: Greyscale, cut close to the ink.
        text: What it says.
        centres: The middle of each letter of `text`, as a share of the picture's width.
    """

    image: Image.Image
    text: str
    centres: Array


def render_line(text: str, font: Font, rng: random.Random) -> RenderedLine:
    """Draw `text` as one line of print: set, perhaps skewed, cut out of its page, printed and scanned.

    Args:
        text: One line; a letter that the font lacks is drawn as the font draws what it lacks.
        font: What to draw it in.
        rng: Where spacing, skew, damage and all else is drawn from.
    """
    ink, centres = _set_letters(text, font, rng)
    if rng.random() < 0.5:
        ink = _skew(ink, rng.uniform(-MOST_SLOPE, MOST_SLOPE))
    ink, left = _cut_out(ink, rng)
    shares = ((centres - left) / ink.shape[1]).astype(np.float32)
    return RenderedLine(_scan(_paper(_press(ink, rng), rng), rng), text, shares)


@cache
def _sized(font: Font, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout sets letter by letter, which is what is done here, and needs no further library.
    if isinstance(font, Path):
        return ImageFont.truetype(font, size, layout_engine=ImageFont.Layout.BASIC)
    return font.font_variant(size=size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=LETTERS_KEPT)
def _glyph(font: Font, size: int, letter: str) -> tuple[Array, float, int]:
    """Ink (canvas height, width), how far it moves the pen, and the pixels left of the pen."""
    sized, before = _sized(font, size), size // 3
    advance = sized.getlength(letter)
    canvas = Image.new("L", (int(advance) + 2 * before, int(CANVAS_EM * size)), 0)
    ImageDraw.Draw(canvas).text(
        (before, int(BASELINE_EM * size)), letter, font=sized, fill=STEPS_OF_GREY, anchor="ls"
    )
    return _shares(canvas), advance, before


def _set_letters(text: str, font: Font, rng: random.Random) -> tuple[Array, NDArray[np.float64]]:
    """The ink of a line and the column of the middle of each letter."""
    size = rng.choice(EM_SIZES_PX)
    tracking = rng.choice((0.0, 0.0, 0.0, rng.uniform(-0.01, 0.08) * size))
    space = (
        rng.uniform(0.8, 1.9) if rng.random() < 0.6 else rng.uniform(0.9, 1.2)
    )  # justified lines, and others
    pen, centres, placed = MARGIN_EM * size, [], []
    for before, letter in zip(" " + text, text, strict=False):
        ink, advance, left = _glyph(font, size, letter)
        if letter == " ":
            advance *= space * _space_factor(before, rng)
        else:
            placed.append((max(round(pen) - left, 0), ink))
        centres.append(pen + advance / 2)
        pen += advance + tracking
    canvas = np.zeros((int(CANVAS_EM * size), int(pen + size)), np.float32)
    for column, ink in placed:
        part = canvas[:, column : column + ink.shape[1]]
        np.maximum(part, ink[:, : part.shape[1]], out=part)
    return canvas, np.array(centres)


def _space_factor(before: str, rng: random.Random) -> float:
    """Old print leaves a wider space behind a sentence."""
    wide = before in SENTENCE_ENDS and rng.random() < 0.7
    return rng.uniform(1.2, 2.2) if wide else rng.uniform(0.85, 1.15)


def _skew(ink: Array, slope: float) -> Array:
    """Columns moved up or down around the middle one, so that no letter moves sideways."""
    picture = _picture(ink)
    affine = (1, 0, 0, slope, 1, -slope * picture.width / 2)
    turned = picture.transform(picture.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return _shares(turned)


def _cut_out(ink: Array, rng: random.Random) -> tuple[Array, int]:
    """The line as a layout analysis would cut it, and the column the cut begins at."""
    rows, columns = np.flatnonzero(ink.max(axis=1) > INKED), np.flatnonzero(ink.max(axis=0) > INKED)
    if not len(rows):
        return ink, 0
    looseness = 3 if rng.random() < 0.15 else 1
    above, below = (rng.randint(0, 3 * looseness) for _ in range(2))
    before, behind = (rng.randint(0, 7 * looseness) for _ in range(2))
    top, bottom = max(int(rows[0]) - above, 0), int(rows[-1]) + 1 + below
    left, right = max(int(columns[0]) - before, 0), int(columns[-1]) + 1 + behind
    if rng.random() < 0.06 and bottom - top > LEAST_HEIGHT_TO_CLIP_PX:
        top, bottom = top + rng.randint(0, 2), bottom - rng.randint(0, 2)
    cut = ink[top:bottom, left:right]
    if rng.random() < 0.4:
        cut = _with_neighbour(cut, ink[rows[0] : rows[-1] + 1, left:right], rng)
    return cut, left


def _with_neighbour(cut: Array, line: Array, rng: random.Random) -> Array:
    """`cut` with tips of the next line, or the one before, at one end: what a cut along a skewed line takes along."""
    height = rng.randint(1, max(1, line.shape[0] // 7))
    below = rng.random() < 0.65
    strip = line[:height] if below else line[-height:]
    strip = np.roll(strip, rng.randrange(1, 2 + strip.shape[1]), axis=1).copy()
    reach = int(strip.shape[1] * rng.uniform(0.1, 1.0))
    if rng.random() < 0.7:
        strip[:, reach:] = 0
    else:
        strip[:, : strip.shape[1] - reach] = 0
    gap = np.zeros((rng.randint(0, 2), strip.shape[1]), np.float32)
    return np.concatenate([cut, gap, strip] if below else [strip, gap, cut])


def _press(ink: Array, rng: random.Random) -> Array:
    """Ink as a press leaves it: soft, uneven, spread or starved."""
    picture = _picture(ink)
    if rng.random() < 0.7:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    ink = _shares(picture)
    if rng.random() < 0.5:
        ink = ink + rng.uniform(0.03, 0.2) * _patch(_stains(), ink.shape, rng) * ink
    if rng.random() < 0.6:
        threshold, softness = rng.uniform(0.25, 0.6), rng.uniform(0.05, 0.5)
        ink = np.clip((ink - threshold) / softness + 0.5, 0, 1)
    return ink.astype(np.float32)


def _paper(ink: Array, rng: random.Random) -> Image.Image:
    """Ink on paper: white and black, or greys with grain and stains."""
    paper, black = (1.0, 0.0) if rng.random() < 0.4 else (rng.uniform(0.7, 1.0), rng.uniform(0, 0.3))
    grey = paper - (paper - black) * ink
    if rng.random() < 0.5:
        grey = grey + rng.uniform(0, 0.05) * _patch(_grain(), ink.shape, rng)
        grey = grey + rng.uniform(0, 0.03) * _patch(_stains(), ink.shape, rng)
    return _picture(grey)


def _scan(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A coarser resolution, a JPEG, or neither."""
    if rng.random() < 0.5:
        scale = rng.uniform(0.6, 1.0)
        size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    if rng.random() < 0.2:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(30, 90))
        picture = Image.open(buffer)
        picture.load()
    return picture


def _shares(picture: Image.Image) -> Array:
    return np.asarray(picture, np.float32) / np.float32(STEPS_OF_GREY)


def _picture(shares: Array) -> Image.Image:
    return Image.fromarray((np.clip(shares, 0, 1) * STEPS_OF_GREY).astype(np.uint8))


@cache
def _grain() -> Array:
    return np.random.default_rng(0).standard_normal((256, 4096)).astype(np.float32)


@cache
def _stains() -> Array:
    coarse = Image.fromarray(np.random.default_rng(1).standard_normal((16, 256)).astype(np.float32))
    return np.asarray(coarse.resize((4096, 256), Image.Resampling.BICUBIC))


def _patch(pool: Array, shape: tuple[int, ...], rng: random.Random) -> Array:
    """A piece of `pool` of a (height, width), from anywhere in it."""
    # A line wider than the pool sees it twice.
    repeats = tuple(-(-(side + 1) // have) for side, have in zip(shape, pool.shape, strict=True))
    pool = pool if repeats == (1, 1) else np.tile(pool, repeats)
    top, left = (rng.randrange(have - side) for side, have in zip(shape, pool.shape, strict=True))
    return pool[top : top + shape[0], left : left + shape[1]]
