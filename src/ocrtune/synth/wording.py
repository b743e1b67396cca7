"""Facts about a language → invented words, words in a row with marks, and numbers."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from ocrtune.synth.languages import Language

IN_CAPITALS = 0.06
"""Of invented words, and of lines, how many are in capitals."""

STARTS_A_SENTENCE, CAPITALISED = 0.4, 0.12
"""How often a row of words starts with a capital, and how often a word within has one."""

STARTS_WITH_VOWEL = 0.2
ANY_LETTERS = 0.1
"""Invented words of any letters, the common ones no more often than others."""

NATIVE_DIGITS = 0.7
"""Numbers in the digits of the script and not in those of Europe."""

_MARKS = (("none", "comma", "end", "inner", "pair", "hyphen"), (73, 10, 7, 4, 3, 3))
_WORD_LENGTHS = (1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9)
_SYLLABLES = (1, 1, 2, 2, 2, 3, 3, 4)
_ROMAN = (
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"),
    *("XVII", "XVIII", "XIX", "XX", "XXIV", "XL"),
)

DrawWord = Callable[[random.Random], str]


def invent_word(rng: random.Random, facts: Language) -> str:
    """A word of common letters in no order, now and then of any letters."""
    if rng.random() < ANY_LETTERS:
        return "".join(
            rng.choices(facts.letters, k=rng.choice(_SYLLABLES if facts.starts else _WORD_LENGTHS))
        )
    units = rng.choices(facts.units, k=rng.choice(_SYLLABLES if facts.starts else _WORD_LENGTHS))
    if facts.starts and rng.random() < STARTS_WITH_VOWEL:
        units[0] = rng.choice(facts.starts)
    word = "".join(units)
    if len(word) > 1 and word[-1] in facts.finals and rng.random() < facts.finals_chance:
        word = word[:-1] + facts.finals[word[-1]]
    return facts.upper(word) if rng.random() < IN_CAPITALS else word


class Sentence:
    """Words in a row with capitals and marks."""

    def __init__(self, rng: random.Random, facts: Language, draw_word: DrawWord) -> None:
        self._rng, self._facts, self._draw_word = rng, facts, draw_word
        self._starts = rng.random() < STARTS_A_SENTENCE

    def draw(self, letters: int) -> str:
        """At least `letters` characters."""
        return joined(letters, self._part)

    def _part(self) -> str:
        word = self._draw_word(self._rng)
        if self._starts or self._rng.random() < CAPITALISED:
            word = self._facts.upper(word[:1]) + word[1:]
        part = self._with_mark(word)
        self._starts = part[-1] in self._facts.ends
        return part

    def _with_mark(self, word: str) -> str:
        rng, facts = self._rng, self._facts
        (mark,) = rng.choices(*_MARKS)
        if mark == "none":
            return word
        if mark == "comma":
            return word + facts.comma
        if mark in {"end", "inner"}:
            return word + rng.choice(facts.ends if mark == "end" else facts.inner)
        form = rng.choice(facts.pairs) if mark == "pair" else "{a}-{b}"
        return form.format(a=word, b=self._draw_word(rng))


class Fields(dict[str, str]):
    """What stands between the braces of a form of numbers, drawn when it is asked for."""

    def __init__(self, rng: random.Random, facts: Language, words: Sequence[str] = ()) -> None:
        super().__init__()
        self.rng, self.facts, self.words = rng, facts, words
        self.native = facts.digits[0] != "0" and rng.random() < NATIVE_DIGITS

    def __missing__(self, name: str) -> str:
        text = FIELDS[name](self)
        return text.translate(_to_native(self.facts.digits)) if self.native else text

    def number(self) -> int:
        """Of one to five digits, each as often."""
        return self.rng.randrange(10 ** self.rng.randint(1, 5))

    def grouped(self, mark: str) -> str:
        """A number of four to seven digits, its thousands parted by `mark`."""
        return f"{self.rng.randrange(1000, 10 ** self.rng.randint(4, 7)):,}".replace(",", mark)


def _nth(fields: Fields) -> str:
    number = fields.number()
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def _letter(fields: Fields) -> str:
    return fields.facts.upper(fields.rng.choice(fields.facts.letters))


FIELDS: Mapping[str, Callable[[Fields], str]] = {
    "n": lambda fields: str(fields.number()),
    "nth": _nth,
    "small": lambda fields: str(fields.rng.randint(1, 99)),
    "two": lambda fields: f"{fields.rng.randrange(60):02}",
    "hour": lambda fields: str(fields.rng.randrange(24)),
    "day": lambda fields: str(fields.rng.randint(1, 31)),
    "dd": lambda fields: f"{fields.rng.randint(1, 31):02}",
    "mm": lambda fields: f"{fields.rng.randint(1, 12):02}",
    "month": lambda fields: fields.rng.choice(fields.facts.months),
    "year": lambda fields: str(fields.rng.randint(1700, 2029)),
    "comma": lambda fields: fields.grouped(","),
    "space": lambda fields: fields.grouped(" "),
    "dot": lambda fields: fields.grouped("."),
    "float": lambda fields: f"{fields.rng.randrange(10_000) / 100:g}",
    "decimal": lambda fields: f"{fields.rng.randrange(10_000) / 100:g}".replace(".", ","),
    "roman": lambda fields: fields.rng.choice(_ROMAN),
    "letter": _letter,
    "word": lambda fields: fields.rng.choice(fields.words) if fields.words else _letter(fields),
}
"""By name of the field: digits in one form or another, the name of a month, a capital letter, a listed word."""


@cache
def _to_native(digits: str) -> dict[int, int]:
    return str.maketrans("0123456789", digits)


def joined(letters: int, draw_part: Callable[[], str]) -> str:
    """Parts with a space between, at least `letters` characters."""
    text = draw_part()
    while len(text) < letters:
        text += " " + draw_part()
    return text
