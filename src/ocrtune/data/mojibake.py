"""UTF-8 that was read in another encoding: found by undoing it, and undone where the result makes sense."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType

from ocrtune.data.scripts import COMMON, script_of

MOST_ROUNDS = 3
"""How often a text may have been read wrongly, one time on top of the other."""

# Not code pages 437 and 850: they share signs that stand for other bytes, and one would be mended as the other.
_CODECS: Mapping[str, str] = MappingProxyType(
    {
        "cp1252": "Windows-1252",
        "latin-1": "Latin-1",
        "cp1251": "Windows-1251",
        "koi8-r": "KOI8-R",
        "mac-roman": "Mac Roman",
        "cp866": "code page 866",
        "cp1250": "Windows-1250",
    }
)

_FIRST_OF_TWO, _FIRST_OF_THREE, _FIRST_OF_FOUR = range(0xC2, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF5)
_FOLLOWING = range(0x80, 0xC0)

_LATIN = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ"
    "ĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĢģĪīĮįİıĶķĹĺĻļĽľŁłŃńŅņŇňŐőŒœŔŕŘřŚśŞşŠšŢţŤťŪūŮůŰűŲųŴŵŶŷŸŹźŻżŽžȘșȚțĨĩŨũƠơƯư"
)
"""Letters with signs that common languages write; others are more likely chance than a word."""

_VIETNAMESE = re.compile("[\u1ea0-\u1ef9]")
"""They take three bytes, which hardly stand together by chance."""

_ENDING = frozenset("…„“”‚‘’†‡–—»›•")  # noqa: RUF001
"""What may follow a word in capitals: `MANHÃ…` holds no `Å`."""

_PUNCTUATION = frozenset("‐‑‒–—―‘’‚“”„†‡•…‰′″‹›€№™−\ufeff")  # noqa: RUF001
"""What takes three bytes in UTF-8 and hardly anything else can turn into its remains."""

_LATIN_SYMBOLS = frozenset("ªºƒ")
_SIGNS = frozenset("«»°§©®£¢±½¼¾·¿¡")
_FEWEST_TOGETHER = 2
_BASIC_CYRILLIC = re.compile("[\u0401-\u045f\u0462\u0463\u0472-\u0475\u0490\u0491]")
_BASIC_GREEK = re.compile("[\u0386-\u03ce]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mojibake:
    """What of a text was read in the wrong encoding.

    Attributes:
        encoding: The wrong encoding, as people call it.
        found: The first damaged piece.
        meant: What it should say.
        count: How many pieces are damaged.
        repaired: The whole text with all of them undone once.
    """

    encoding: str
    found: str
    meant: str
    count: int
    repaired: str


def find_mojibake(text: str) -> Mojibake | None:
    """The encoding that explains most of a text's damage; None for a text without any."""
    if text.isascii():
        return None
    found = [damage for codec in _CODECS if (damage := _undo(text, codec)) is not None]
    return min(found, key=lambda damage: len(damage.repaired), default=None)


def repair_mojibake(text: str) -> str | None:
    """`text` with its damage undone, also where it was done twice; None for a text without any."""
    repaired = text
    for _ in range(MOST_ROUNDS):
        damage = find_mojibake(repaired)
        if damage is None:
            break
        repaired = damage.repaired
    return None if repaired == text else repaired


@dataclass(frozen=True, slots=True)
class _Run:
    """Letters in a row that are bytes of UTF-8 in one encoding.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends.
        found: How it stands there.
        meant: How its bytes read as UTF-8.
        before: The letter before it, or a space.
        after: The letter behind it, or a space.
    """

    start: int
    end: int
    found: str
    meant: str
    before: str
    after: str


