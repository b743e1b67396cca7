"""Which script a letter is of, and words that hold a letter of another script which looks the same."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType

COMMON = "Common"
"""The script of what belongs to none: digits, punctuation, spaces."""

FEWEST_OF_MAIN_SCRIPT = 3
"""Shorter words are symbols and units more often than words."""

_WORD = re.compile(r"[^\W\d_]{4,}")
_WESTERN = frozenset({"Latin", "Cyrillic", "Greek"})
_LOOK_ALIKE = {
    ("Latin", "Cyrillic"): ("ABCEHIJKMOPSTXYaceijopsxy", "АВСЕНІЈКМОРЅТХУасеіјорѕху"),  # noqa: RUF001
    ("Latin", "Greek"): ("ABEHIKMNOPTXYZov", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖον"),  # noqa: RUF001
    ("Cyrillic", "Greek"): ("АВЕНІКМОРТХо", "ΑΒΕΗΙΚΜΟΡΤΧο"),  # noqa: RUF001
}


def _both_ways() -> dict[tuple[str, str], Mapping[str, str]]:
    tables: dict[tuple[str, str], Mapping[str, str]] = {}
    for (one, other), (letters, others) in _LOOK_ALIKE.items():
        tables[one, other] = dict(zip(letters, others, strict=True))
        tables[other, one] = dict(zip(others, letters, strict=True))
    return tables


_REPLACED: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(_both_ways())
"""(script of a letter, script of its word) → the letter of the word's script that looks the same."""

_MICRO = "\u00b5"
_CJK = {"CJK": "Han", "HIRAGANA": "Hiragana", "KATAKANA": "Katakana", "HANGUL": "Hangul"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedWord:
    """A word with letters that only look like those of its script.

    Attributes:
        word: As it stands in the text.
        script: Of most of its letters.
        strangers: The letters that are of another script.
        repaired: The word wholly in its script.
        start: Where it begins in the text.
    """

    word: str
    script: str
    strangers: str
    repaired: str
    start: int


@cache
def script_of(character: str) -> str:
    """The script of a letter, such as `Cyrillic`; `Common` for what is no letter."""
    if not character.isalpha() or character == _MICRO:
        return COMMON
    first, *_ = unicodedata.name(character, "UNKNOWN").split()
    if character in "\u00aa\u00ba":
        return "Latin"
    return _CJK.get(first.partition("-")[0], first.capitalize())


def are_look_alikes(one: str, other: str) -> bool:
    """Whether two letters of different scripts look the same, such as Latin a and Cyrillic а."""
    return _REPLACED.get((script_of(one), script_of(other)), {}).get(one) == other


def main_script(text: str) -> str:
    """The script of most letters of a text; `Common` where there are none."""
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else COMMON
    counts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        counts[script_of(character)] += count
    del counts[COMMON]
    return max(counts, key=lambda script: (counts[script], script)) if counts else COMMON


def find_mixed_words(text: str) -> Iterator[MixedWord]:
    """Words that could be written wholly in one script with letters that look the same."""
    if text.isascii():
        return
    for match in _WORD.finditer(text):
        if not match[0].isascii() and (found := _mixed(match[0], match.start())) is not None:
            yield found


def repair_scripts(text: str) -> str:
    """`text` with each such word wholly in its script: most likely right, but for somebody to look at."""
    pieces, end = [], 0
    for mixed in find_mixed_words(text):
        pieces += [text[end : mixed.start], mixed.repaired]
        end = mixed.start + len(mixed.word)
    return "".join([*pieces, text[end:]])


def _mixed(word: str, start: int) -> MixedWord | None:
    scripts = [script_of(letter) for letter in word]
    counts = Counter(script for script in scripts if script in _WESTERN)
    if len(counts) < 2:  # noqa: PLR2004 - one script is no mixture
        return None
    (script, most), (_, next_most), *_ = counts.most_common()
    if most < FEWEST_OF_MAIN_SCRIPT or most == next_most or (script == "Latin" and _is_inflected(scripts)):
        return None
    letters = [_in_script(letter, own, script) for letter, own in zip(word, scripts, strict=True)]
    if any(letter is None for letter in letters):
        return None
    strangers = [letter for letter, own in zip(word, scripts, strict=True) if own != script]
    return MixedWord(
        word=word,
        script=script,
        strangers="".join(dict.fromkeys(strangers)),
        repaired="".join(letter or "" for letter in letters),
        start=start,
    )


def _in_script(letter: str, own: str, script: str) -> str | None:
    return letter if own == script else _REPLACED.get((own, script), {}).get(letter)


def _is_inflected(scripts: list[str]) -> bool:
    """Whether a Latin name bears another script's ending, as in `iPhoneа`; that is how people write."""
    names = [script == "Latin" for script in scripts]
    return names[0] and not names[-1] and sum(one != other for one, other in pairwise(names)) == 1
