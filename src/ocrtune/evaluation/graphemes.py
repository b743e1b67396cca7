"""Texts → grapheme clusters: what readers take for one character."""

from functools import cache

import regex

_CLUSTER = regex.compile(r"\X")
_JOINING = regex.compile(
    r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{GCB=Regional_Indicator}]"
)
"""In every cluster of several characters but CR LF there is one of these (Unicode, annex 29)."""

_PLANES = (range(0x20000), range(0xE0000, 0xE1000))
"""Where such characters are."""


def split_graphemes(text: str) -> list[str]:
    r"""The extended grapheme clusters of a text, as `\X` of the package regex finds them.

    A letter with its combining marks is one, and so are a Devanagari syllable with its vowel sign, a flag of two
    regional indicators, a family of emoji, and CR LF.
    """
    clusters: list[str] = _CLUSTER.findall(text)
    return clusters


def are_single(text: str) -> bool:
    """Whether every cluster of the text is one character, told without cutting it up."""
    return "\r\n" not in text and (text.isascii() or _joining_characters().isdisjoint(text))


@cache
def _joining_characters() -> frozenset[str]:
    # Looking characters up is three times as fast as searching for their class.
    return frozenset(_JOINING.findall("".join(chr(point) for points in _PLANES for point in points)))
