"""Texts mended where there is only one way to."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from ocrtune.data.characters import repair_controls, repair_form, repair_invisible
from ocrtune.data.mojibake import repair_mojibake

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
