"""A model's answer → regions in pixels: boxes of either family, tables, and text that stands anywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from ocrtune.families.grounding import LAST
from ocrtune.records import TextBox
from ocrtune.sources.transcripts.layout import Cell, Line, Points, Region, kind_named, rectangle
from ocrtune.transcription.tables import read_table

_NUMBERS = r"-?\d+(?:\s*,\s*-?\d+)*"
_PLAIN = r"(?:[^\n<]|<(?!\|))*+"
"""No mark stands inside another, and no sign is looked at twice: answers that loop are full of marks without an end."""

_MARK = re.compile(
    rf"<\|ref\|>(?P<ref>{_PLAIN})<\|/ref\|>\s*+<\|det\|>(?P<boxes>{_PLAIN})<\|/det\|>"
    rf"|<\|det\|>(?P<det>[^\n\[<]*+)\s*+(?P<box>\[{_NUMBERS}\])<\|/det\|>"
    rf"|<\|det\|>(?P<broken>{_PLAIN})<\|/det\|>"
)
"""A label with its boxes as v1 writes it, as Unlimited writes it, or a broken one."""

_STRAY = re.compile(r"<\|/?(?:ref|det|grounding)\|>")
_BOX = re.compile(rf"\[\s*({_NUMBERS})\s*\]")
_TABLE = re.compile(r"<table\b.*?</table\s*>", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6} +")
_CORNERS = 4

_KINDS = {
    "sub_title": "heading",
    "figure_title": "caption",
    "image_caption": "caption",
    "table_caption": "caption",
    "table_footnote": "footnote",
    "page_footnote": "footnote",
}
"""Labels of the models that no other program writes → kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer says of a page.

    Attributes:
        regions: In the order of the answer, in pixels.
        num_unplaced: Pieces whose box is missing or broken; their region is the whole page.
        is_grounded: The answer has boxes at all.
    """

    regions: tuple[Region, ...]
    num_unplaced: int = 0
    is_grounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    text: str
    label: str = ""
    box: Points | None = None


def read_answer(text: str, size: tuple[int, int]) -> Answer:
    """The regions of an answer about a whole page.

    Boxes of 0 to 999 become pixels. Lines are parted at line breaks, and share the height of their box evenly. Text
    without any box is one region of the whole page, and its lines have no places.

    Args:
        text: With boxes as DeepSeek-OCR or Unlimited-OCR writes them, or without.
        size: (width, height) of the upright image in pixels.
    """
    pieces = list(_pieces(text, size))
    is_grounded = any(piece.box is not None for piece in pieces) or bool(_STRAY.search(text))
    page = rectangle(0, 0, *size)
    regions = [region for piece in pieces for region in _regions(piece, page)]
    return Answer(
        regions=tuple(_named(region, f"r{place}") for place, region in enumerate(regions, start=1)),
        num_unplaced=sum(piece.box is None for piece in pieces) if is_grounded else 0,
        is_grounded=is_grounded,
    )


def has_boxes(text: str) -> bool:
    """Whether an answer has marks of boxes, whole or broken."""
    return bool(_STRAY.search(text))


def read_boxes(text: str, size: tuple[int, int]) -> tuple[TextBox, ...]:
    """The texts of an answer that have a place, in its order; of several boxes of one label the bounds.

    Args:
        text: With boxes as DeepSeek-OCR or Unlimited-OCR writes them.
        size: (width, height) of the upright image in pixels.
    """
    return tuple(
        TextBox(label=piece.label, text=piece.text, box=_whole_bounds(piece.box))
        for piece in _pieces(text, size)
        if piece.box is not None
    )


def _whole_bounds(box: Points) -> tuple[int, int, int, int]:
    (left, top), (right, bottom) = np.rint(box.min(axis=0)), np.rint(box.max(axis=0))
    return int(left), int(top), int(right), int(bottom)


def text_alone(text: str) -> str:
    """An answer about a region or line without its boxes; texts of several boxes are lines."""
    if not _STRAY.search(text):
        return text
    return "\n".join(piece.text for piece in _pieces(text, (LAST, LAST)))


def without_heading_mark(text: str) -> str:
    """The text of a heading without the `#` of Markdown."""
    return _HEADING.sub("", text)


def part_evenly(text: str, polygon: Points, name: str = "") -> tuple[Line, ...]:
    """Lines of a text, parted at its line breaks, that share the bounds of a polygon evenly in height."""
    texts = [part for line in text.splitlines() if (part := line.strip())]
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    step = (bottom - top) / max(len(texts), 1)
    return tuple(
        Line(
            id=f"{name}l{place + 1}",
            text=part,
            polygon=rectangle(left, top + place * step, right, top + (place + 1) * step),
            is_estimated=len(texts) > 1,
        )
        for place, part in enumerate(texts)
    )


def _named(region: Region, name: str) -> Region:
    lines = (replace(line, id=f"{name}l{place}") for place, line in enumerate(region.lines, start=1))
    return replace(region, id=name, lines=tuple(lines))


def _pieces(text: str, size: tuple[int, int]) -> Iterator[_Piece]:
    """What stands before the first mark, if anything, and then each mark with the text behind it."""
    marks = list(_MARK.finditer(text))
    begin = _clean(text[: marks[0].start()] if marks else text)
    if begin:
        yield _Piece(text=begin)
    for mark, following in zip_longest(marks, marks[1:]):
        behind = text[mark.end() : following.start() if following else None]
        label = mark["ref"] or mark["det"] or ""
        # A stray mark behind it: nobody knows where the box ends.
        box = None if _STRAY.search(behind) else _box(mark["boxes"] or mark["box"] or "", size)
        yield _Piece(text=_clean(behind), label=label.strip(), box=box)


def _clean(text: str) -> str:
    return _STRAY.sub("", text).strip("\r\n")


def _box(written: str, size: tuple[int, int]) -> Points | None:
    """The bounds of the boxes in pixels, or None where one of them is none."""
    boxes = [[int(value) for value in found.split(",")] for found in _BOX.findall(written)]
    if not boxes or not all(map(_is_box, boxes)):
        return None
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    width, height = size[0] / LAST, size[1] / LAST
    return rectangle(left * width, top * height, right * width, bottom * height)


def _is_box(values: list[int]) -> bool:
    if len(values) != _CORNERS or not all(0 <= value <= LAST for value in values):
        return False
    left, top, right, bottom = values
    return left <= right and top <= bottom


def _regions(piece: _Piece, page: Points) -> Iterator[Region]:
    kind = _KINDS.get(piece.label, kind_named(piece.label))
    polygon = page if piece.box is None else piece.box
    end = 0
    for table in _TABLE.finditer(piece.text):
        yield from _text_region(piece, piece.text[end : table.start()], _beside_table(kind), polygon)
        cells = read_table(table[0])
        if cells:
            yield place_table(cells, polygon)
        else:
            yield from _text_region(piece, table[0], _beside_table(kind), polygon)
        end = table.end()
    rest = piece.text[end:]
    if end == 0 and piece.box is not None and not rest.strip():
        yield Region(id="", kind=kind, polygon=polygon)
    else:
        yield from _text_region(piece, rest, _beside_table(kind) if end else kind, polygon)


def _beside_table(kind: str) -> str:
    return "paragraph" if kind == "table" else kind


def _text_region(piece: _Piece, text: str, kind: str, polygon: Points) -> Iterator[Region]:
    text = text.strip("\r\n")
    if not text.strip():
        return
    if kind == "heading":
        text = without_heading_mark(text)
    is_one_line = len(text.strip().splitlines()) == 1
    if piece.box is None and not is_one_line:
        yield Region(id="", kind=kind, polygon=polygon, text=text)
    else:
        yield Region(id="", kind=kind, polygon=polygon, lines=part_evenly(text, polygon))


def place_table(cells: list[Cell], polygon: Points, name: str = "") -> Region:
    """A table whose rows and columns share the bounds of a polygon evenly."""
    lines: list[Line] = []
    counted: list[Cell] = []
    for cell in cells:
        found = part_evenly(cell.text, cell_box(cell, cells, polygon))
        lines += [replace(line, is_estimated=True) for line in found]
        counted.append(replace(cell, text=" ".join(cell.text.split()), num_lines=len(found)))
    return _named(
        Region(id="", kind="table", polygon=polygon, lines=tuple(lines), cells=tuple(counted)), name
    )


def cell_box(cell: Cell, cells: list[Cell] | tuple[Cell, ...], polygon: Points) -> Points:
    """A cell's share of its table's bounds, rows and columns taken as even."""
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    width = (right - left) / max(each.column + each.column_span for each in cells)
    height = (bottom - top) / max(each.row + each.row_span for each in cells)
    return rectangle(
        left + cell.column * width,
        top + cell.row * height,
        left + (cell.column + cell.column_span) * width,
        top + (cell.row + cell.row_span) * height,
    )
