"""What the paper looks like, and what was put on it after printing."""

import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ocrtune.synth.chance import happens
from ocrtune.synth.degradations.draws import draw_clouds, draw_grain
from ocrtune.synth.degradations.impression import Degradation, Impression, Shares, to_shares

Field = NDArray[np.float64]

MOST_GREY = 0.3
COLOURED_PAPER = 0.4
WARM, OTHERS = (0.0, 0.3, 1.0), ((0.3, 0.1, 0.0), (0.12, 0.0, 0.3), (0.0, 0.25, 0.2))
"""How much less red, green and blue paper of a colour reflects; most old paper is yellowish."""

MOST_COLOUR = 0.26
SHADOW_GRID = 48
STAMP_WORDS = ("RECEIVED", "COPY", "FILED", "LIBRARY", "PAID", "CHECKED", "ARCHIVE", "ENTERED")
STAMP_COLOURS = ((0.75, 0.12, 0.15), (0.15, 0.2, 0.65), (0.4, 0.15, 0.55), (0.1, 0.4, 0.3), (0.2, 0.2, 0.2))


def _paper(impression: Impression, strength: float, rng: random.Random) -> None:
    """Paper that is not white, ink that is not black, and sometimes a colour."""
    impression.need_paper()
    greyer = [1.0, rng.random()]
    rng.shuffle(greyer)
    white, black = 1 - MOST_GREY * strength * greyer[0], MOST_GREY * strength * greyer[1]
    impression.shares = np.float32(black) + np.float32(white - black) * impression.shares
    if happens(rng, COLOURED_PAPER):
        less = WARM if happens(rng, 0.9) else rng.choice(OTHERS)
        depth = MOST_COLOUR * strength * rng.uniform(0.25, 1)
        impression.tint = (1 - depth * less[0], 1 - depth * less[1], 1 - depth * less[2])


def _texture(impression: Impression, strength: float, rng: random.Random) -> None:
    """Fibres as fine as pixels, flecks, and large clouds."""
    impression.need_paper()
    em, shares = impression.em_px, impression.shares
    rough = 0.06 * rng.uniform(0.3, 1) * draw_grain(shares, rng)
    flecks = 0.035 * rng.uniform(0.3, 1) * draw_clouds(shares, 0.4 * em, rng)
    clouds = 0.035 * rng.uniform(0.3, 1) * draw_clouds(shares, 7 * em, rng)
    impression.shares = shares + np.float32(strength) * (rough + flecks + clouds - 0.03)


def _shadow(impression: Impression, strength: float, rng: random.Random) -> None:
    """Light that falls off: towards the spine, away from a lamp, or behind a hand."""
    impression.need_paper()
    kind = rng.choice((_spine_shadow, _lamp_shadow, _hand_shadow))
    coarse = Image.fromarray(kind(rng).astype(np.float32))
    size = (impression.width, impression.height)
    shadow = np.clip(np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)), 0, 1)
    factor = 1 - np.float32(0.6 * strength) * shadow
    impression.shares = impression.shares * (factor if impression.shares.ndim == 2 else factor[:, :, None])  # noqa: PLR2004


def _axes() -> tuple[Field, Field]:
    side = np.linspace(0, 1, SHADOW_GRID)
    return side[None, :], side[:, None]


def _spine_shadow(rng: random.Random) -> Field:
    x, y = _axes()
    away = x if happens(rng, 0.5) else 1 - x
    shadow: Field = np.exp(-(away + 0.02 * y) / rng.uniform(0.05, 0.2))
    return shadow


def _lamp_shadow(rng: random.Random) -> Field:
    x, y = _axes()
    angle = rng.uniform(0, math.tau)
    slope = (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle)
    shadow: Field = np.clip(0.5 + slope * rng.uniform(0.5, 0.9), 0, 1) ** 1.5 * 0.8
    return shadow


def _hand_shadow(rng: random.Random) -> Field:
    x, y = _axes()
    middle, lean, reach = rng.uniform(0, 1), rng.uniform(-0.6, 0.6), rng.uniform(0.1, 0.3)
    band = np.abs(x - middle - lean * (y - 0.5)) - reach
    soft = rng.uniform(0.04, 0.12)
    shadow: Field = 0.55 / (1 + np.exp(np.clip(band / soft, -20, 20)))
    return shadow


def _stains(impression: Impression, strength: float, rng: random.Random) -> None:
    """Spots of damp with a darker rim, and foxing."""
    impression.need_paper()
    em, shares = impression.em_px, impression.shares
    damp = _spots(draw_clouds(shares, rng.uniform(2.5, 6) * em, rng), rng.uniform(0.01, 0.07), 0.8)
    ragged = np.clip(damp + 0.2 * damp * draw_clouds(shares, 0.3 * em, rng), 0, 1)
    rim = 4 * ragged * (1 - ragged)
    foxing = _spots(draw_clouds(shares, rng.uniform(0.25, 0.5) * em, rng), rng.uniform(0.0005, 0.004), 0.6)
    dark = rng.uniform(0.08, 0.2) * ragged + rng.uniform(0.02, 0.12) * rim + 0.35 * foxing
    impression.shares = shares * (1 - np.float32(strength) * dark)


