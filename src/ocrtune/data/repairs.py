"""Texts mended where there is only one way to, and how far two readings of a page are apart."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from rapidfuzz.distance import Levenshtein

from ocrtune.data.characters import repair_controls, repair_form, repair_invisible
from ocrtune.data.mojibake import repair_mojibake
from ocrtune.text import Normalization, normalize

_IN_ONE_LINE = Normalization(whitespace="collapse")

REPAIRS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        # First, because what was read wrongly may hold control characters and single signs of its own.
        "mojibake": lambda text: repair_mojibake(text) or text,
        "control-character": repair_controls,
        "invisible-character": repair_invisible,
        "unicode-form-mixed": repair_form,
        "unicode-form-decomposed": repair_form,
    }
)
"""Code of a finding → what mends a text of it, in the order they are applied."""


def repair_text(text: str, codes: Collection[str]) -> tuple[str, list[str]]:
    """A text with what was found mended, as far as nothing has to be guessed.

    Args:
        text: The text.
        codes: What to mend, by the codes of findings; those that are none of `REPAIRS` are left alone.

    Returns:
        The text, and the codes that changed it, in the order of `REPAIRS`.
    """
    applied: list[str] = []
    for code, repair in REPAIRS.items():
        if code in codes and (repaired := repair(text)) != text:
            text = repaired
            applied.append(code)
    return text, applied


def disagreement(reference: str, baseline: str) -> float:
    """How far another reading is from a text: edits for each character of the text; 0 where both say the same.

    Spaces and line breaks count alike. More than 1 where the other reading is longer than the text and unlike it;
    an empty text counts as one character. Sorted by it, the texts most likely wrong come last.
    """
    reference, baseline = normalize(reference, _IN_ONE_LINE), normalize(baseline, _IN_ONE_LINE)
    return Levenshtein.distance(reference, baseline) / max(1, len(reference))
