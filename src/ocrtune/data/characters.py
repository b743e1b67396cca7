"""Characters that cannot be seen on a page, or that one text writes in two ways: what is found, and what is mended."""

import re
import unicodedata
from collections.abc import Iterator
from html import unescape
from itertools import pairwise

from ocrtune.data.scripts import script_of
from ocrtune.records import Finding

REPLACEMENT = "\ufffd"
SOFT_HYPHEN = "\u00ad"

_LOST_TWICE = "锟斤拷"
"""What two of them become that were written as UTF-8 and read as GBK."""

# Behind the C1 codes: marks of annotations and of objects, deprecated marks of formatting, and what is no character at all.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u206a-\u206f\ufff9-\ufffc\ufdd0-\ufdef\ufffe\uffff]"
)
_LINE_BREAKING = re.compile("[\x0b\x0c\x1c-\x1e]")
# Backspace and escape act on the letters beside them, and those above U+007F may be letters wrongly read.
_HARMLESS = re.compile("[\x00-\x07\x0e-\x1a\x1f\x7f]")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")

_ZERO_WIDTH_SPACE = "\u200b"
_NEVER_SEEN = f"{_ZERO_WIDTH_SPACE}\u2060-\u2064\ufeff"
_JOINERS = "\u200c\u200d"
_DIRECTIONS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"
_INVISIBLE = re.compile(f"[{SOFT_HYPHEN}{_NEVER_SEEN}{_JOINERS}{_DIRECTIONS}]")
_DIRECTION = re.compile(f"[{_DIRECTIONS}]")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_WITHOUT_JOINERS = frozenset({"Latin", "Cyrillic", "Greek"})
_WITHOUT_SPACES = frozenset(
    {"Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Javanese", "Balinese", "Tai", "New"}
)
"""Scripts that part words by U+200B if by anything; names begin so in Unicode."""

_COMPATIBLE = re.compile("[\u2e9f\u2ef3\u2f00-\u2fd5\ufb50-\ufd3d\ufd50-\ufdc7\ufe70-\ufefc]")
"""Radicals of Chinese characters, and Arabic letters in the form they have within a word."""

_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_WRITTEN_SO = frozenset({"&lt;", "&gt;", "&amp;", "&quot;", "&apos;", "&#39;"})
"""Texts need these to show signs of HTML."""

_HANGUL_PARTS = re.compile("[\u1160-\u11ff]")


def check_characters(text: str, where: str) -> Iterator[Finding]:
    """Lost, control, private-use and invisible characters of a text, and letters put together of parts."""
    lost = next((each for each in (REPLACEMENT, _LOST_TWICE) if each in text), None)
    if lost is not None:
        told = "U+FFFD" if lost == REPLACEMENT else f"{lost}, which is U+FFFD read as GBK"
        yield Finding(
            code="replacement-character",
            severity="warning",
            message=f"the text holds {told}, a letter lost in a wrong decoding: {around(text, text.index(lost))}",
            where=where,
            hint="read the text from its source again, with the right encoding",
        )
    if found := _names(_CONTROL.findall(text)):
        yield Finding(
            code="control-character",
            severity="warning",
            message=f"the text holds control characters: {found}",
            where=where,
            hint="delete them: they cannot be seen on the page",
        )
    if found := _names(_PRIVATE.findall(text)):
        yield Finding(
            code="private-use-character",
            severity="warning",
            message=f"the text holds private-use characters, often a font's own codes out of a PDF: {found}",
            where=where,
            hint="map them to real letters",
        )
    if found := _names([text[place] for place in _invisible(text)]):
        yield Finding(
            code="invisible-character",
            severity="note",
            message=f"the text holds characters that cannot be seen: {found}",
            where=where,
            hint="delete them unless the model is to write them",
        )
    yield from _check_other_writing(text, where)
    yield from _check_form(text, where)


def repair_controls(text: str) -> str:
    """`text` without control characters that do nothing; those that break lines are line breaks."""
    return _HARMLESS.sub("", _LINE_BREAKING.sub("\n", text))