def _spots(clouds: Shares, share: float, softness: float) -> Shares:
    """From 0 to 1: about the highest `share` of the clouds."""
    level = np.quantile(clouds[::4, ::4], 1 - share)
    spots: Shares = np.clip((clouds - np.float32(level)) / np.float32(softness), 0, 1)
    return spots


def _ruled_lines(impression: Impression, strength: float, rng: random.Random) -> None:
    """Lines of a notebook or a form, as far apart as lines of text, and sometimes a margin."""
    em, height, width = impression.em_px, impression.height, impression.width
    apart, thick = rng.uniform(1.3, 2.4) * em, max(0.6, rng.uniform(0.03, 0.06) * em)
    darkness = strength * rng.uniform(0.4, 0.75)
    starts = np.arange(rng.uniform(0, apart), height, apart)
    rules = darkness * _rules(height, starts, thick)[:, None]
    if happens(rng, 0.3):
        margin = _rules(width, np.array([rng.uniform(0.03, 0.12) * width]), thick)
        rules = np.maximum(rules, darkness * margin[None, :])
    rules = np.broadcast_to(rules, (height, width)).astype(np.float32)

    def rule(ink: Shares) -> Shares:
        ruled: Shares = np.maximum(ink, rules if ink.ndim == rules.ndim else rules[:, :, None])
        return ruled

    impression.change_ink(rule)


def _rules(length: int, starts: Field, thick: float) -> Shares:
    """How much of each of `length` pixels the strokes that begin at `starts` cover."""
    pixels = np.arange(length)[:, None]
    covered = np.minimum(pixels + 1, starts + thick) - np.maximum(pixels, starts)
    rules: Shares = np.clip(covered, 0, 1).max(axis=1, initial=0.0).astype(np.float32)
    return rules


def _stamp(impression: Impression, strength: float, rng: random.Random) -> None:
    """A rubber stamp, paler than print, so that print below it can be read."""
    colour = rng.choice(STAMP_COLOURS)
    if colour[0] == colour[1] == colour[2]:
        impression.need_paper()
    else:
        impression.need_colour()
    mask = _stamp_mask(impression, rng)
    dry = np.clip(0.75 + 0.3 * draw_clouds(mask, 0.25 * impression.em_px, rng), 0, 1)
    cover = np.float32(0.25 + 0.45 * strength) * min(1.0, 4 * strength) * mask * dry
    if impression.shares.ndim == mask.ndim:
        impression.shares = impression.shares * (1 - cover * np.float32(1 - colour[0]))
    else:
        absorbed = 1 - np.array(colour, np.float32)
        impression.shares = impression.shares * (1 - cover[:, :, None] * absorbed)


def _stamp_mask(impression: Impression, rng: random.Random) -> Shares:
    """(height, width), 1 where the stamp prints; it may hang over the edge."""
    picture = Image.new("L", (impression.width, impression.height), 0)
    stamp = _stamp_picture(impression.em_px, rng)
    stamp = stamp.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR, expand=True)
    x = round(rng.uniform(0, 1) * impression.width - stamp.width / 2)
    y = round(rng.uniform(0, 1) * impression.height - stamp.height / 2)
    picture.paste(stamp, (x, y))
    return to_shares(picture)


def _stamp_picture(em: float, rng: random.Random) -> Image.Image:
    font = ImageFont.load_default(max(8.0, rng.uniform(0.9, 1.5) * em))
    words = f"{rng.choice(STAMP_WORDS)}\n{rng.randint(1, 28)}.{rng.randint(1, 12)}.{rng.randint(1890, 2024)}"
    _, _, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), words, font, align="center"
    )
    pad, stroke = round(0.6 * em), max(1, round(0.1 * em))
    round_one = happens(rng, 0.4)
    width, height = math.ceil(right) + 2 * pad, math.ceil(bottom) + 2 * pad
    if round_one:
        width = height = math.ceil(math.hypot(width, height) * 0.9)
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    frame = draw.ellipse if round_one else draw.rectangle
    for inset in (0, 2 * stroke):
        frame((inset, inset, width - 1 - inset, height - 1 - inset), outline=255, width=stroke)
    draw.multiline_text((width / 2, height / 2), words, 255, font, anchor="mm", align="center")
    return picture.filter(ImageFilter.GaussianBlur(0.02 * em))


PAPER = (
    Degradation("paper", "paper", "Paper is greyish or yellowish, and ink is not quite black.", _paper),
    Degradation("texture", "paper", "Paper has grain, flecks and clouds.", _texture),
    Degradation(
        "shadow", "paper", "Light falls off: at the spine, away from the lamp, behind a hand.", _shadow
    ),
    Degradation("stains", "paper", "Damp has left spots with a rim; old paper has foxed.", _stains),
    Degradation("ruled-lines", "paper", "The paper is ruled like a notebook or a form.", _ruled_lines),
    Degradation("stamp", "paper", "Someone has stamped it.", _stamp),
)
