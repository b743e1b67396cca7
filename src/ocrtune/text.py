"""Text normalisation, the same for targets and for metrics."""

import re
import unicodedata
from typing import Literal

from pydantic import BaseModel, ConfigDict

_SPACES = re.compile(r"[^\S\n]+")
_WHITESPACE = re.compile(r"\s+")
_LINE_BREAKS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")


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


def normalize(text: str, normalization: Normalization) -> str:
    """`text` with what `normalization` says made equal; applying it twice changes nothing more."""
    # Case folding can undo a normal form, and a normal form can bring spaces: fold first, spaces last.
    if normalization.case == "fold":
        text = text.casefold()
    if normalization.unicode != "none":
        text = unicodedata.normalize(normalization.unicode, text)
        if normalization.case == "fold":
            text = unicodedata.normalize(normalization.unicode, text.casefold())
    if normalization.whitespace == "collapse":
        return _WHITESPACE.sub(" ", text).strip()
    if normalization.whitespace == "trim":
        lines = _LINE_BREAKS.sub("\n", text).split("\n")
        return "\n".join(_SPACES.sub(" ", line).strip() for line in lines).strip("\n")
    return text
