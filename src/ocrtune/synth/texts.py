"""Sources of texts → what lines, paragraphs and tables say.

A text is a piece of prose, words of a list strung together, words of no language, or numbers: the last three so that
letters are read and not guessed. Everything random is drawn from the generator that is handed in.
"""

import hashlib
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

from ocrtune.errors import SynthError
from ocrtune.synth.config import Part, TextsSection
from ocrtune.synth.corpus import Corpus, read_corpus
from ocrtune.synth.languages import (
    LANGUAGES,
    OLD_RUSSIAN,
    RIGHT_TO_LEFT,
    Language,
    base_code,
    get_language,
)
from ocrtune.synth.pre_reform import spell_before_1918
from ocrtune.synth.sheet import Text
from ocrtune.synth.wording import IN_CAPITALS, DrawWord, Fields, Sentence, invent_word, joined

HELD_OUT_ONE_OF = 20
"""One of so many paragraphs, listed and invented words is held out."""

LEAST_PROSE = 12
"""Letters of a piece that starts within a paragraph; where they are fewer it starts with the paragraph."""

HYPHENATED, SHORTEST_HYPHENATED = 0.15, 9
"""Of lines that are cut how many end in a part of a word, and their least length."""

STARTS_WITHIN = 0.5
"""How often a paragraph starts with a later sentence than the first."""

MOST_LETTERS = 1.15
"""Longest paragraph, as a factor on the letters that are asked for."""

MOST_WORDS_DRAWN = 10_000
"""Invented words drawn until one belongs to the part that is asked for: never reached but with a letter or two."""

PARAGRAPHS_COUNTED = 2000

_JOINERS = "\u094d\u200c\u200d"
_SENTENCE_END = re.compile(r"""[.!?…؟।]+[»”“"'’)]*\s+(?=[«„“"'(]*[^\W\d_])""")


def is_right_to_left(language: str) -> bool:
    """Whether a language is written from right to left, by its code; `ar-EG` counts as `ar`."""
    return base_code(language) in RIGHT_TO_LEFT


