"""What the rendered lines say, and the fonts that say it: whatever a Debian machine has of both.

Nothing of it is shipped. A line is English of the system's documentation, words of a word list strung together,
invented words, or numbers: the last three so that letters are read and not guessed.
"""

import glob
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lines import Font
from ocrtune.errors import SourceError

PROSE_FILES = (
    "/usr/share/perl/**/*.pod",
    "/usr/share/vim/vim*/doc/usr_*.txt",
    "/usr/share/common-licenses/*",
)
WORD_LIST = Path("/usr/share/dict/american-english")
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/share/texmf/fonts"))
FONT_SUFFIXES = (".ttf", ".otf")

HELD_OUT = ("texgyreschola-regular", "GenBkBasR", "OldStandard-Regular")
"""Stems of fonts that nothing is learned from."""

LEAST_PARAGRAPH, LEAST_LETTERS, LEAST_PROSE = 80, 0.93, 12
"""Characters of a paragraph, its share of letters and plain marks, characters of a line cut from it."""

APOSTROPHES_KEPT = 0.1
"""A word list has nearly as many possessives as words."""

_NOT_FOR_TEXT = re.compile(
    r"[Mm]ath|[Mm]ono|cursor|Keyboard|_I\.|_K\.|chorus|cmunui|cmunci|Initials|BodoniClassic|cmuntl|Oblique"
)
_WEIGHTS = (
    (r"Sans|heros|advent|Bright|cmuns|cmunb[lmst]|Biolinum|cmunt|cmunv", 0.25),
    (r"[Bb]old|_RB|_RZ|cmunbx|cmunrb|Bd|GenBasB|GenBkBasB", 0.3),
    (r"[Ii]tal|It\.|_RI|BI|BasI|cmunti|cmunbi", 0.4),
    (r"cmunrm|cmunorm|OldStandard|Didot\.|Bodoni|schola|bonum-reg|cmunsl|Artemisia\.", 4.0),
)
"""Books are set in upright roman, those of the sample pages in the kind of the last row."""

_COMMON_LETTERS = "etaoinshrdlcumwfgypbvkjxqz" * 3 + "etaoinshrdlu" * 3
_WORD_LENGTHS = (1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9)
_PAIRS = ('"{}"', "({})", "'{}'", "{}—{}", "{}'s", "*{}", "{}.—")
_NUMBERS = ("{}", "{}", "{}.", "({})", "{}th", "${}", "No. {}", "{},000", "{}%")


@dataclass(frozen=True, slots=True)
class Fonts:
    """Fonts to learn from and fonts to be asked in.

    Attributes:
        training: To learn from.
        weights: How often each of them is drawn, relative to the others.
        held_out: To be asked in.
    """

    training: tuple[Font, ...]
    weights: tuple[float, ...]
    held_out: tuple[Font, ...]

    def draw(self, rng: random.Random) -> Font:
        """One to learn from."""
        return rng.choices(self.training, self.weights)[0]


def find_fonts(folders: Sequence[Path] = FONT_FOLDERS) -> Fonts:
    """The fonts for text below `folders`; without those of `HELD_OUT` the last one by name is held out.

    Raises:
        SourceError: There are fewer than two.
    """
    paths = sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in FONT_SUFFIXES and not _NOT_FOR_TEXT.search(path.name)
    )
    if len(paths) < 2:
        raise SourceError(
            f"{len(paths)} fonts for text, at least 2 are needed",
            where=", ".join(map(str, folders)),
            hint="apt-get install the fonts that pretraining/README.md lists, or give --fonts FOLDER",
        )
    held_out = [path for path in paths if path.stem in HELD_OUT] or paths[-1:]
    training = [path for path in paths if path not in held_out]
    return Fonts(tuple(training), tuple(font_weight(path.name) for path in training), tuple(held_out))


def font_weight(name: str) -> float:
    """How often the font of this file name is drawn, 1 for a plain upright roman."""
    weight = 1.0
    for pattern, factor in _WEIGHTS:
        if re.search(pattern, name):
            weight *= factor
    return weight


def read_words(path: Path = WORD_LIST) -> list[str]:
    """The ASCII words of a list, one a line; of those with an apostrophe a tenth.

    Raises:
        SourceError: There is no such list, or no word in it.
    """
    lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
    words = [word for word in lines if word.isascii() and _is_kept(word)]
    if not words:
        raise SourceError(
            "no list of words", where=str(path), hint="apt-get install wamerican, or give --words FILE"
        )
    return words


def _is_kept(word: str) -> bool:
    # Drawn by the word itself and not by its place, so that two machines keep the same ones.
    return "'" not in word or random.Random(word).random() < APOSTROPHES_KEPT


