"""Rows of print → columns in reading order: a gap that goes down through several rows parts columns."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product
from statistics import median

from ocrtune.sources.pdf.lines import Line

NARROWEST_GUTTER = 0.9
"""White of so many sizes of the type goes down between columns; gaps between words are smaller."""

FEWEST_ROWS = 3
NARROWEST_COLUMN = 10.0
"""A column's rows are so many sizes of the type long at least; those of tables and margins are shorter."""

LEAST_FILLED = 0.55
"""Most rows of a column fill this share of its width; cells of tables do not."""

FARTHEST_ROW = 1.8
"""What stands more than so many sizes of the type apart is no part of the columns, such as a running head."""

MOST_ROWS_OF_HEAD = 2

_LARGE_INITIAL = 1.8
_MOST_LETTERS_OF_INITIAL = 2

Span = tuple[float, float]


def find_columns(rows: Sequence[Line]) -> list[list[Line]]:
    """The rows of each column, columns in reading order.

    What goes over the whole page ends the columns above it. Cells of a table, and a page number beside a heading,
    stay in the row that they are in.

    Args:
        rows: As `find_rows` gives them, from top to bottom.
    """
    columns: list[list[Line]] = []
    single: list[Line] = []
    index = 0
    while index < len(rows):
        end = _end_of_band(rows, index)
        parts = _part_into_columns(rows[index:end])
        if len(parts) == 1 or (single and _ends(single[-1], rows[index], parts[0])):
            single.append(rows[index])
            index += 1
            continue
        _take_back(single, parts)
        if single:
            columns.append(single)
            single = []
        columns += parts
        index = end
    return [*columns, single] if single else columns


def join_initials(rows: Sequence[Line]) -> list[Line]:
    """The rows, a large initial put before the word that it begins, in the uppermost row beside it."""
    joined = list(rows)
    for initial in [row for row in rows if _may_be_initial(row)]:
        left, top, right, bottom = initial.box
        beside = (
            index
            for index, row in enumerate(joined)
            if row is not initial
            and row.usual_size * _LARGE_INITIAL < initial.usual_size
            and top < (row.box[1] + row.box[3]) / 2 < bottom
            and left < row.box[0] < right + 2 * row.usual_size
        )
        found = min(beside, key=lambda index: joined[index].box[1], default=None)
        if found is None:
            continue
        first, *others = joined[found].words
        joined[found] = replace(joined[found], words=((*initial.words[0], *first), *others))
        joined = [row for row in joined if row is not initial]
    return joined


def _may_be_initial(row: Line) -> bool:
    return len(row.words) == 1 and len(row.text) <= _MOST_LETTERS_OF_INITIAL and row.text[:1].isalpha()


def _end_of_band(rows: Sequence[Line], first: int) -> int:
    """The row after the last one down to which a gutter goes from row `first`; that one's own, if there is none."""
    free: list[Span] = [(-math.inf, math.inf)]
    for index in range(first, len(rows)):
        is_edge = min(index - first, len(rows) - index) <= MOST_ROWS_OF_HEAD
        if index > first and is_edge and _stand_apart(rows[first:index], rows[index]):
            return index
        free = _common(free, _free(rows[index]))
        # One row alone may be of one column only: the next one tells.
        if index > first and not _gutters(free):
            return index
    return len(rows)


def _stand_apart(above: Sequence[Line], below: Line) -> bool:
    """Whether there is much white between some rows and the next one."""
    size = max(above[-1].usual_size, below.usual_size)
    return below.box[1] - max(row.box[3] for row in above) > FARTHEST_ROW * size


def _ends(above: Line, row: Line, column: Sequence[Line]) -> bool:
    """Whether a row is the short end of what is over all columns, not the begin of the first of them."""
    width = max(other.box[2] for other in column) - min(other.box[0] for other in column)
    is_short = row.box[2] - row.box[0] < LEAST_FILLED * width
    return is_short and not _stand_apart([above], row)


def _take_back(single: list[Line], columns: list[list[Line]]) -> None:
    """Move the last single rows to the column they begin: it is the only one that reaches so high."""
    spans = [(min(row.box[0] for row in column), max(row.box[2] for row in column)) for column in columns]
    first = len(single)
    while first and _column_of(single[first - 1], spans) is not None:
        below = single[first] if first < len(single) else min(columns, key=lambda rows: rows[0].box[1])[0]
        if _stand_apart([single[first - 1]], below):
            break
        first -= 1
    # Right under what goes over all columns, it is more likely the end of that.
    if first and not _stand_apart(
        [single[first - 1]], single[first] if first < len(single) else columns[0][0]
    ):
        return
    for row in reversed(single[first:]):
        columns[_column_of(row, spans) or 0].insert(0, row)
    del single[first:]


def _column_of(row: Line, spans: Sequence[Span]) -> int | None:
    """Which column a row lies in by its sides, or None."""
    slack = row.usual_size
    within = (
        index
        for index, (left, right) in enumerate(spans)
        if left - slack < row.box[0] and row.box[2] < right + slack
    )
    return next(within, None)


def _part_into_columns(rows: Sequence[Line]) -> list[list[Line]]:
    """The columns of a band from left to right; all of it as one where there is none that looks like text."""
    if len(rows) < FEWEST_ROWS:
        return [list(rows)]
    free: list[Span] = [(-math.inf, math.inf)]
    for row in rows:
        free = _common(free, _free(row))
    gutters = sorted(_gutters(free))
    for chosen in (gutters, *([gutter] for gutter in sorted(gutters, key=lambda span: span[0] - span[1]))):
        columns = _cut_at(rows, [(left + right) / 2 for left, right in chosen])
        if len(columns) > 1 and all(_is_text(column) for column in columns):
            return columns
    return [list(rows)]


def _is_text(column: Sequence[Line]) -> bool:
    if len(column) < FEWEST_ROWS:
        return False
    widths = [row.box[2] - row.box[0] for row in column]
    size = median(row.usual_size for row in column)
    usual = median(widths)
    return usual >= NARROWEST_COLUMN * size and usual >= LEAST_FILLED * max(widths)


def _cut_at(rows: Sequence[Line], places: Sequence[float]) -> list[list[Line]]:
    """The rows' parts between the places, by column; rows without any in a column are not in it."""
    edges = [-math.inf, *places, math.inf]
    columns: list[list[Line]] = []
    for left, right in pairwise(edges):
        parts = (tuple(word for word in row.words if left <= word[0].start < right) for row in rows)
        columns.append([Line(words) for words in parts if words])
    return columns


def _free(row: Line) -> list[Span]:
    """Where nothing of the row stands, beside it and in its wide gaps."""
    least = NARROWEST_GUTTER * row.usual_size
    spans: list[Span] = []
    end = -math.inf
    for word in row.words:
        start = min(glyph.start for glyph in word)
        if start - end >= least:
            spans.append((end, start))
        end = max(end, *(glyph.end for glyph in word))
    return [*spans, (end, math.inf)]


def _common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is in a span of both."""
    pairs = product(some, others)
    shared = [(max(left, start), min(right, end)) for (left, right), (start, end) in pairs]
    return [span for span in shared if span[0] < span[1]]


def _gutters(free: Sequence[Span]) -> list[Span]:
    """The spans that have something at both sides."""
    return [span for span in free if math.isfinite(span[0]) and math.isfinite(span[1])]
