"""A line of print as it is cut out of a scanned page."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ocrtune.synth.chance import happens
from ocrtune.synth.drawing import FULL_INK, Box, Canvas, Glyph, Grey, Pen, make_block, needs_shaping
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.layouts.galley import pieces_of, words_of
from ocrtune.synth.sheet import Points, Sheet
from ocrtune.synth.texts import TextSource

EM_SIZES_PX = (34, 40, 46)
"""Few of them, so that drawn letters can be used again; degradations and views change the scale anyway."""

MARGIN_EM = 0.5
ROOM_PX = 10
"""Bare paper above and below: as much as the loosest cut takes along."""

INKED = round(0.2 * FULL_INK)
"""More ink than this makes a pixel a part of a letter."""

SENTENCE_ENDS = ".!?:;؟।"
LEAST_HEIGHT_TO_CLIP_PX = 24
NO_LETTERS = np.empty((0, 2))


class Spacing(NamedTuple):
    """How wide a line is set.

    Attributes:
        space: Width of a space, in the face's own.
        tracking_em: Between letters.
    """

    space: float
    tracking_em: float


class Cut(NamedTuple):
    """A piece of a canvas.

    Attributes:
        grey: Its ink.
        left: Column of the canvas that its first column was.
        top: Row of the canvas that its first row was; negative where something was put above.
        box: Bounds of the line's ink in the piece.
    """

    grey: Grey
    left: int
    top: int
    box: Box


def make_line(source: TextSource, fonts: Fonts, rng: random.Random, letters: int) -> Sheet | None:
    """One line, cut close to its ink.

    Args:
        source: What it says.
        fonts: What it is set in.
        rng: Where all that is random is drawn from.
        letters: About how long it is.

    Returns:
        The line; None if no font has its letters. The place of letters that join is not known.
    """
    text = source.line(rng, letters)
    face = fonts.draw(rng, text.text)
    if face is None:
        return None
    pen = Pen(face, rng.choice(EM_SIZES_PX), text.language)
    spacing = _draw_spacing(rng)
    set_type = _set_words if pen.right_to_left or needs_shaping(text.text) else _set_letters
    grey, places = set_type(text.text, pen, spacing, rng)
    cut = _cut_out(grey, rng)
    if cut is None:
        return None
    return Sheet(
        ink=cut.grey.astype(np.float32) / np.float32(FULL_INK),
        blocks=(make_block("text", text.text, cut.box),),
        letters=places - (cut.left, cut.top) if len(places) else places,
        em_px=float(pen.size_px),
        facts={
            "font": face.family,
            "style": face.style,
            "size_px": pen.size_px,
            "spacing": {"space": round(spacing.space, 3), "tracking_em": round(spacing.tracking_em, 3)},
        },
    )


def _draw_spacing(rng: random.Random) -> Spacing:
    tracking = rng.choice((0.0, 0.0, 0.0, rng.uniform(-0.01, 0.08)))
    justified = happens(rng, 0.6)
    return Spacing(rng.uniform(0.8, 1.9) if justified else rng.uniform(0.9, 1.2), tracking)


def _set_letters(text: str, pen: Pen, spacing: Spacing, rng: random.Random) -> tuple[Grey, Points]:
    """A line letter by letter, and the middle of each letter's width and of the x-height."""
    tracking = spacing.tracking_em * pen.size_px
    x, middles, placed = MARGIN_EM * pen.size_px, [], []
    for before, letter in zip(" " + text, text, strict=False):
        glyph, advance = pen.letter(letter), pen.letter(letter).advance
        if letter == " ":
            advance *= spacing.space * _space_factor(before, rng)
        placed.append((x, glyph))
        middles.append(x + advance / 2)
        x += advance + tracking
    canvas, baseline = _draw(placed, x, pen)
    return canvas.grey, np.column_stack([middles, np.full(len(middles), baseline - pen.x_height_px / 2)])


