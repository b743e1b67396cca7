"""What recipes of synthetic pages can name."""

from collections import Counter
from typing import get_args

from ocrtune.synth.config import FontsSection, LayoutName
from ocrtune.synth.degradations import DEGRADATIONS, SETS
from ocrtune.synth.fonts import Fonts
from ocrtune.synth.languages import LANGUAGES
from ocrtune.synth.reading import RECIPES

SCRIPTS = {"Latin": "aZ", "Cyrillic": "жѣ", "Greek": "λά", "Arabic": "عر", "Devanagari": "कृ"}
"""Letters by which a font is counted as one of the script."""


def list_choices() -> dict[str, list[str] | dict[str, str] | dict[str, int]]:
    """Recipes, layouts, degradations and their sets, languages of the samples, and the system's fonts by script."""
    return {
        "recipes": list(RECIPES),
        "layouts": list(get_args(LayoutName)),
        "degradations": {name: each.description for name, each in DEGRADATIONS.items()},
        "sets": {
            name: ", ".join(section.name for section in sections) or "nothing"
            for name, sections in SETS.items()
        },
        "languages": sorted(LANGUAGES),
        "fonts": count_fonts(Fonts.find(FontsSection())),
    }


def count_fonts(fonts: Fonts) -> dict[str, int]:
    """How many of the fonts have each script; one may have several."""
    counts = Counter(
        script
        for face in fonts.faces
        for script, letters in SCRIPTS.items()
        if all(ord(letter) in face.characters for letter in letters)
    )
    return {script: counts[script] for script in SCRIPTS}
