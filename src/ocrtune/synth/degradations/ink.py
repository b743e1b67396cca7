"""What happens to the ink: in the press, through the paper, and at the threshold of a scanner."""

import random

import numpy as np
from PIL import ImageFilter

from ocrtune.synth.degradations.draws import draw_clouds
from ocrtune.synth.degradations.impression import Degradation, Impression, Shares, to_picture, to_shares

MOST_BLUR_EM = 0.065
MOST_SPREAD_EM = 0.042
LEAST_SOFTNESS = 0.05
INKED = 0.2


def _blur(impression: Impression, strength: float, _: random.Random) -> None:
    impression.shares = blurred(impression.shares, MOST_BLUR_EM * strength * impression.em_px)


def _spread(impression: Impression, strength: float, rng: random.Random) -> None:
    """Strokes grow by a radius that varies over the page; its fraction of a pixel is mixed in."""
    radius = MOST_SPREAD_EM * strength * impression.em_px
    clouds = draw_clouds(impression.shares, 1.5 * impression.em_px, rng)

    def spread(ink: Shares) -> Shares:
        share = np.clip(1 + 0.25 * clouds, 0.4, 1.4)
        left, grown = radius, ink
        while left > 0:
            grown = grown + np.clip(left * share, 0, 1) * (_grown(grown) - grown)
            left -= 1
        return grown

    impression.change_ink(spread)


def _grown(ink: Shares) -> Shares:
    """Each pixel as dark as its darkest neighbour above, below, left or right."""
    grown = ink.copy()
    np.maximum(grown[1:], ink[:-1], out=grown[1:])
    np.maximum(grown[:-1], ink[1:], out=grown[:-1])
    np.maximum(grown[:, 1:], ink[:, :-1], out=grown[:, 1:])
    np.maximum(grown[:, :-1], ink[:, 1:], out=grown[:, :-1])
    return grown


def _starved(impression: Impression, strength: float, rng: random.Random) -> None:
    """Too little ink: thin strokes break first, in some places more than in others."""
    em, shares = impression.em_px, impression.shares
    dry = 0.6 * draw_clouds(shares, 1.2 * em, rng) + 0.4 * draw_clouds(shares, 0.12 * em, rng)
    threshold = (0.5 + strength * np.clip(0.11 + 0.22 * dry, -0.1, 0.38)).astype(np.float32)

    def starve(ink: Shares) -> Shares:
        soft = blurred(ink, 0.022 * strength * em)
        return harden(soft, threshold * _fullest(soft), 1 - 0.7 * strength) * (1 - 0.15 * strength)

    impression.change_ink(starve)


def _uneven(impression: Impression, strength: float, rng: random.Random) -> None:
    small = draw_clouds(impression.shares, 0.4 * impression.em_px, rng)
    large = draw_clouds(impression.shares, 5 * impression.em_px, rng)
    share = 1 + strength * (0.25 * small + 0.13 * large - 0.03)
    impression.change_ink(lambda ink: ink * np.clip(share, 0.25, 1.5))


def _threshold(impression: Impression, strength: float, rng: random.Random) -> None:
    """Bilevel, as a fax or an old scanner saves it; the paper becomes white again."""
    ink, _ = impression.split()
    softness = 1 - (1 - LEAST_SOFTNESS) * strength
    threshold = (0.5 + strength * rng.uniform(-0.25, 0.1)) * _fullest(ink)
    hard = harden(ink, threshold, softness)
    impression.shares = 1 - hard if impression.on_paper else hard
    if impression.on_paper:
        impression.tint = None


def _bleed_through(impression: Impression, strength: float, rng: random.Random) -> None:
    """The other side of the leaf, mirrored; for want of another text, this one."""
    em = impression.em_px
    # Behind a line stands no line at the same height; behind a page stands a page.
    down = rng.uniform(0.25, 0.75) * impression.height if impression.is_line else rng.uniform(-1.5, 1.5) * em
    aside = rng.uniform(-2, 2) * em
    clouds = draw_clouds(impression.shares, 3 * em, rng)
    visible = 0.42 * strength * np.clip(0.8 + 0.3 * clouds, 0.1, 1.2)

    def shine(ink: Shares) -> Shares:
        other = np.roll(ink[:, ::-1], (round(down), round(aside)), axis=(0, 1))
        shone: Shares = np.maximum(ink, visible * blurred(other, 0.07 * em))
        return shone

    impression.change_ink(shine)


def _fullest(ink: Shares) -> float:
    """How much ink the thick strokes have: in soft or small print less than 1, and a threshold must give way."""
    inked = ink[::3, ::3]
    inked = inked[inked > INKED]
    return float(np.quantile(inked, 0.85)) if inked.size else 1.0


def blurred(shares: Shares, sigma_px: float) -> Shares:
    """With a Gaussian blur of that standard deviation."""
    return to_shares(to_picture(shares).filter(ImageFilter.GaussianBlur(sigma_px)))


def harden(ink: Shares, threshold: Shares | float, softness: float) -> Shares:
    """A steeper curve around `threshold`; a softness of 1 around 0.5 changes nothing, near 0 only black and white stay."""
    hard: Shares = np.clip((ink - threshold) * np.float32(1 / softness) + np.float32(0.5), 0, 1)
    return hard


INK = (
    Degradation("blur", "ink", "Edges are soft: out of focus, or soft paper under the press.", _blur),
    Degradation(
        "ink-spread", "ink", "Strokes are fatter than the type, since ink ran into the paper.", _spread
    ),
    Degradation("starved-ink", "ink", "Too little ink: thin strokes break.", _starved),
    Degradation("uneven-ink", "ink", "Ink is darker in some places than in others.", _uneven),
    Degradation("threshold", "ink", "Pixels are black or white, or nearly so.", _threshold),
    Degradation(
        "bleed-through", "ink", "The print of the other side shines through, mirrored.", _bleed_through
    ),
)
