"""Prompts a family was trained with, and others."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from ocrtune.families import Family
from ocrtune.records import Finding
from ocrtune.text import shorten

_LOCATE = re.compile(r"<image>\nLocate <\|ref\|>.+<\|/ref\|> in the image\.", re.DOTALL)
_MOST_SHOWN = 80


def is_known_prompt(prompt: str, family: Family) -> bool:
    """Whether `family` was trained with a prompt, given by its text or its short name.

    Several `<image>` in a row count as one, and asking where any text stands as known to families that answer it.
    """
    text = _one_mark(prompt, family)
    if prompt in family.prompts or text in family.prompts.values():
        return True
    return family.grounding == "ref-det" and _LOCATE.fullmatch(text) is not None


def check_prompt(prompt: str, family: Family) -> Iterator[Finding]:
    """A warning where the prompt is none the family was trained with; it names the nearest one.

    Args:
        prompt: A text, or a short name of the family's.
        family: The family to be trained.
    """
    if is_known_prompt(prompt, family):
        return
    name, nearest = nearest_prompt(prompt, family)
    shown = shorten(prompt, _MOST_SHOWN)
    yield Finding(
        code="prompt-unknown",
        severity="warning",
        message=f"{family.title} was not trained with the prompt {shown!r}; the nearest one is {nearest!r}",
        hint=f"take {name!r} where it asks for the same, else give the run examples enough to learn the new one",
    )


def nearest_prompt(prompt: str, family: Family) -> tuple[str, str]:
    """Short name and text of the family's prompt that is most like this one."""
    text = _one_mark(prompt, family).casefold()
    return max(
        family.prompts.items(), key=lambda item: SequenceMatcher(None, text, item[1].casefold()).ratio()
    )


def _one_mark(prompt: str, family: Family) -> str:
    mark = re.escape(family.vocabulary.image)
    return re.sub(f"(?:{mark})+", family.vocabulary.image, prompt.strip())
