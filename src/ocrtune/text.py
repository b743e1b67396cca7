"""Text normalisation, the same for targets and for metrics."""

import re
import unicodedata
from functools import cache
from typing import Literal

import regex
from pydantic import BaseModel, ConfigDict

from ocrtune.errors import EvaluationError

LONGEST_PATTERN_S = 10.0
"""A pattern that takes longer on one text has run away; good ones take a thousandth of it."""


class Normalization(BaseModel):
    """What is made equal before texts are learned or compared.

    Attributes:
        unicode: Unicode normal form; `none` leaves code points as they are.
        whitespace: `keep`; `trim` makes runs of spaces one, strips lines and drops empty ones at the ends;
            `collapse` makes every run of whitespace, line breaks included, one space.
        case: `fold` compares without case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unicode: Literal["none", "NFC", "NFD", "NFKC", "NFKD"] = "NFC"
    whitespace: Literal["keep", "trim", "collapse"] = "trim"
    case: Literal["keep", "fold"] = "keep"

    def __str__(self) -> str:
        """The normalisation in words, as scores state it."""
        return f"unicode {self.unicode}, whitespace {self.whitespace}, case {self.case}"


def shorten(text: str, most: int = 80) -> str:
    """The begin of a text that may be long, as messages show it: at most `most` characters, and `…` for the rest."""
    return text if len(text) <= most else f"{text[:most]}…"


Pair = tuple[str, str]
"""What is replaced, and by what."""


class NamedNormalization(Normalization):
    """A normalisation for scores alone, with replacements made before everything else, in the Unicode form.

    Training takes a plain `Normalization`: a model is not to learn other letters than those it is shown.

    Attributes:
        name: What it is called where scores are told.
        pairs: Strings and what stands for them, all at once; where several begin at a place the longest counts.
        patterns: Regular expressions of the package regex, and what stands for their matches, one after the other,
            after the pairs.
    """

    name: str
    pairs: tuple[Pair, ...] = ()
    patterns: tuple[Pair, ...] = ()

    def __str__(self) -> str:
        """Its name, and all it does."""
        parts = [super().__str__()]
        if self.pairs:
            parts.append(f"pairs {len(self.pairs)}")
        parts += [f"{pattern!r} → {replacement!r}" for pattern, replacement in self.patterns]
        return f"{self.name} ({', '.join(parts)})"


def normalize(text: str, normalization: Normalization) -> str:
    """`text` with what `normalization` says made equal; twice changes nothing more, but for a user's own pairs.

    Raises:
        EvaluationError: A pattern of a user's runs away on the text.
    """
    if isinstance(normalization, NamedNormalization):
        text = _replace(text, normalization)
    # Case folding can undo a normal form, and a normal form can bring spaces: fold first, spaces last.
    if normalization.case == "fold":
        text = text.casefold()
    if normalization.unicode != "none":
        text = unicodedata.normalize(normalization.unicode, text)
        if normalization.case == "fold":
            text = unicodedata.normalize(normalization.unicode, text.casefold())
    # Splitting at spaces and line breaks is several times as fast as substituting them.
    if normalization.whitespace == "collapse":
        return " ".join(text.split())
    if normalization.whitespace == "trim":
        return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip("\n")
    return text


def _replace(text: str, normalization: NamedNormalization) -> str:
    """`text` after the pairs and patterns."""
    if normalization.unicode != "none":
        text = unicodedata.normalize(normalization.unicode, text)
    if normalization.pairs:
        found, replacements = _compile_pairs(normalization.pairs)
        text = found.sub(lambda match: replacements[match[0]], text)
    for pattern, replacement in normalization.patterns:
        text = _substitute(pattern, replacement, text)
    return text


def _substitute(pattern: str, replacement: str, text: str) -> str:
    # Python's own `re` has no limit of time: one bad pattern on one long page would never end.
    try:
        return str(regex.sub(pattern, replacement, text, timeout=LONGEST_PATTERN_S))
    except TimeoutError as error:
        raise EvaluationError(
            f"the pattern {pattern!r} takes longer than {LONGEST_PATTERN_S:g} s on a text of {len(text)} characters",
            hint="avoid a repetition of what repeats itself, such as (a+)+",
        ) from error


@cache
def _compile_pairs(pairs: tuple[Pair, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    replacements = dict(pairs)
    longest_first = sorted(replacements, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))), replacements
