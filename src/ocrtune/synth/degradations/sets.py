"""Degradations by name, and the sets of them that have a name."""

from collections.abc import Mapping
from types import MappingProxyType

from ocrtune.synth.config import DegradationSection
from ocrtune.synth.degradations.geometry import GEOMETRY
from ocrtune.synth.degradations.impression import Degradation
from ocrtune.synth.degradations.ink import INK
from ocrtune.synth.degradations.paper import PAPER
from ocrtune.synth.degradations.scanner import SCANNER

DEGRADATIONS: Mapping[str, Degradation] = MappingProxyType(
    {degradation.name: degradation for degradation in (*INK, *PAPER, *GEOMETRY, *SCANNER)}
)
"""Every degradation by name."""


def _section(name: str, chance: float, least: float, most: float) -> DegradationSection:
    return DegradationSection(name=name, chance=chance, strength=(least, most))


LIGHT = (
    _section("skew", 0.4, 0.0, 0.3),
    _section("blur", 0.5, 0.05, 0.25),
    _section("uneven-ink", 0.2, 0.05, 0.3),
    _section("paper", 0.4, 0.1, 0.5),
    _section("texture", 0.3, 0.1, 0.4),
    _section("noise", 0.2, 0.05, 0.2),
    _section("downscale", 0.3, 0.0, 0.3),
    _section("jpeg", 0.2, 0.05, 0.4),
)
"""A clean office scan."""

TYPICAL = (
    _section("ruled-lines", 0.03, 0.3, 0.9),
    _section("skew", 0.5, 0.0, 0.6),
    _section("curve", 0.1, 0.1, 0.8),
    _section("bleed-through", 0.05, 0.15, 0.7),
    _section("ink-spread", 0.08, 0.1, 0.7),
    _section("starved-ink", 0.08, 0.1, 0.6),
    _section("blur", 0.7, 0.1, 0.45),
    _section("uneven-ink", 0.5, 0.1, 0.6),
    _section("threshold", 0.55, 0.5, 1.0),
    _section("fold", 0.02, 0.2, 0.9),
    _section("paper", 0.6, 0.3, 1.0),
    _section("texture", 0.5, 0.0, 0.8),
    _section("stains", 0.05, 0.2, 0.9),
    _section("stamp", 0.02, 0.2, 0.8),
    _section("shadow", 0.1, 0.1, 0.8),
    _section("noise", 0.1, 0.0, 0.4),
    _section("downscale", 0.5, 0.0, 0.57),
    _section("jpeg", 0.2, 0.07, 0.87),
)
"""Scans of all kinds, from clean to poor: what a model that shall read scans should see."""

HEAVY = (
    _section("ruled-lines", 0.08, 0.4, 1.0),
    _section("skew", 0.8, 0.2, 1.0),
    _section("curve", 0.3, 0.3, 1.0),
    _section("bleed-through", 0.25, 0.3, 1.0),
    _section("ink-spread", 0.2, 0.3, 1.0),
    _section("starved-ink", 0.2, 0.3, 0.8),
    _section("blur", 0.7, 0.2, 0.6),
    _section("uneven-ink", 0.7, 0.3, 1.0),
    _section("threshold", 0.3, 0.5, 1.0),
    _section("fold", 0.15, 0.4, 1.0),
    _section("paper", 0.85, 0.5, 1.0),
    _section("texture", 0.8, 0.3, 1.0),
    _section("stains", 0.3, 0.4, 1.0),
    _section("stamp", 0.1, 0.4, 1.0),
    _section("shadow", 0.4, 0.3, 0.9),
    _section("noise", 0.4, 0.2, 0.7),
    _section("downscale", 0.5, 0.2, 0.7),
    _section("jpeg", 0.5, 0.3, 1.0),
)
"""Poor scans only: for tests of what a model can stand."""

OLD_PRINT = (
    _section("skew", 0.6, 0.0, 0.5),
    _section("curve", 0.25, 0.1, 0.5),
    _section("bleed-through", 0.3, 0.15, 0.7),
    _section("ink-spread", 0.5, 0.1, 0.6),
    _section("starved-ink", 0.45, 0.2, 0.75),
    _section("blur", 0.6, 0.1, 0.3),
    _section("uneven-ink", 0.5, 0.1, 0.6),
    _section("threshold", 0.7, 0.6, 0.95),
    _section("paper", 0.5, 0.3, 1.0),
    _section("texture", 0.5, 0.2, 0.8),
    _section("stains", 0.12, 0.2, 0.8),
    _section("shadow", 0.1, 0.1, 0.5),
    _section("downscale", 0.4, 0.0, 0.5),
    _section("jpeg", 0.2, 0.07, 0.6),
)
"""Letterpress of the nineteenth century, scanned at 200 to 300 dots per inch."""

PHOTO = (
    _section("bleed-through", 0.05, 0.1, 0.5),
    _section("blur", 0.4, 0.05, 0.25),
    _section("uneven-ink", 0.3, 0.05, 0.3),
    _section("paper", 0.9, 0.3, 0.9),
    _section("texture", 0.5, 0.1, 0.4),
    _section("fold", 0.1, 0.2, 0.9),
    _section("curve", 0.6, 0.2, 1.0),
    _section("skew", 0.6, 0.2, 1.0),
    _section("perspective", 0.9, 0.2, 1.0),
    _section("shadow", 0.8, 0.2, 0.9),
    _section("blur", 0.5, 0.1, 0.5),
    _section("noise", 0.8, 0.1, 0.6),
    _section("downscale", 0.4, 0.0, 0.5),
    _section("jpeg", 0.9, 0.2, 0.9),
)
"""A page under a telephone's camera."""

SETS: Mapping[str, tuple[DegradationSection, ...]] = MappingProxyType(
    {
        "none": (),
        "light": LIGHT,
        "typical": TYPICAL,
        "heavy": HEAVY,
        "old-print": OLD_PRINT,
        "photo": PHOTO,
    }
)
"""Lists of degradations by the name a recipe can give instead of a list."""
