"""What happens to a page between type and scan: Sheet → Scan.

Everything random is drawn from the generator that is handed in; the same state of it gives the same bytes.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ocrtune.errors import SynthError
from ocrtune.synth.config import DegradationSection
from ocrtune.synth.degradations.impression import Degradation, Kind, impression_of
from ocrtune.synth.degradations.sets import DEGRADATIONS, SETS
from ocrtune.synth.sheet import Scan, Sheet

__all__ = ["DEGRADATIONS", "SETS", "Degradation", "Kind", "degrade", "resolve"]


def resolve(degradations: str | Sequence[DegradationSection]) -> tuple[DegradationSection, ...]:
    """The list that a recipe means.

    Args:
        degradations: The name of a set, or a list.

    Raises:
        SynthError: There is no set, or no degradation, of that name.
    """
    if isinstance(degradations, str):
        if degradations not in SETS:
            raise SynthError(
                f"no set of degradations is named {degradations!r}", hint=_set_hint(degradations)
            )
        return SETS[degradations]
    for section in degradations:
        if section.name not in DEGRADATIONS:
            hint = _close_or_all(section.name, DEGRADATIONS, "degradations")
            raise SynthError(f"no degradation is named {section.name!r}", hint=hint)
    return tuple(degradations)


def degrade(sheet: Sheet, sections: Sequence[DegradationSection], rng: random.Random) -> Scan:
    """Let things happen to a sheet, one after the other; black on white if nothing does.

    Args:
        sheet: Stays as it is.
        sections: In the order they happen; `resolve` makes them of a recipe.
        rng: Where chances, strengths and all else is drawn from.

    Returns:
        A scan with facts of the sheet and `degradations`: strengths by name, the greatest of a name listed twice.

    Raises:
        SynthError: A name is unknown.
    """
    impression, happened = impression_of(sheet), dict[str, float]()
    for section in resolve(sections):
        strength = _drawn_strength(section, rng)
        if strength > 0:
            DEGRADATIONS[section.name].apply(impression, strength, rng)
            happened[section.name] = max(round(strength, 3), happened.get(section.name, 0.0))
    return Scan(
        image=impression.image(),
        blocks=tuple(
            replace(block, outline=outline)
            for block, outline in zip(sheet.blocks, impression.outlines, strict=True)
        ),
        letters=impression.letters,
        facts={**sheet.facts, "degradations": happened},
    )


def _drawn_strength(section: DegradationSection, rng: random.Random) -> float:
    """0 if it does not happen this time."""
    chance, share = rng.random(), rng.random()
    least, most = section.strength
    return least + share * (most - least) if chance < section.chance else 0.0


def _set_hint(name: str) -> str:
    if name in DEGRADATIONS:
        return f"it is a degradation, which stands in a list: [{{name: {name}}}]"
    return _close_or_all(name, SETS, "sets")


def _close_or_all(name: str, known: Collection[str], noun: str) -> str:
    close = get_close_matches(name.lower().replace("_", "-"), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"{noun}: {', '.join(known)}"