def read_prose(patterns: Sequence[str] = PROSE_FILES) -> list[str]:
    """Paragraphs of plain English from the files that match `patterns`, each in one line.

    Raises:
        SourceError: There are none.
    """
    # Resolved, because a folder may be there under two names.
    paths = {
        Path(name).resolve()
        for pattern in patterns
        for name in glob.glob(pattern, recursive=True)  # noqa: PTH207  # the patterns are absolute
    }
    found = [
        paragraph
        for path in sorted(paths)
        if path.is_file()
        for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8", errors="ignore"))
        if _is_prose(paragraph := " ".join(block.split()))
    ]
    if not found:
        raise SourceError(
            "no paragraph of English",
            where=", ".join(patterns),
            hint="apt-get install perl vim-runtime, or give --texts FOLDER with .txt files",
        )
    return found


def _is_prose(paragraph: str) -> bool:
    plain = sum(letter.isalpha() or letter in " .,;:'" for letter in paragraph)
    enough = len(paragraph) > LEAST_PARAGRAPH and plain > LEAST_LETTERS * len(paragraph)
    return enough and paragraph.isascii() and "|" not in paragraph


@dataclass(frozen=True, slots=True)
class LineTexts:
    """Draws what a line says.

    Attributes:
        prose: Paragraphs.
        words: Words.
    """

    prose: Sequence[str]
    words: Sequence[str]

    def draw(self, rng: random.Random, length: int) -> str:
        """A line of at least 1 and about `length` letters, without spaces around it."""
        text = self._draw_kind(rng, length)[:length].strip()
        if rng.random() < 0.15 and len(text) > 8 and text[-1].isalpha():
            text += "-"
        if rng.random() < 0.06:
            text = text.upper()
        return text or rng.choice(string.ascii_letters)

    def _draw_kind(self, rng: random.Random, length: int) -> str:
        (kind,) = rng.choices(("prose", "words", "invented", "numbers"), (45, 23, 24, 8))
        if kind == "prose":
            return self._cut_prose(rng, length)
        if kind == "numbers":
            return _joined(length, lambda: self._number(rng))
        word = invent_word if kind == "invented" else self._word
        return _sentence(rng, length, word)

    def _word(self, rng: random.Random) -> str:
        return rng.choice(self.words)

    def _cut_prose(self, rng: random.Random, length: int) -> str:
        paragraph = rng.choice(self.prose)
        start = rng.randrange(max(1, len(paragraph) - length))
        start = paragraph.find(" ", start) + 1 if start else 0
        text = paragraph[start : start + length]
        return text.replace("--", "—") if len(text) >= min(length, LEAST_PROSE) else paragraph[:length]

    def _number(self, rng: random.Random) -> str:
        number = str(rng.randrange(10 ** rng.randint(1, 5)))
        form = rng.choice((*_NUMBERS, "letter", "word"))
        if form == "letter":
            return rng.choice(string.ascii_uppercase) + "."
        return self._word(rng) if form == "word" else form.format(number)


def invent_word(rng: random.Random) -> str:
    """A word of common letters in no order, now and then of any letters."""
    length = rng.choice(_WORD_LENGTHS)
    if rng.random() < 0.1:
        return "".join(rng.choices(string.ascii_letters, k=length))
    word = "".join(rng.choices(_COMMON_LETTERS, k=length))
    return word.upper() if rng.random() < 0.06 else word


def _sentence(rng: random.Random, length: int, draw_word: Callable[[random.Random], str]) -> str:
    """Words with capitals and marks."""
    starts = rng.random() < 0.4

    def draw_part() -> str:
        nonlocal starts
        word = draw_word(rng)
        word = word.capitalize() if starts or rng.random() < 0.12 else word
        part = _with_mark(word, rng, draw_word)
        starts = part.endswith((".", "?", "!"))
        return part

    return _joined(length, draw_part)


def _with_mark(word: str, rng: random.Random, draw_word: Callable[[random.Random], str]) -> str:
    (mark,) = rng.choices(("", ",", "end", "inner", "pair", "hyphen"), (73, 10, 7, 4, 3, 3))
    if mark == "end":
        return word + rng.choice(".?!.")
    if mark == "inner":
        return word + rng.choice(";:")
    if mark == "pair":
        return rng.choice(_PAIRS).format(word, draw_word(rng))
    return f"{word}-{draw_word(rng)}" if mark == "hyphen" else word + mark


def _joined(length: int, draw_part: Callable[[], str]) -> str:
    text = draw_part()
    while len(text) < length:
        text += " " + draw_part()
    return text