def _set_words(text: str, pen: Pen, spacing: Spacing, rng: random.Random) -> tuple[Grey, Points]:
    """A line word by word, for letters that join."""
    pieces = pieces_of(words_of(text, right_to_left=pen.right_to_left))
    gaps = [
        pen.space_px * spacing.space * _space_factor(piece[-1], rng) for piece in pieces
    ]  # behind each piece
    if pen.right_to_left:
        pieces, gaps = pieces[::-1], [*gaps[-2::-1], 0.0]
    x, placed = MARGIN_EM * pen.size_px, []
    for piece, gap in zip(pieces, gaps, strict=True):
        glyph = pen.word(piece)
        placed.append((x, glyph))
        x += glyph.advance + gap
    return _draw(placed, x, pen)[0].grey, NO_LETTERS


def _draw(placed: Sequence[tuple[float, Glyph]], end: float, pen: Pen) -> tuple[Canvas, int]:
    """Glyphs on a canvas as high as they need, and the row of the baseline."""
    above = max((-glyph.top for _, glyph in placed), default=0)
    below = max((glyph.top + glyph.ink.shape[0] for _, glyph in placed), default=0)
    baseline = max(above, 0) + ROOM_PX
    canvas = Canvas(int(end + pen.size_px), baseline + max(below, 0) + ROOM_PX)
    for x, glyph in placed:
        canvas.put(glyph, x, baseline)
    return canvas, baseline


def _space_factor(before: str, rng: random.Random) -> float:
    """Old print leaves a wider space behind a sentence."""
    wide = before in SENTENCE_ENDS and happens(rng, 0.7)
    return rng.uniform(1.2, 2.2) if wide else rng.uniform(0.85, 1.15)


def _cut_out(grey: Grey, rng: random.Random) -> Cut | None:
    """The line as a layout analysis would cut it; None if there is no ink."""
    rows = np.flatnonzero(grey.max(axis=1) > INKED)
    if not len(rows):
        return None
    columns = np.flatnonzero(grey.max(axis=0) > INKED)
    looseness = 3 if happens(rng, 0.15) else 1
    above, below = (rng.randint(0, 3 * looseness) for _ in range(2))
    before, behind = (rng.randint(0, 7 * looseness) for _ in range(2))
    top, bottom = max(int(rows[0]) - above, 0), int(rows[-1]) + 1 + below
    left, right = max(int(columns[0]) - before, 0), int(columns[-1]) + 1 + behind
    if happens(rng, 0.06) and bottom - top > LEAST_HEIGHT_TO_CLIP_PX:
        top, bottom = top + rng.randint(0, 2), bottom - rng.randint(0, 2)
    piece = grey[top:bottom, left:right]
    first, last = max(int(rows[0]) - top, 0), min(int(rows[-1]) + 1 - top, piece.shape[0])
    cut = Cut(piece, left, top, (int(columns[0]) - left, first, int(columns[-1]) + 1 - left, last))
    if happens(rng, 0.4):
        cut = _with_neighbour(cut, grey[rows[0] : rows[-1] + 1, left:right], rng)
    return cut


def _with_neighbour(cut: Cut, line: Grey, rng: random.Random) -> Cut:
    """`cut` with tips of the next line, or the one before, at one end: what a cut along a skewed line takes along."""
    height = rng.randint(1, max(1, line.shape[0] // 7))
    below = happens(rng, 0.65)
    strip = line[:height] if below else line[-height:]
    strip = np.roll(strip, rng.randrange(1, 2 + strip.shape[1]), axis=1)
    reach = int(strip.shape[1] * rng.uniform(0.1, 1.0))
    if happens(rng, 0.7):
        strip[:, reach:] = 0
    else:
        strip[:, : strip.shape[1] - reach] = 0
    gap = np.zeros((rng.randint(0, 2), strip.shape[1]), np.uint8)
    if below:
        return cut._replace(grey=np.concatenate([cut.grey, gap, strip]))
    added = height + len(gap)
    left, top, right, bottom = cut.box
    return Cut(
        np.concatenate([strip, gap, cut.grey]),
        cut.left,
        cut.top - added,
        (left, top + added, right, bottom + added),
    )
