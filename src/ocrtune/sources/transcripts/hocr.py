"""hOCR → layouts, one for each `ocr_page`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.layout import (
    NOWHERE,
    Layout,
    Line,
    Notes,
    Points,
    Region,
    check_lines,
    join_words,
    one_line,
    rectangle,
)
from ocrtune.sources.transcripts.xml import Element, number, parse_html, points

_LINES = {
    "ocr_line": "",
    "ocrx_line": "",
    "ocr_header": "heading",
    "ocr_caption": "caption",
    "ocr_textfloat": "",
}
"""Classes of lines → the kind of a region that has only such lines."""

_REGIONS = {
    "ocr_par": "paragraph",
    "ocr_carea": "paragraph",
    "ocrx_block": "paragraph",
    "ocr_column": "paragraph",
    "ocr_title": "heading",
    "ocr_chapter": "heading",
    "ocr_section": "heading",
    "ocr_table": "table",
    "ocr_pageno": "page-number",
    "ocr_footer": "footer",
    "ocr_page": "paragraph",
}
"""Classes of what lines stand in → its kind; the nearest one around a line is its region."""

_WORDS = frozenset({"ocrx_word", "ocr_word"})
_FIGURES = frozenset({"ocr_photo", "ocr_image", "ocr_linedrawing"})
_PIECE = re.compile(r"""[^;"']+|"[^"]*"|'[^']*'|.""", re.DOTALL)
_PROPERTY = re.compile(r"\s*([A-Za-z_]\w*)(.*)", re.DOTALL)


def read_hocr(path: Path) -> list[Layout]:
    """The pages of an hOCR file, in the order of the file; what is odd about them is told in their findings.

    Raises:
        TranscriptError: The file cannot be read as HTML, or has no `ocr_page`.
    """
    root = parse_html(path)
    pages = [element for element in root.iter() if "ocr_page" in _classes(element)]
    if not pages:
        raise TranscriptError(
            "there is no element of class ocr_page", where=str(path), hint="is it hOCR, or another HTML file?"
        )
    return [_layout(page, place, path) for place, page in enumerate(pages, start=1)]


def _layout(page: Element, place: int, path: Path) -> Layout:
    notes = Notes(path)
    facts = _properties(page)
    regions = tuple(_regions(page, notes))
    _note_words_alone(page, notes)
    check_lines(regions, notes)
    box = _box(facts, notes, at=page.get("id", ""))
    return Layout(
        image=facts.get("image", ""),
        size=(float(box[1, 0]), float(box[2, 1])) if len(box) else None,
        regions=regions,
        format="hocr",
        id=page.get("id") or f"page_{place}",
        findings=tuple(notes.findings),
        frame=None if (written := number(facts.get("ppageno"))) is None else int(written),
    )


def _note_words_alone(page: Element, notes: Notes) -> None:
    """Some programs write words without lines around them, which nothing can be cut out by."""
    words = (element for element in page.iterdescendants() if _WORDS & _classes(element))
    alone = sum(
        1 for word in words if not any(_classes(above) & _LINES.keys() for above in word.iterancestors())
    )
    if alone:
        notes.add(
            "words-without-line", "warning", f"words that stand in no line are left out: {alone}", at=page.get("id", ""),
            hint="export it once more with lines, as elements of class ocr_line",
        )  # fmt: skip


def _regions(page: Element, notes: Notes) -> Iterator[Region]:
    holders: dict[Element, list[Element]] = {}
    for element in page.iterdescendants():
        if _FIGURES & _classes(element):
            holders[element] = []
        elif _is_line(element):
            holders.setdefault(_holder(element), []).append(element)
    for place, (holder, elements) in enumerate(holders.items(), start=1):
        name = holder.get("id") or f"region_{place}"
        lines = tuple(_line(element, f"{name}-{number}", notes) for number, element in enumerate(elements))
        turns = {line.turn_deg for line in lines} or {_turn_deg(holder)}
        is_page = holder is page
        yield Region(
            id=f"{name}-lines" if is_page else name,
            kind=_kind(holder, elements),
            polygon=_around(lines) if is_page else _polygon(_properties(holder), notes, at=name),
            lines=lines,
            element=holder,
            turn_deg=turns.pop() if len(turns) == 1 else _turn_deg(holder),
        )


def _is_line(element: Element) -> bool:
    """Of a class of lines; ocr_header and its like may also stand around lines."""
    if not _classes(element) & _LINES.keys():
        return False
    return not any(_classes(below) & _LINES.keys() for below in element.iterdescendants())


def _holder(line: Element) -> Element:
    return next(above for above in line.iterancestors() if _classes(above) & _REGIONS.keys())


def _kind(holder: Element, lines: Sequence[Element]) -> str:
    if _FIGURES & _classes(holder):
        return "figure"
    kinds = {next(kind for name, kind in _LINES.items() if name in _classes(line)) for line in lines}
    if len(kinds) == 1 and (kind := kinds.pop()):
        return kind
    return next(kind for name, kind in _REGIONS.items() if name in _classes(holder))


def _line(element: Element, name: str, notes: Notes) -> Line:
    name = element.get("id") or name
    facts = _properties(element)
    words = [word for word in element.iterdescendants() if _WORDS & _classes(word)]
    whole = "".join(element.itertext())
    pieces = ["".join(word.itertext()) for word in words]
    # Signs between the words are in no word, as some programs have it, and belong to the line all the same.
    if "".join("".join(pieces).split()) != "".join(whole.split()):
        pieces = whole.split()
    confidences = [value for word in words if (value := number(_properties(word).get("x_wconf"))) is not None]
    return Line(
        id=name,
        text=one_line(join_words(pieces)),
        polygon=_polygon(facts, notes, at=name),
        baseline=_baseline(facts, notes, at=name),
        confidence=sum(confidences) / len(confidences) / 100 if confidences else None,
        element=element,
        turn_deg=_turn_deg(element),
    )


def _turn_deg(element: Element) -> float:
    """Text is turned counter-clockwise by its `textangle`, or by that of what is around it."""
    chain = (element, *element.iterancestors())
    found = (value for each in chain if (value := number(_properties(each).get("textangle"))) is not None)
    return next(found, 0.0)


def _classes(element: Element) -> frozenset[str]:
    return frozenset((element.get("class") or "").split()) if isinstance(element.tag, str) else frozenset()


def _properties(element: Element) -> dict[str, str]:
    """The properties in an element's title: `bbox 1 2 3 4; image "a;b.png"`."""
    matches = map(_PROPERTY.fullmatch, _statements(element.get("title") or ""))
    return {match[1]: _unquoted(match[2].strip()) for match in matches if match}


def _statements(title: str) -> Iterator[str]:
    """What stands between semicolons; one between quotes parts nothing. One expression for all took cubic time."""
    parts: list[str] = []
    for piece in _PIECE.findall(title):
        if piece == ";":
            yield "".join(parts)
            parts = []
        else:
            parts.append(piece)
    yield "".join(parts)


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _box(facts: dict[str, str], notes: Notes, *, at: str) -> Points:
    corners = points(facts.get("bbox"), notes, at=at, fewest=2)
    if len(corners) != 2 or (corners[1] <= corners[0]).any():  # noqa: PLR2004 - left upper, right lower
        return NOWHERE
    return rectangle(*corners[0], *corners[1])


def _polygon(facts: dict[str, str], notes: Notes, *, at: str) -> Points:
    outline = points(facts.get("poly"), notes, at=at)
    return outline if len(outline) else _box(facts, notes, at=at)


def _baseline(facts: dict[str, str], notes: Notes, *, at: str) -> Points | None:
    """`baseline slope offset`, from the left lower corner of the box."""
    box = _box(facts, notes, at=at)
    values = [number(part) for part in facts.get("baseline", "").split()]
    if not len(box) or len(values) != 2 or values[0] is None or values[1] is None:  # noqa: PLR2004 - slope, offset
        return None
    (left, _), (right, bottom) = box[0], box[2]
    start = bottom + values[1]
    return np.array([(left, start), (right, start + values[0] * (right - left))])


def _around(lines: Sequence[Line]) -> Points:
    known = [line.polygon for line in lines if len(line.polygon)]
    if not known:
        return NOWHERE
    corners = np.concatenate(known)
    return rectangle(*corners.min(axis=0), *corners.max(axis=0))
