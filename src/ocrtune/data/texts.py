"""What can be wrong with the text of a page."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from ocrtune.data.examples import control_tokens
from ocrtune.families import Family
from ocrtune.records import Finding, Page

LONGEST_CHARS_PER_POSITION = 3
"""Print takes about three characters a token; a longer text than positions times this hardly fits."""

_TOKEN_LIKE = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>")
_REPLACEMENT = "\ufffd"
_INVISIBLE = frozenset("\u00ad\u200b\u2060\ufeff")
_PLAIN_CONTROLS = frozenset("\t\n\r")


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
        yield from _check_characters(page.text, page.where)
        yield from _check_tokens(page.text, page.where, families)
        yield from _check_length(page.text, page.where, families)


def _check_characters(text: str, where: str) -> Iterator[Finding]:
    characters = set(text)
    categories = {unicodedata.category(character) for character in characters - _PLAIN_CONTROLS}
    if _REPLACEMENT in characters:
        yield Finding(
            code="replacement-character",
            severity="warning",
            message="the text holds U+FFFD, which stands for a letter lost in a wrong decoding",
            where=where,
            hint="read the text from its source again, with the right encoding",
        )
    if "Cc" in categories:
        yield Finding(
            code="control-character",
            severity="warning",
            message="the text holds control characters",
            where=where,
            hint="delete them: they cannot be seen on the page",
        )
    if "Co" in categories:
        yield Finding(
            code="private-use-character",
            severity="warning",
            message="the text holds private-use characters, often a font's own codes out of a PDF",
            where=where,
            hint="map them to real letters",
        )
    if characters & _INVISIBLE:
        yield Finding(
            code="invisible-character",
            severity="note",
            message="the text holds soft hyphens, zero-width spaces or byte order marks",
            where=where,
            hint="delete them unless the model is to write them",
        )


def _check_tokens(text: str, where: str, families: Sequence[Family]) -> Iterator[Finding]:
    known = {token for family in families for token in family.vocabulary.published_ids}
    found = sorted({token for family in families for token in control_tokens(family) if token in text})
    if found:
        yield Finding(
            code="control-token",
            severity="error",
            message=f"the text holds {' and '.join(found)}, which the model takes as control",
            where=where,
            hint="delete it: ocrtune adds these tokens itself",
        )
    strange = sorted(set(_TOKEN_LIKE.findall(text)) - known)
    if strange:
        yield Finding(
            code="role-marker",
            severity="warning",
            message=f"the text holds {' and '.join(strange[:3])}, which looks like a special token",
            where=where,
            hint="chat role markers have no place here: the families use plain prompts and answers",
        )


def _check_length(text: str, where: str, families: Sequence[Family]) -> Iterator[Finding]:
    positions = max(family.max_positions for family in families)
    most = positions * LONGEST_CHARS_PER_POSITION
    if len(text) > most:
        yield Finding(
            code="text-very-long",
            severity="warning",
            message=f"the text has more than {most} characters, too many for {positions} positions",
            where=where,
            hint="cut the page, or look whether the text is that of a whole document",
        )
