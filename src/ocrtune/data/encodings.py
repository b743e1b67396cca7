"""Texts of one byte a letter that were read in another encoding of one byte a letter: found by words nobody writes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

FEWEST_WORDS = 5
"""Different such words of a text that are no chance, whatever else stands there; fewer where it holds hardly any others."""

FEWEST_WORDS_ALONE = 2
SHARE_ALONE = 0.8

_WORD = re.compile(r"(?:[^\W\d_]|[×÷]){4,}")
_FREQUENT = frozenset("\u043e\u0435\u0430\u0438\u043d\u0442\u0441\u0440\u0432\u043b")
_CODECS: Mapping[str, str] = MappingProxyType(
    {"cp1252": "Windows-1252", "cp1251": "Windows-1251", "koi8-r": "KOI8-R", "cp1253": "Windows-1253"}
)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """How words look that were read in the wrong encoding, and what they may have been.

    Attributes:
        odd: What nobody writes.
        alike: What else such a text is made of.
        read_as: The wrong encoding.
        meant: Right ones, more likely ones first.
    """

    odd: re.Pattern[str]
    alike: re.Pattern[str]
    read_as: str
    meant: tuple[str, ...]


# Languages with Latin letters have signs on some letters, not on four in a row and no others.
_ALL_SIGNED = re.compile("[\u00c0-\u00ff]{4,}")
# KOI8-R has small letters where Windows-1251 has capitals.
_CASE_SWAPPED = re.compile("[\u0430-\u044f][\u0410-\u042f]{3,}")
_CAPITALS = re.compile("[\u0430-\u044f]?[\u0410-\u042f]{3,}")
_WRONG = (
    _Wrong(_ALL_SIGNED, _ALL_SIGNED, "cp1252", ("cp1251", "koi8-r", "cp1253")),
    _Wrong(_CASE_SWAPPED, _CAPITALS, "cp1251", ("koi8-r",)),
    _Wrong(_CASE_SWAPPED, _CAPITALS, "koi8-r", ("cp1251",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEncoding:
    """A text read in the wrong encoding.

    Attributes:
        found: The first word nobody writes.
        encoding: In which the text was most likely read, as people call it.
        meant_encoding: In which it was most likely written.
        meant: How the word reads then.
    """

    found: str
    encoding: str
    meant_encoding: str
    meant: str


def find_other_encoding(text: str) -> OtherEncoding | None:
    """The encodings that explain a text's words best; None where its words are words."""
    if text.isascii() or not any(wrong.odd.search(text) for wrong in _WRONG):
        return None
    words = dict.fromkeys(_WORD.findall(text))
    found = [told for wrong in _WRONG for told in _explain(list(words), wrong)]
    return max(found, key=lambda each: each[0])[1] if found else None


def _explain(words: list[str], wrong: _Wrong) -> Iterator[tuple[float, OtherEncoding]]:
    """Each encoding that makes words of those nobody writes, with how well they are written then."""
    odd = [word for word in words if wrong.odd.fullmatch(word)]
    alike = sum(wrong.alike.fullmatch(word) is not None for word in words)
    if len(odd) < FEWEST_WORDS_ALONE or (len(odd) < FEWEST_WORDS and alike < SHARE_ALONE * len(words)):
        return
    for codec, meant in _readings(odd, wrong):
        casing = sum(map(_casing, meant)) / len(odd)
        if casing > SHARE_ALONE:
            yield (
                casing + _frequency("".join(meant)),
                OtherEncoding(
                    found=odd[0],
                    encoding=_CODECS[wrong.read_as],
                    meant_encoding=_CODECS[codec],
                    meant=meant[0],
                ),
            )


def _readings(words: list[str], wrong: _Wrong) -> Iterator[tuple[str, list[str]]]:
    for codec in wrong.meant:
        try:
            yield codec, [word.encode(wrong.read_as).decode(codec) for word in words]
        except UnicodeError:
            continue


def _casing(word: str) -> float:
    """1 for a word of small letters or with one capital, nearly as much for one of capitals, 0 for any other."""
    if not word.isalpha():
        return 0.0
    return 1.0 if word[1:].islower() else 0.9 * word.isupper()


def _frequency(letters: str) -> float:
    """Share of letters that are frequent in Russian; tells Windows-1251 from KOI8-R, which swap cases both ways."""
    return sum(letter in _FREQUENT for letter in letters.lower()) / len(letters)