def part_of(text: str) -> Part:
    """The part that a paragraph or word belongs to, by its letters alone: the same everywhere, in either case."""
    digest = hashlib.blake2b(text.casefold().encode(), digest_size=4).digest()
    return "train" if int.from_bytes(digest, "big") % HELD_OUT_ONE_OF else "held-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSource:
    """One section of the recipe, its files read.

    Attributes:
        section: It.
        prose: Paragraphs of its part.
        listed: Words of its part: those of the lists, or of all paragraphs where there are no lists.
        facts: Letters, marks and numbers of the language.
        unreadable: Files left out because they are not UTF-8, or broken archives.
    """

    section: TextsSection
    prose: Sequence[str]
    listed: Sequence[str]
    facts: Language
    unreadable: int = 0

    @classmethod
    def read(cls, section: TextsSection) -> "TextSource":
        """The source of a section; its files are read once per process.

        Raises:
            SynthError: No file fits a pattern, or what is to be drawn is not there.
        """
        corpus = read_corpus(
            section.language, samples=section.samples, files=section.files, words=section.words
        )
        if section.pre_reform and base_code(section.language) != "ru":
            raise SynthError(
                f"pre_reform is {section.pre_reform} for texts in {section.language!r}",
                where="texts.pre_reform",
                hint="only Russian has a spelling before 1918",
            )
        facts = get_language(section.language)
        source = cls(
            section=section,
            prose=_in_part(corpus.prose, section.part),
            listed=_in_part(corpus.listed, section.part),
            facts=facts if facts.code else _with_letters_of(corpus, facts),
            unreadable=corpus.unreadable,
        )
        source._check(corpus)
        return source

    @property
    def language(self) -> str:
        """Its code, as the section has it."""
        return self.section.language

    def line(self, rng: random.Random, letters: int) -> Text:
        """A line of 1 to `letters` characters that ends with a word, or with a part of one and a hyphen.

        It may start within a paragraph.
        """
        old = self._is_old(rng)
        text = self._draw(rng, letters, old=old)
        if rng.random() < IN_CAPITALS:
            text = self.facts.upper(text)
        text = _fit(unicodedata.normalize("NFC", text), letters, hyphenate=self._breaks_words(rng))
        return self._text(text or rng.choice(self.facts.letters)[:letters])

    def paragraph(self, rng: random.Random, letters: int) -> Text:
        """About `letters` characters, and never much more: whole sentences of prose, or words with marks and a full stop."""
        old = self._is_old(rng)
        kind = self._draw_kind(rng)
        if kind == "prose":
            return self._text(self._spell(self._sentences(rng, letters), old=old))
        text = _fit(self._string(rng, kind, letters, old=old), letters)
        return self._text(text if kind == "numbers" else self._closed(text))

    def words(self, rng: random.Random, count: int) -> list[str]:
        """Words without marks, each listed or invented as the section weighs the two; without numbers."""
        old = self._is_old(rng)
        listed, invented = self.section.listed + self.section.prose, self.section.invented
        if not self.listed:
            listed, invented = 0.0, 1.0
        elif not listed + invented:
            listed = 1.0
        kinds = rng.choices(("listed", "invented"), (listed, invented), k=count)
        draw = {kind: self._word_drawer(kind, old=old) for kind in ("listed", "invented")}
        return [unicodedata.normalize("NFC", draw[kind](rng)) for kind in kinds]

    def number(self, rng: random.Random) -> str:
        """A number, date or sum in a form that is usual in the language."""
        text = rng.choice(self.facts.numbers).format_map(Fields(rng, self.facts))
        return unicodedata.normalize("NFC", text)

    def _closed(self, text: str) -> str:
        """A row of words as one that starts and ends like a sentence."""
        text = self.facts.upper(text[:1]) + text[1:].rstrip(f"{self.facts.inner}{self.facts.comma}–—- ")
        return text if text[-1] in self.facts.ends else text + self.facts.ends[0]

    def _check(self, corpus: Corpus) -> None:
        if self.section.prose and not self.prose:
            raise _nothing(self.section, "paragraph", there_are=len(corpus.prose))
        if self.section.listed and not self.listed:
            raise _nothing(self.section, "listed word", there_are=len(corpus.listed))
        if self.section.invented and not (self.facts.code or corpus.prose or corpus.listed):
            raise _nothing(self.section, "letter", there_are=0)

    def _is_old(self, rng: random.Random) -> bool:
        return bool(self.section.pre_reform) and rng.random() < self.section.pre_reform

    def _breaks_words(self, rng: random.Random) -> bool:
        return self.facts.hyphenates and rng.random() < HYPHENATED

    def _text(self, text: str) -> Text:
        return Text(text=unicodedata.normalize("NFC", text), language=self.language)

    def _spell(self, text: str, *, old: bool) -> str:
        return spell_before_1918(text) if old else text

    def _draw_kind(self, rng: random.Random) -> str:
        section = self.section
        weights = (section.prose, section.listed, section.invented, section.numbers)
        return rng.choices(("prose", "listed", "invented", "numbers"), weights)[0]

    def _draw(self, rng: random.Random, letters: int, *, old: bool) -> str:
        kind = self._draw_kind(rng)
        if kind == "prose":
            return self._spell(_cut_prose(rng, rng.choice(self.prose), letters), old=old)
        return self._string(rng, kind, letters, old=old)

    def _string(self, rng: random.Random, kind: str, letters: int, *, old: bool) -> str:
        """Words or numbers in a row, at least `letters` characters."""
        if kind == "numbers":
            return joined(letters, lambda: self._among_numbers(rng, old=old))
        return Sentence(rng, self.facts, self._word_drawer(kind, old=old)).draw(letters)

    def _among_numbers(self, rng: random.Random, *, old: bool) -> str:
        form = rng.choice((*self.facts.numbers, *self.facts.also))
        return self._spell(form.format_map(Fields(rng, self.facts, self.listed)), old=old)

    def _word_drawer(self, kind: str, *, old: bool) -> DrawWord:
        if kind == "invented":
            facts = OLD_RUSSIAN if old else self.facts
            return lambda rng: _invent(rng, facts, self.section.part)
        return lambda rng: self._spell(rng.choice(self.listed), old=old)

    def _sentences(self, rng: random.Random, letters: int) -> str:
        """Sentences of paragraphs that follow one another in the files, from the start of one."""
        place = rng.randrange(len(self.prose))
        within = rng.random() < STARTS_WITHIN
        text = _later(rng, self.prose[place]) if within else self.prose[place]
        while len(text) < letters:
            place = (place + 1) % len(self.prose)
            text += " " + self.prose[place]
        return _whole_sentences(text, letters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """All sources of a recipe.

    Attributes:
        sources: In the order of the recipe.
    """

    sources: tuple[TextSource, ...]

    @classmethod
    def read(cls, sections: Sequence[TextsSection]) -> "Texts":
        """The sources of all sections.

        Raises:
            SynthError: One has nothing to draw.
        """
        return cls(sources=tuple(TextSource.read(section) for section in sections))

    def digest(self) -> str:
        """The same for the same paragraphs and words, whatever files they are from."""
        told = hashlib.sha256()
        for source in self.sources:
            for text in (*source.prose, *source.listed):
                told.update(f"{text}\n".encode())
        return told.hexdigest()[:16]

    def draw(self, rng: random.Random) -> TextSource:
        """One source, by weight."""
        totals = tuple(accumulate(source.section.weight for source in self.sources))
        return rng.choices(self.sources, cum_weights=totals)[0]


@cache
def _in_part(texts: tuple[str, ...], part: Part) -> tuple[str, ...]:
    return texts if part == "all" else tuple(text for text in texts if part_of(text) == part)


def _nothing(section: TextsSection, what: str, *, there_are: int) -> SynthError:
    if there_are:
        hint = f"about 1 of {HELD_OUT_ONE_OF} is held out, of {there_are} none: give more texts, or another weight"
    else:
        samples = " ".join(sorted(LANGUAGES))
        hint = f"give texts.files (and texts.words); built-in samples, with samples: true, are {samples}"
    part = "" if section.part == "all" else f" of part {section.part!r}"
    return SynthError(f"no {what}{part} for texts in {section.language!r}", where="texts", hint=hint)


def _with_letters_of(corpus: Corpus, facts: Language) -> Language:
    """A language nothing is known of, with the letters that its texts are written in."""
    counts = Counter(
        "".join((*corpus.prose[:PARAGRAPHS_COUNTED], *corpus.listed[:PARAGRAPHS_COUNTED])).lower()
    )
    letters = {letter: count for letter, count in counts.items() if letter.isalpha()}
    if not letters:
        # For numbers alone, whose tables and forms need words nevertheless.
        return replace(facts, units=LANGUAGES["en"].units, letters=LANGUAGES["en"].letters)
    share = 200 / sum(letters.values())
    units = tuple(letter for letter, count in letters.items() for _ in range(max(1, round(share * count))))
    capitals = [letter.upper() for letter in letters if letter.upper() != letter and len(letter.upper()) == 1]
    has_case = bool(capitals)
    return replace(
        facts, units=units, letters="".join((*letters, *capitals)), has_case=has_case, hyphenates=has_case
    )


def _cut_prose(rng: random.Random, paragraph: str, letters: int) -> str:
    """A piece that starts with a word and is long enough to be cut to `letters` at the end of one."""
    start = rng.randrange(max(1, len(paragraph) - letters))
    start = paragraph.find(" ", start) + 1 if start else 0
    if len(paragraph) - start < min(letters, LEAST_PROSE):
        start = 0
    return paragraph[start : start + 2 * letters].replace("--", "—")


def _later(rng: random.Random, paragraph: str) -> str:
    """From the start of a sentence that is not the first; all of it if there is one sentence."""
    starts = [end.end() for end in _SENTENCE_END.finditer(paragraph)]
    return paragraph[rng.choice(starts) :] if starts else paragraph


def _whole_sentences(text: str, letters: int) -> str:
    """The sentences that fit; words where there is none, or a short one only."""
    most = round(MOST_LETTERS * letters)
    if len(text) <= most:
        return text
    ends = [end.end() for end in _SENTENCE_END.finditer(text, 0, most)]
    return text[: ends[-1]].rstrip() if ends and ends[-1] > letters / 2 else _fit(text, letters)


def _fit(text: str, letters: int, *, hyphenate: bool = False) -> str:
    """At most `letters` characters, cut after a word, or within one and with a hyphen."""
    text = text.strip()
    if len(text) <= letters:
        return text
    if hyphenate and letters >= SHORTEST_HYPHENATED:
        for end in range(letters - 1, letters - SHORTEST_HYPHENATED, -1):
            if text[max(0, end - 2) : end + 2].isalpha():
                return text[:end] + "-"
    end = text.rfind(" ", 0, letters + 1)
    return text[:end].rstrip() if end > 0 else _cut_word(text, letters)


def _cut_word(word: str, letters: int) -> str:
    """A word that is too long: no mark loses the letter it stands on, unless that alone is too long."""
    end = letters
    while end > 1 and (unicodedata.category(word[end])[0] == "M" or word[end - 1] in _JOINERS):
        end -= 1
    return word[:end]


def _invent(rng: random.Random, facts: Language, part: Part) -> str:
    """A word of no language."""
    for _ in range(MOST_WORDS_DRAWN):
        word = invent_word(rng, facts)
        if part == "all" or part_of(word) == part:
            return word
    raise SynthError(
        f"no invented word of part {part!r}", where="texts.invented", hint="give texts with more letters"
    )
