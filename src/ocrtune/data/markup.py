"""Boxes and tables inside a text: tags that match, boxes that can be read, and tokens that were meant as letters."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ocrtune.data.characters import around
from ocrtune.data.examples import control_tokens
from ocrtune.families import Family
from ocrtune.families.family import Grounding
from ocrtune.families.grounding import LAST
from ocrtune.records import Finding
from ocrtune.text import shorten

GROUNDING = "<|grounding|>"

_TOKEN_LIKE = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>")
_TAG = re.compile(r"<\|(?P<box>/?(?:ref|det))\|>|<(?P<cell>/?(?:table|tr|td|th))(?:\s[^<>]*)?>")
_BOX_TEXT = re.compile(r"<\|det\|>(.*?)<\|/det\|>", re.DOTALL)
_BOX = r"\[\s*-?\d+\s*(?:,\s*-?\d+\s*){3}\]"
_FORMS: Mapping[Grounding, re.Pattern[str]] = {
    "ref-det": re.compile(rf"\s*\[\s*{_BOX}(?:\s*,\s*{_BOX})*\s*\]\s*"),
    "det": re.compile(rf"\s*[^\[\]]*{_BOX}\s*"),
}
_SHOWN: Mapping[Grounding, str] = {
    "ref-det": "<|ref|>text<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>",
    "det": "<|det|>text [x1, y1, x2, y2]<|/det|>",
}
_ONE_BOX = re.compile(_BOX)
_MOST_SHOWN = 60


def check_markup(text: str, where: str, families: Sequence[Family]) -> Iterator[Finding]:
    """Special tokens and tags of a text that will not be taken as they were meant, one finding for each kind."""
    if "<" not in text:
        return
    yield from _check_tokens(text, where, families)
    tags = list(_TAG.finditer(text))
    lone = _lone(tags)
    if lone:
        yield Finding(
            code="markup-in-text",
            severity="warning",
            message=f"{lone[0][0]} stands alone: {around(text, lone[0].start())}; the model reads a special token",
            where=where,
            hint="if the page shows these very letters, write them as &lt;…&gt;",
        )
    else:
        yield from _check_balance(text, tags, where)
    yield from _check_boxes(text, where, families)


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
    if GROUNDING in text:
        yield Finding(
            code="prompt-token",
            severity="warning",
            message=f"the text holds {GROUNDING}, which belongs in prompts",
            where=where,
            hint="move it to the page's `prompt`, or delete it",
        )


def _lone(tags: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """Tags of which the text has none that closes or opens them, where no table begins that they could be in."""
    counts = Counter(_name(tag) for tag in tags)
    if counts["table"] or counts["/table"]:
        return []
    lone = [tag for tag in tags if not counts[_partner(_name(tag))]]
    return lone if len(lone) == len(tags) else []


def _check_balance(text: str, tags: Sequence[re.Match[str]], where: str) -> Iterator[Finding]:
    wrong = _first_unbalanced(tags)
    if wrong is None:
        return
    tag, told = wrong
    line = text.count("\n", 0, tag.start()) + 1
    yield Finding(
        code="markup-unbalanced",
        severity="warning",
        message=f"{tag[0][:_MOST_SHOWN]} in line {line} {told}: {around(text, tag.start())}",
        where=where,
        hint="open and close each tag; the model learns what it is shown",
    )


def _first_unbalanced(tags: Sequence[re.Match[str]]) -> tuple[re.Match[str], str] | None:
    """The first tag that closes what is not open, or stays open."""
    stack: list[re.Match[str]] = []
    for tag in tags:
        if not _name(tag).startswith("/"):
            stack.append(tag)
        elif stack and _name(stack[-1]) == _partner(_name(tag)):
            stack.pop()
        elif any(_name(opened) == _partner(_name(tag)) for opened in stack):
            return stack[-1], f"is not closed before {tag[0]}"
        else:
            return tag, "closes nothing"
    return (stack[-1], "is never closed") if stack else None


def _name(tag: re.Match[str]) -> str:
    return str(tag["box"] or tag["cell"])


def _partner(name: str) -> str:
    return name[1:] if name.startswith("/") else f"/{name}"


def _check_boxes(text: str, where: str, families: Sequence[Family]) -> Iterator[Finding]:
    wanted = {family.grounding for family in families}
    found: dict[str, Finding] = {}
    for inside in _BOX_TEXT.findall(text):
        for finding in _check_box_text(inside, wanted, where):
            found.setdefault(finding.code, finding)
    yield from found.values()


def _check_box_text(inside: str, wanted: set[Grounding], where: str) -> Iterator[Finding]:
    shown = repr(shorten(inside, _MOST_SHOWN))
    right = " or ".join(_SHOWN[form] for form in sorted(wanted))
    form = next((name for name, pattern in _FORMS.items() if pattern.fullmatch(inside)), None)
    if form is None:
        yield Finding(
            code="box-unreadable",
            severity="error",
            message=f"a box cannot be read: {shown}",
            where=where,
            hint=f"write {right}, in whole numbers of 0 to {LAST}",
        )
        return
    if form not in wanted:
        yield Finding(
            code="box-form",
            severity="warning",
            message=f"a box has the form of another family: {shown}",
            where=where,
            hint=f"write {right}",
        )
    for box in _ONE_BOX.findall(inside):
        left, top, right_edge, bottom = (int(number) for number in re.findall(r"-?\d+", box))
        yield from _check_box((left, top, right_edge, bottom), where)


def _check_box(box: tuple[int, int, int, int], where: str) -> Iterator[Finding]:
    left, top, right, bottom = box
    if min(box) < 0 or max(box) > LAST:
        yield Finding(
            code="box-outside",
            severity="error",
            message=f"a box reaches beyond the scale of 0 to {LAST}: {list(box)}",
            where=where,
            hint=f"boxes are in thousandths of the image's width and height, not in pixels; its edge is {LAST}",
        )
    if left > right or top > bottom:
        yield Finding(
            code="box-inverted",
            severity="error",
            message=f"a box ends before it begins: {list(box)}",
            where=where,
            hint="left, top, right, bottom is the order; x, y, width, height is not",
        )
    elif left == right or top == bottom:
        yield Finding(
            code="box-empty",
            severity="warning",
            message=f"a box has no area: {list(box)}",
            where=where,
            hint="delete it, or measure it again",
        )
