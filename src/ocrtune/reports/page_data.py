"""Pages → the compact block of JSON from which the page itself makes its rows.

A reading is kept as its differences from the reference: they are what is shown, they are those of `diff_spans`, and
they take a fraction of the text. A block that is large is packed by gzip, which browsers undo.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ocrtune.evaluation import diff_spans
from ocrtune.progress import track
from ocrtune.reports.records import Reading, Report, ReportPage
from ocrtune.reports.wording import show_controls

MAX_ALIGNED_RATE = 0.5
"""A worse reading is marked as a whole: letters that agree by chance would only make it hard to read."""

PACKED_ABOVE_BYTES = 2_000_000
"""A smaller block stays readable in the file."""

RUNAWAY, EMPTY, REPEATED = 1, 2, 4
"""Bits of `flags`."""

Edits = list[int | str]


def page_columns(report: Report) -> dict[str, Any]:
    """The pages in columns, one entry a page; what few pages have is keyed by the page's number.

    `reads` holds for each side the `edit_ops` of each page, `cer` and `flags` the like.
    """
    pages, sides = report.pages, range(len(report.sides))
    readings = [[page.readings[side] for page in pages] for side in sides]
    return {
        "sides": [show_controls(name) for name in report.sides],
        "names": [show_controls(page.name) for page in pages],
        "refs": [show_controls(page.reference) for page in pages],
        "reads": _reads(pages, len(report.sides)),
        "cer": [[float(f"{reading.cer:.6g}") for reading in column] for column in readings],
        "flags": [
            [_flags(page, reading) for page, reading in zip(pages, column, strict=True)]
            for column in readings
        ],
        "facts": [
            _few([[show_controls(fact) for fact in reading.facts] for reading in column])
            for column in readings
        ],
        "boxes": [_few([_boxes(reading) for reading in column]) for column in readings],
        "findings": _few([[show_controls(finding) for finding in page.findings] for page in pages]),
        "groups": _groups(pages),
    }


def edit_ops(reference: str, reading: Reading) -> Edits | str:
    """How a reading comes of the reference: [characters kept, characters left out, text put in, …].

    Each span of `diff_spans` that is not equal gives three entries, with what is kept before it; what follows the last
    is kept. A reading that is wrong by more than `MAX_ALIGNED_RATE`, or empty, is its text itself.
    """
    if reading.cer > MAX_ALIGNED_RATE or not reading.text:
        return reading.text
    ops: Edits = []
    kept = 0
    for span in diff_spans(reference, reading.text):
        if span.kind == "equal":
            kept = len(span.reference)
        else:
            ops += [kept, len(span.reference), span.prediction]
            kept = 0
    return ops


def json_block(identifier: str, value: Any, *, pack: bool = True) -> Markup:
    """`value` in a `<script>` that runs nothing; `read(identifier)` of the page's script gives it back.

    No `<` and no line separator of JavaScript stands in it, so that no text can end it. Without `pack` it stays plain
    however large it is: pictures are packed already.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    content = text.encode()
    if not pack or len(content) <= PACKED_ABOVE_BYTES:
        block = f'<script type="application/json" id="{identifier}">{content.decode()}</script>'
    else:
        packed = base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")
        block = f'<script type="application/gzip" id="{identifier}">{packed}</script>'
    return Markup(block)  # noqa: S704  # nothing in it can end the element


def _reads(pages: Sequence[ReportPage], num_sides: int) -> list[list[Edits | str]]:
    columns: list[list[Edits | str]] = [[] for _ in range(num_sides)]
    for page in track(pages, "comparing texts"):
        for column, reading in zip(columns, page.readings, strict=True):
            ops = edit_ops(page.reference, reading)
            column.append(
                show_controls(ops)
                if isinstance(ops, str)
                else [show_controls(op) if isinstance(op, str) else op for op in ops]
            )
    return columns


def _flags(page: ReportPage, reading: Reading) -> int:
    is_empty = bool(page.reference) and not reading.text
    return RUNAWAY * reading.runaway | EMPTY * is_empty | REPEATED * reading.repeated


def _boxes(reading: Reading) -> list[list[Any]]:
    return [
        [*(round(corner, 1) for corner in box.corners), show_controls(box.label)] for box in reading.boxes
    ]


def _few(values: Sequence[list[Any]]) -> dict[int, list[Any]]:
    return {number: value for number, value in enumerate(values) if value}


def _groups(pages: Sequence[ReportPage]) -> Mapping[str, list[str]]:
    columns = sorted({column for page in pages for column in page.groups})
    return {
        show_controls(column): [show_controls(page.groups.get(column, "")) for page in pages]
        for column in columns
    }