def _undo(text: str, codec: str) -> Mojibake | None:
    runs = [run for run in _runs(text, codec) if _is_likely(run)]
    # One run that nothing but damage explains is asked for; then those that may be chance are taken too.
    certain = [run for run in runs if _is_certain(run)]
    if not certain:
        return None
    pieces, end = [], 0
    for run in runs:
        pieces += [text[end : run.start], run.meant]
        end = run.end
    return Mojibake(
        encoding=_CODECS[codec],
        found=certain[0].found,
        meant=certain[0].meant,
        count=len(runs),
        repaired="".join([*pieces, text[end:]]),
    )


def _runs(text: str, codec: str) -> Iterator[_Run]:
    pattern, numbers = _table(codec)
    for match in pattern.finditer(text):
        start, end = match.span()
        try:
            meant = bytes(numbers[character] for character in match[0]).decode("utf-8")
        except UnicodeDecodeError:
            continue
        before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
        yield _Run(start, end, match[0], meant, before, after)


@cache
def _table(codec: str) -> tuple[re.Pattern[str], Mapping[str, int]]:
    """What finds bytes of UTF-8 in a text of this encoding, and the byte of each character.

    Bytes the encoding leaves undefined stand for the control characters of Latin-1, as browsers read them.
    """
    characters = [_decode(number, codec) for number in range(256)]
    first = [_one_of(characters, numbers) for numbers in (_FIRST_OF_TWO, _FIRST_OF_THREE, _FIRST_OF_FOUR)]
    following = _one_of(characters, _FOLLOWING)
    sequences = "|".join(f"{one}{following}{{{count}}}" for count, one in enumerate(first, start=1))
    numbers = {character: number for number, character in enumerate(characters)}
    return re.compile(f"(?:{sequences})+"), MappingProxyType(numbers)


def _decode(number: int, codec: str) -> str:
    try:
        return bytes([number]).decode(codec)
    except UnicodeDecodeError:
        return chr(number)


def _one_of(characters: list[str], numbers: range) -> str:
    return "[" + re.escape("".join(characters[number] for number in numbers)) + "]"


def _is_likely(run: _Run) -> bool:
    """Whether what was meant can be a word, or a part of one beside the letters around it."""
    scripts = {script_of(character) for character in run.meant} - {COMMON}
    if len(scripts) > 1 or not all(map(_is_plausible, run.meant)):
        return False
    around = [character for character in (run.before, run.after) if character.isalpha()]
    if not scripts:
        return run.meant in _PUNCTUATION or all(character.isascii() for character in around)
    return all(character.isascii() for character in around) and (scripts == {"Latin"} or not around)


def _is_plausible(character: str) -> bool:
    match script_of(character):
        case "Latin":
            return character in _LATIN | _LATIN_SYMBOLS or _VIETNAMESE.match(character) is not None
        case "Cyrillic":
            return _BASIC_CYRILLIC.match(character) is not None
        case "Greek":
            return _BASIC_GREEK.match(character) is not None
    return unicodedata.category(character) not in {"Cn", "Co", "Cs"}


def _is_certain(run: _Run) -> bool:
    """Whether the run as it stands is no writing of anybody's."""
    if len(run.meant) >= _FEWEST_TOGETHER:
        return _is_odd(run.found)
    if run.meant in _PUNCTUATION:
        return _is_odd(run.found) and not (run.before.isalpha() and run.found.isalpha())
    if run.meant in _SIGNS:
        return run.found[0] == "Â" and not run.before.isalpha()
    return (run.meant in _LATIN or _VIETNAMESE.match(run.meant) is not None) and _continues(run)


def _is_odd(found: str) -> bool:
    """Signs among letters, or small letters before capitals."""
    return not found.isalpha() or any(one.islower() and other.isupper() for one, other in pairwise(found))


def _continues(run: _Run) -> bool:
    """Whether one letter with a sign fits the plain letters around it: `MANHÃ»` holds no `û`."""
    if not (run.before.isalpha() or run.after.isalpha()) or run.found.isalpha():
        return False
    if run.before.isupper() and run.found[-1] in _ENDING and not run.after.isalpha():
        return False
    return not (run.before.isupper() and run.meant.islower() and not run.after.islower())