def repair_invisible(text: str) -> str:
    """`text` without what is never seen; a soft hyphen at the end of a line is seen, and stays."""
    drop = {place for place in _invisible(text) if not _ends_line(text, place)}
    return "".join(character for place, character in enumerate(text) if place not in drop) if drop else text


def repair_form(text: str) -> str:
    """`text` in Unicode's form NFC."""
    return unicodedata.normalize("NFC", text)


def around(text: str, place: int, letters: int = 12) -> str:
    """A few letters on either side of a place, quoted."""
    start, end = max(0, place - letters), place + letters + 1
    return f"{'…' if start else ''}{text[start:end]!r}{'…' if end < len(text) else ''}"


def _check_other_writing(text: str, where: str) -> Iterator[Finding]:
    """Letters that stand for others which look the same, and names of letters."""
    if found := list(dict.fromkeys(_COMPATIBLE.findall(text))):
        usual = unicodedata.normalize("NFKC", found[0])
        yield Finding(
            code="presentation-form",
            severity="warning",
            message=f"letters are written as forms of print, as PDFs give them: {_names(found)}",
            where=where,
            hint=f"write {usual!r} for {found[0]!r}; data.normalization.unicode: NFKC does for all, and makes ² and ½ plain too",
        )
    references = [each for each in _REFERENCE.findall(text) if each not in _WRITTEN_SO] if "&" in text else []
    references = [each for each in references if unescape(each) != each]
    if references:
        yield Finding(
            code="character-reference",
            severity="note",
            message=f"the text holds {references[0]} for {unescape(references[0])!r}, and {len(references) - 1} more",
            where=where,
            hint="write the letters themselves, unless the page shows HTML",
        )


def _check_form(text: str, where: str) -> Iterator[Finding]:
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return
    composed = [pair for pair in pairwise(text) if _composes(*pair)]
    if not composed:
        return
    shown = "".join(composed[0])
    if any(len(unicodedata.normalize("NFD", character)) > 1 for character in set(text)):
        yield Finding(
            code="unicode-form-mixed",
            severity="warning",
            message=f"some letters are written as one character, others as letter and sign: {len(composed)} such as {shown!r}",
            where=where,
            hint="write all in NFC; data.normalization.unicode: NFC, the default, does",
        )
    else:
        yield Finding(
            code="unicode-form-decomposed",
            severity="note",
            message=f"letters with signs are written as two characters: {len(composed)} such as {shown!r}",
            where=where,
            hint="nothing to do with data.normalization.unicode: NFC, the default, which makes them one",
        )


def _composes(letter: str, sign: str) -> bool:
    is_sign = unicodedata.combining(sign) or _HANGUL_PARTS.match(sign)
    return bool(is_sign) and len(unicodedata.normalize("NFC", letter + sign)) == 1


def _invisible(text: str) -> Iterator[int]:
    """Places of characters that do nothing there; joiners and directions have work in some scripts."""
    if text.isascii():
        return
    places = [match.start() for match in _INVISIBLE.finditer(text)]
    directed = bool(places) and any(
        unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in _visible(text)
    )
    for place in places:
        character = text[place]
        if character in _JOINERS:
            near = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
            if near and all(letter.isspace() or script_of(letter) in _WITHOUT_JOINERS for letter in near):
                yield place
        elif not (directed and _DIRECTION.match(character)) and not _parts_words(text, place):
            yield place


def _parts_words(text: str, place: int) -> bool:
    """Whether a zero-width space stands beside a script that writes no others."""
    near = text[max(0, place - 2) : place] + text[place + 1 : place + 3]
    return text[place] == _ZERO_WIDTH_SPACE and any(script_of(letter) in _WITHOUT_SPACES for letter in near)


def _visible(text: str) -> set[str]:
    return {character for character in set(text) if not _DIRECTION.match(character)}


def _ends_line(text: str, place: int) -> bool:
    return text[place] == SOFT_HYPHEN and text[place + 1 : place + 2] in {"\n", "\r"}


def _names(characters: list[str]) -> str:
    distinct = list(dict.fromkeys(characters))
    told = ", ".join(f"U+{ord(character):04X}" for character in distinct[:3])
    return f"{told} and {len(distinct) - 3} more" if len(distinct) > 3 else told  # noqa: PLR2004 - fits a line
