"""Facts about each model family, data only; nobody else asks which family it has by name."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from ocrtune.errors import CheckpointError, ModeError
from ocrtune.families.deepseek_ocr import DEEPSEEK_OCR
from ocrtune.families.deepseek_ocr2 import DEEPSEEK_OCR2
from ocrtune.families.family import VIEW_STEP_PX, Decoding, Family, Fit, Mode, Vocabulary
from ocrtune.families.unlimited_ocr import UNLIMITED_OCR

__all__ = [
    "FAMILIES",
    "VIEW_STEP_PX",
    "Decoding",
    "Family",
    "Fit",
    "Mode",
    "Vocabulary",
    "check_mode",
    "family_of",
    "get_family",
    "get_mode",
]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.name: family for family in (DEEPSEEK_OCR, DEEPSEEK_OCR2, UNLIMITED_OCR)}
)


def get_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        ModeError: There is none; the hint names the nearest.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    raise ModeError(f"no model family {name!r}", hint=_nearest(name, FAMILIES))


def get_mode(family: Family, name: str) -> Mode:
    """The family's mode called `name`.

    Raises:
        ModeError: There is none; the hint names the nearest.
    """
    if name in family.modes:
        return family.modes[name]
    raise ModeError(f"{family.name} has no mode {name!r}", hint=_nearest(name, family.modes))


def check_mode(family: Family, mode: Mode) -> Mode:
    """`mode`, if `family` can see it.

    Raises:
        ModeError: A side is not a multiple of 64 px, or not one the vision encoder has queries for,
            or tiles are asked for without a side, or a most of tiles without tiles.
    """
    sides = [mode.global_px] if mode.tile_px is None else [mode.global_px, mode.tile_px]
    for side in sides:
        if side <= 0 or side % VIEW_STEP_PX:
            raise ModeError(
                f"view side {side} px of mode {mode.name!r} is not a multiple of {VIEW_STEP_PX}",
                hint=f"take {max(VIEW_STEP_PX, round(side / VIEW_STEP_PX) * VIEW_STEP_PX)}",
            )
        if family.view_sides_px and side not in family.view_sides_px:
            allowed = " and ".join(str(allowed) for allowed in family.view_sides_px)
            raise ModeError(f"{family.name} sees only views of {allowed} px; mode {mode.name!r} has {side}")
    if (mode.tile_px is None) != (mode.max_tiles == 0):
        raise ModeError(
            f"mode {mode.name!r} has tile_px {mode.tile_px} and max_tiles {mode.max_tiles}",
            hint="give both for a mode with tiles, neither for one without",
        )
    if mode.max_tiles == 1 or mode.max_tiles < 0:
        raise ModeError(
            f"max_tiles {mode.max_tiles} of mode {mode.name!r}", hint="a tiled page has at least 2 tiles"
        )
    return mode


def family_of(config: Mapping[str, Any]) -> Family:
    """The family a `config.json` belongs to, published or native.

    Raises:
        CheckpointError: None of them.
    """
    for family in FAMILIES.values():
        if config.get("model_type") == family.name or set(config.get("architectures") or ()) & set(
            family.architectures
        ):
            return family
    vision = config.get("vision_config") or {}
    for family in FAMILIES.values():
        if config.get("model_type") == family.published_model_type and (
            vision.get("model_name") == family.vision_model_name
        ):
            return family
    raise CheckpointError(
        f"config.json is of no known family: model_type {config.get('model_type')!r}, "
        f"architectures {config.get('architectures')!r}",
        hint=f"say which one it is: {', '.join(FAMILIES)}",
    )


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    listing = ", ".join(known)
    return f"did you mean {close[0]!r}? known: {listing}" if close else f"known: {listing}"
