"""A form: printed labels, and values written on lines and into boxes."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ocrtune.synth.chance import happens
from ocrtune.synth.config import PaperSection
from ocrtune.synth.drawing import FULL_INK, Box, Canvas, Pen, bounds_of, make_block
from ocrtune.synth.fonts import Face, Fonts
from ocrtune.synth.languages import with_capital
from ocrtune.synth.layouts.galley import Word, put_line, width_of, words_of
from ocrtune.synth.layouts.page import draw_margins
from ocrtune.synth.layouts.paragraph import draw_title, set_title
from ocrtune.synth.sheet import Block, Sheet
from ocrtune.synth.texts import TextSource

Place = Literal["dots", "rule", "box", "bare"]

WRITTEN = (
    "italic",
    "oblique",
    "slanted",
    "hand",
    "script",
    "typewriter",
    "mono",
    "courier",
    "chorus",
    "chancery",
)
"""Families and styles that pass for something filled in."""

DRAWS_OF_WRITTEN = 8
SMALLEST_SHARE = 0.6
"""Of the label's size; values that fit in nothing larger are left out with their label."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a form is set.

    Attributes:
        place: What values stand on.
        pitch_px: From line to line.
        label_px: Room of the labels, where values begin in one column; 0 where each begins behind its label.
        grey: Ink of lines and boxes.
        thickness_px: Of lines and boxes.
    """

    place: Place
    pitch_px: float
    label_px: int
    grey: int
    thickness_px: int


def make_form(source: TextSource, fonts: Fonts, paper: PaperSection, rng: random.Random) -> Sheet | None:
    """One page with a title and fields, a label and a value each.

    Returns:
        The page; None if no font has the letters or nothing fits.
    """
    size, margins = rng.randint(*paper.font_px), draw_margins(rng, paper.width_px, paper.height_px)
    room = (paper.width_px - margins.left - margins.right, paper.height_px - margins.top - margins.bottom)
    look = _draw_look(rng, size, room[0])
    fields = [
        _draw_field(source, rng) for _ in range(max(1, int(rng.uniform(0.4, 0.9) * room[1] / look.pitch_px)))
    ]
    title = draw_title(source, rng, most=4)
    face = fonts.draw(rng, f"{title} " + " ".join(label for label, _ in fields))
    written = draw_written(fonts, " ".join(value for _, value in fields), rng)
    if face is None or written is None:
        return None
    canvas = Canvas(paper.width_px, paper.height_px)
    pens = (
        Pen(face, size, source.language),
        Pen(written, round(size * rng.uniform(0.9, 1.15)), source.language),
    )
    blocks, top = _put_title(canvas, pens[0], title, (margins.left, margins.top, room[0]), rng)
    bottom = paper.height_px - margins.bottom
    block = _put_fields(canvas, pens, fields, look, (margins.left, top, margins.left + room[0], bottom))
    if block is None:
        return None
    facts = {
        "font": face.family,
        "style": face.style,
        "size_px": size,
        "written": f"{written.family} {written.style}",
        "spacing": {"place": look.place, "pitch_em": round(look.pitch_px / size, 3)},
    }
    return Sheet(ink=canvas.ink, blocks=(*blocks, block), em_px=float(size), facts=facts)


def draw_written(fonts: Fonts, text: str, rng: random.Random) -> Face | None:
    """A slanted, hand-like or typewriter face where one comes up in a few draws, else any; None if there is none."""
    face = None
    for _ in range(DRAWS_OF_WRITTEN):
        face = fonts.draw(rng, text)
        if face is None or any(kind in f"{face.family} {face.style}".lower() for kind in WRITTEN):
            return face
    return face


def _draw_look(rng: random.Random, size_px: int, width_px: int) -> Look:
    return Look(
        place=rng.choice(("dots", "rule", "box", "bare")),
        pitch_px=rng.uniform(1.9, 2.8) * size_px,
        label_px=rng.choice((0, round(rng.uniform(0.3, 0.45) * width_px))),
        grey=rng.randint(130, FULL_INK),
        thickness_px=rng.choice((1, 1, 2)),
    )


def _draw_field(source: TextSource, rng: random.Random) -> tuple[str, str]:
    """A label without its colon, and a value."""
    label = " ".join(source.words(rng, rng.choice((1, 1, 2, 3))))
    if happens(rng, 0.45):
        return with_capital(label), source.number(rng)
    words = source.words(rng, rng.choice((1, 2, 2, 3, 4)))
    return with_capital(label), " ".join(map(with_capital, words))


def _put_title(
    canvas: Canvas, pen: Pen, title: str, place: tuple[int, int, int], rng: random.Random
) -> tuple[list[Block], float]:
    """Put the title at (left, top, width); its block, and where the form goes on."""
    left, top, width = place
    galley = set_title(pen, title, width, rng)
    if galley is None:
        return [], float(top)
    head = galley.split(3)[0]
    box = head.put(canvas, left, top)
    blocks = [make_block("title", head.text, box)] if box else []
    return blocks, top + head.height_px + pen.size_px


def _put_fields(
    canvas: Canvas,
    pens: tuple[Pen, Pen],
    fields: Sequence[tuple[str, str]],
    look: Look,
    place: tuple[int, float, int, int],
) -> Block | None:
    """Put fields one below the other into (left, top, right, bottom); one block with a line of target for each."""
    left, top, right, bottom = place
    baseline, boxes, lines = top + pens[0].size_px, [], []
    for label, value in fields:
        if baseline + 0.5 * look.pitch_px > bottom:
            break
        box = _put_field(canvas, pens, (f"{label}:", value), look, (left, right, baseline))
        if box is not None:
            boxes.append(box)
            lines.append(f"{label}: {value}")
            baseline += look.pitch_px
    around = bounds_of(boxes)
    return make_block("text", "\n".join(lines), around) if around else None


def _put_field(
    canvas: Canvas, pens: tuple[Pen, Pen], field: tuple[str, str], look: Look, place: tuple[int, int, float]
) -> Box | None:
    """Put a label and its value between left and right, on the baseline; None where they do not fit."""
    left, right, baseline = place
    pen, written = pens
    label, value = (words_of(text, right_to_left=pen.right_to_left) for text in field)
    gap = 0.5 * pen.size_px
    start = max(width_of(pen, label), look.label_px) + gap
    room = right - left - start - gap
    small = _fitting(written, value, room)
    if small is None:
        return None
    sides = (left + gap, right - start) if pen.right_to_left else (left + start, right - gap)
    boxes = [
        put_line(canvas, pen, label, (left, right), baseline),
        put_line(canvas, small, value, sides, baseline - 0.06 * pen.size_px),
    ]
    return bounds_of([*boxes, *_put_place(canvas, look, pen.size_px, sides, baseline)])


def _put_place(
    canvas: Canvas, look: Look, size_px: int, sides: tuple[float, float], baseline: float
) -> list[Box]:
    """What a value stands on or in."""
    left, right = round(sides[0] - 0.3 * size_px), round(sides[1] + 0.3 * size_px)
    y = round(baseline + 0.28 * size_px)
    if look.place == "box":
        box = (left, round(baseline - 1.15 * size_px), right, round(baseline + 0.5 * size_px))
        return [canvas.frame(box, thickness_px=look.thickness_px, grey=look.grey)]
    if look.place == "bare":
        return []
    period = max(4, size_px // 5) if look.place == "dots" else 0
    thickness = max(2, size_px // 12) if look.place == "dots" else look.thickness_px
    return [canvas.rule((left, y, right, y + thickness), grey=look.grey, period_px=period)]


def _fitting(pen: Pen, words: Sequence[Word], room_px: float) -> Pen | None:
    """The pen, or a smaller one where words have no room; None where they would be too small."""
    width = width_of(pen, words)
    share = min(1.0, room_px / width) if width else 1.0
    if share < SMALLEST_SHARE:
        return None
    # Rounding down keeps words inside, since sizes are whole pixels.
    return pen if share == 1.0 else pen.resized(math.floor(share * pen.size_px))
