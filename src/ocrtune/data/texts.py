"""What can be wrong with the text of a page."""

import unicodedata
from collections.abc import Iterator, Sequence

from ocrtune.data.characters import check_characters
from ocrtune.data.encodings import find_other_encoding
from ocrtune.data.markup import check_markup
from ocrtune.data.mojibake import find_mojibake
from ocrtune.data.scripts import find_mixed_words
from ocrtune.families import Family
from ocrtune.records import Finding, Page
from ocrtune.text import shorten

LONGEST_CHARS_PER_POSITION = 3
"""Print takes about three characters a token; a longer text than positions times this hardly fits."""

_MOST_SHOWN = 30


def check_text(page: Page, families: Sequence[Family]) -> Iterator[Finding]:
    """What is wrong with the page's text, one finding for each kind."""
    if page.text is None:
        yield Finding(
            code="text-missing",
            severity="error",
            message="the page has no text to learn",
            where=page.where,
            hint='give it a `text`; "" says that nothing stands on the page',
        )
    elif not page.text.strip():
        yield Finding(
            code="text-empty",
            severity="warning",
            message="the text is empty: the model learns that nothing stands on the page",
            where=page.where,
            hint="right for blank pages; otherwise write the text",
        )
    else:
        yield from check_characters(page.text, page.where)
        yield from _check_encoding(page.text, page.where)
        yield from _check_scripts(page.text, page.where)
        yield from check_markup(page.text, page.where, families)
        yield from _check_length(page.text, page.where, families)


def _check_encoding(text: str, where: str) -> Iterator[Finding]:
    other = find_other_encoding(text)
    if other is not None:
        yield Finding(
            code="encoding-other",
            severity="warning",
            message=f"the text is read in another encoding than it was written in: {_quote(other.found)} is no word",
            where=where,
            hint=f"read it as {other.meant_encoding}, not as {other.encoding}: the word is {_quote(other.meant)} then",
        )
    damage = find_mojibake(text)
    if damage is None:
        return
    more = f" and {damage.count - 1} more" if damage.count > 1 else ""
    yield Finding(
        code="mojibake",
        severity="warning",
        message=f"UTF-8 was read as {damage.encoding}: {_quote(damage.found)} means {_quote(damage.meant)}{more}",
        where=where,
        hint="read the text from its source as UTF-8; what is lost stays lost if the file was written so",
    )


def _check_scripts(text: str, where: str) -> Iterator[Finding]:
    mixed = list(find_mixed_words(text))
    if not mixed:
        return
    first = mixed[0]
    names = " and ".join(_name(letter) for letter in first.strangers[:3])
    more = f"; {len(mixed) - 1} more words" if len(mixed) > 1 else ""
    yield Finding(
        code="scripts-mixed",
        severity="warning",
        message=f"the {first.script} word {_quote(first.word)} holds {names}{more}",
        where=where,
        hint=f"write {_quote(first.repaired)}: the letters look the same, and the model cannot tell them apart",
    )


def _name(letter: str) -> str:
    return unicodedata.name(letter).title()


def _quote(text: str) -> str:
    return repr(shorten(text, _MOST_SHOWN))


def _check_length(text: str, where: str, families: Sequence[Family]) -> Iterator[Finding]:
    positions = max(family.max_positions for family in families)
    most = positions * LONGEST_CHARS_PER_POSITION
    if len(text) > most:
        yield Finding(
            code="text-very-long",
            severity="warning",
            message=f"the text has {len(text)} characters, more than {most}: too many for {positions} positions",
            where=where,
            hint="cut the page, or look whether the text is that of a whole document",
        )
