"""ALTO 1 to 4 → layouts, one for each page."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast, get_args

import numpy as np

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.layout import (
    NOWHERE,
    Layout,
    Line,
    Notes,
    Points,
    Region,
    Unit,
    check_lines,
    join_words,
    kind_named,
    note_unplaced,
    one_line,
    rectangle,
)
from ocrtune.sources.transcripts.xml import (
    Element,
    check_root,
    children,
    descendants,
    first,
    local,
    nearest_number,
    number,
    parse_xml,
    points,
)

VERSIONS = {
    "": "1",
    "http://schema.ccs-gmbh.com/ALTO": "",
    # The dialect of the Bibliothèque nationale de France.
    "http://bibnum.bnf.fr/ns/alto_prod": "",
    "http://www.loc.gov/standards/alto/ns-v2#": "2",
    "http://www.loc.gov/standards/alto/ns-v3#": "3",
    "http://www.loc.gov/standards/alto/ns-v4#": "4",
}
"""Namespace → version; the oldest namespace tells none."""

_BLOCKS = ("TextBlock", "Illustration", "GraphicalElement", "ComposedBlock")
# The schema has the margins before the print space, but a footer is read behind it.
_SPACES = {
    "TopMargin": "header",
    "LeftMargin": "marginalia",
    "PrintSpace": "paragraph",
    "RightMargin": "marginalia",
    "BottomMargin": "footer",
}
_KINDS_BY_ELEMENT = {"Illustration": "figure", "GraphicalElement": "separator"}
_SOFT_HYPHENS = frozenset("\u00ad¬")
"""What programs write for a hyphen that only parts a word; ABBYY writes ¬."""


def read_alto(path: Path) -> list[Layout]:
    """The pages of an ALTO file, in its own unit; what is odd about them is told in their findings.

    A line's text is what is printed: a word parted at its end keeps the hyphen, and `SUBS_CONTENT` is left alone.

    Raises:
        TranscriptError: The file is no ALTO of a known version, or measures in an unknown unit.
    """
    root = parse_xml(path)
    version = check_root(root, "alto", VERSIONS, path)
    unit = _unit(root, path)
    image = next((name.text or "" for name in descendants(root, "fileName")), "").strip()
    pages = list(descendants(root, "Page"))
    if not pages:
        raise TranscriptError("there is no <Page> in the file", where=str(path))
    layouts = []
    for page in pages:
        notes = Notes(path)
        regions = tuple(_Reader(root, page, notes).regions())
        num_lines = sum(len(region.lines) for region in regions)
        note_unplaced(sum(1 for _ in descendants(page, "TextLine")) - num_lines, notes)
        check_lines(regions, notes)
        layouts.append(
            Layout(
                image=image,
                size=_size(page),
                regions=regions,
                format="alto",
                version=version,
                unit=unit,
                id=page.get("ID", ""),
                findings=tuple(notes.findings),
                frame=_frame(page),
            )
        )
    return layouts


class _Reader:
    """One page; `labels` are the names of tags by id, `ranks` the places in the reading order."""

    def __init__(self, root: Element, page: Element, notes: Notes) -> None:
        self._page = page
        self._notes = notes
        self._labels = _labels(root)
        self._ranks = {identifier: rank for rank, identifier in enumerate(_references(root))}

    def regions(self) -> Iterator[Region]:
        found = [self._region(block, kind) for block, kind in self._blocks()]
        written = [region for region in found if region.lines]
        if len(written) > 1 and not self._ranks:
            self._notes.add(
                "reading-order-missing", "note", "the file tells no reading order; regions are read as they come",
            )  # fmt: skip
        yield from sorted(found, key=self._rank)

    def _rank(self, region: Region) -> int:
        """The place of a region, or of the first of its lines that has one; behind all others without any."""
        names = (region.id, *(line.id for line in region.lines))
        return min((self._ranks[name] for name in names if name in self._ranks), default=len(self._ranks))

    def _blocks(self) -> Iterator[tuple[Element, str]]:
        """Blocks that are regions, with the kind that their place on the page suggests."""
        for space, kind in _SPACES.items():
            for element in children(self._page, space):
                for block in self._unfolded(element):
                    yield block, kind

    def _unfolded(self, parent: Element) -> Iterator[Element]:
        for block in children(parent, *_BLOCKS):
            if local(block) == "ComposedBlock" and self._label(block) != "table":
                yield from self._unfolded(block)
            else:
                yield block

    def _label(self, block: Element) -> str:
        """What tags or the TYPE of a block say that it is; empty where they say nothing."""
        tags = (block.get("TAGREFS") or "").split()
        label = next((self._labels[tag] for tag in tags if tag in self._labels), block.get("TYPE") or "")
        return kind_named(label) if label else ""

    def _region(self, block: Element, kind: str) -> Region:
        name = block.get("ID") or f"{local(block)}-{block.sourceline}"
        elements = list(descendants(block, "TextLine"))
        if elements and all(element.get("ID") in self._ranks for element in elements):
            elements.sort(key=lambda element: self._ranks[element.get("ID")])
        lines = tuple(self._line(element, f"{name}-{place}") for place, element in enumerate(elements))
        # Text is turned counter-clockwise by so much, says the schema, and so is all that is in a block.
        turn_deg = nearest_number(block, "ROTATION")
        shape = self._polygon(block, name)
        return Region(
            id=name,
            kind=self._label(block) or _KINDS_BY_ELEMENT.get(local(block), kind),
            polygon=shape if len(shape) else _around(line.polygon for line in lines),
            lines=lines,
            element=block,
            turn_deg=turn_deg,
        )

    def _line(self, element: Element, name: str) -> Line:
        name = element.get("ID") or name
        strings = list(children(element, "String"))
        shape = self._polygon(element, name)
        if not len(shape):
            shape = _around(self._polygon(string, name) for string in strings)
        confidences = [value for string in strings if (value := number(string.get("WC"))) is not None]
        return Line(
            id=name,
            text=one_line(_text(element)),
            polygon=shape,
            baseline=self._baseline(element, shape, name),
            confidence=sum(confidences) / len(confidences) if confidences else None,
            element=element,
            turn_deg=nearest_number(element, "ROTATION"),
        )

    def _polygon(self, element: Element, name: str) -> Points:
        shape = first(element, "Shape")
        polygon = None if shape is None else first(shape, "Polygon")
        found = NOWHERE if polygon is None else points(polygon.get("POINTS"), self._notes, at=name)
        return found if len(found) else _box(element)

    def _baseline(self, element: Element, shape: Points, name: str) -> Points | None:
        """A list of points, or the height of a level line, as versions before 4 have it."""
        written = element.get("BASELINE")
        height = number(written)
        if height is not None and len(shape):
            (left, _), (right, _) = shape.min(axis=0), shape.max(axis=0)
            return np.array([(left, height), (right, height)])
        found = points(written, self._notes, at=name, fewest=2)
        return found if len(found) else None


def _references(root: Element) -> Iterator[str]:
    for order in descendants(root, "ReadingOrder"):
        for reference in descendants(order, "ElementRef"):
            yield from (reference.get("REF") or "").split()


def _labels(root: Element) -> Mapping[str, str]:
    tags = next(descendants(root, "Tags"), None)
    return {} if tags is None else {tag.get("ID"): tag.get("LABEL") or "" for tag in tags if tag.get("ID")}


def _text(line: Element) -> str:
    pieces = list(children(line, "String", "SP", "HYP"))
    # Some programs write no spaces at all, and then every String is a word.
    begins_word = "SP" if any(local(piece) == "SP" for piece in pieces) else "String"
    words = [""]
    for piece in pieces:
        if local(piece) == begins_word:
            words.append("")
        if local(piece) == "HYP":
            words[-1] = _hyphenated(words[-1], piece.get("CONTENT") or "-")
        elif local(piece) == "String":
            words[-1] += piece.get("CONTENT") or ""
    return join_words(words)


def _hyphenated(word: str, hyphen: str) -> str:
    """The word with its hyphen as it is printed; some programs write it into the String too."""
    printed = "-" if hyphen in _SOFT_HYPHENS else hyphen
    return f"{word.removesuffix(hyphen).removesuffix(printed)}{printed}"


def _box(element: Element) -> Points:
    left, top, width, height = (number(element.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    if left is None or top is None or width is None or height is None or width <= 0 or height <= 0:
        return NOWHERE
    return rectangle(left, top, left + width, top + height)


def _around(shapes: Iterable[Points]) -> Points:
    known = [shape for shape in shapes if len(shape)]
    if not known:
        return NOWHERE
    corners = np.concatenate(known)
    return rectangle(*corners.min(axis=0), *corners.max(axis=0))


def _size(page: Element) -> tuple[float, float] | None:
    width, height = number(page.get("WIDTH")), number(page.get("HEIGHT"))
    return (width, height) if width and height and min(width, height) > 0 else None


def _frame(page: Element) -> int | None:
    written = number(page.get("PHYSICAL_IMG_NR"))
    return None if written is None else int(written)


def _unit(root: Element, path: Path) -> Unit:
    written = (
        next((unit.text or "" for unit in descendants(root, "MeasurementUnit")), "pixel").strip().lower()
    )
    if written not in get_args(Unit):
        raise TranscriptError(
            f"unknown MeasurementUnit {written!r}",
            where=str(path),
            hint=f"known: {', '.join(get_args(Unit))}",
        )
    return cast("Unit", written)
