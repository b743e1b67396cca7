"""A table as a grid: which cells stand beside which, and under which headings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from ocrtune.evaluation.table_markup import read_table, span_of

MOST_PLACES = 200_000
"""So many places of a grid are kept; a cell that would need more counts as a single one."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell with its place.

    Attributes:
        row: The first row it stands in, from 0.
        column: The first column, from 0.
        row_span: Over how many rows it goes.
        column_span: Over how many columns.
        text: Its text, without tags.
        is_heading: `<th>`, or in `<thead>`.
    """

    row: int
    column: int
    row_span: int
    column_span: int
    text: str
    is_heading: bool


class Grid:
    """The cells of a table.

    Args:
        cells: All cells.
    """

    def __init__(self, cells: list[GridCell]) -> None:
        self.cells = cells
        self._at = {place: cell for cell in cells for place in _places(cell)}

    @classmethod
    def read(cls, table: str) -> "Grid":
        """The grid of a table in HTML; without cells where it is none."""
        element = read_table(table)
        return cls([] if element is None else _place_cells(element))

    def up(self, cell: GridCell) -> list[GridCell]:
        """The cells that touch one from above, left to right."""
        return self._row(cell.row - 1, cell)

    def down(self, cell: GridCell) -> list[GridCell]:
        """The cells that touch one from below."""
        return self._row(cell.row + cell.row_span, cell)

    def left(self, cell: GridCell) -> list[GridCell]:
        """The cells that touch one from the left, top to bottom."""
        return self._column(cell.column - 1, cell)

    def right(self, cell: GridCell) -> list[GridCell]:
        """The cells that touch one from the right."""
        return self._column(cell.column + cell.column_span, cell)

    def top_headings(self, cell: GridCell) -> list[GridCell]:
        """The headings above a cell; where none is marked as one, the topmost cells above it."""
        return self._headings(cell, self.up)

    def left_headings(self, cell: GridCell) -> list[GridCell]:
        """The headings left of a cell; where none is marked as one, the leftmost cells of its rows."""
        return self._headings(cell, self.left)

    def _row(self, row: int, cell: GridCell) -> list[GridCell]:
        columns = range(cell.column, cell.column + cell.column_span)
        return list(dict.fromkeys(self._at[row, column] for column in columns if (row, column) in self._at))

    def _column(self, column: int, cell: GridCell) -> list[GridCell]:
        rows = range(cell.row, cell.row + cell.row_span)
        return list(dict.fromkeys(self._at[row, column] for row in rows if (row, column) in self._at))

    def _headings(self, start: GridCell, step: Callable[[GridCell], list[GridCell]]) -> list[GridCell]:
        headings: list[GridCell] = []
        ends: list[GridCell] = []
        seen = {start}
        opened = [start]
        while opened:
            cell = opened.pop()
            following = step(cell)
            if cell is not start:
                headings += [cell] * cell.is_heading
                ends += [cell] * (not following)
            opened += [each for each in following if each not in seen]
            seen.update(following)
        return headings or ends


def _place_cells(table: etree._Element) -> list[GridCell]:
    """Each cell in the first column of its row that is free."""
    taken: set[tuple[int, int]] = set()
    cells: list[GridCell] = []
    rows = list(_rows(table))
    for row, (element, is_in_head) in enumerate(rows):
        column = 0
        for cell in element.iterchildren("td", "th"):
            while (row, column) in taken:
                column += 1
            row_span = min(span_of(cell, "rowspan"), len(rows) - row)
            column_span = span_of(cell, "colspan")
            if len(taken) + row_span * column_span > MOST_PLACES:
                row_span = column_span = 1
            is_heading = is_in_head or cell.tag == "th"
            placed = GridCell(row, column, row_span, column_span, _text(cell), is_heading)
            taken.update(_places(placed))
            cells.append(placed)
    return cells


def _rows(table: etree._Element) -> Iterator[tuple[etree._Element, bool]]:
    """The rows of a table but not of those inside of it, and whether they are in its head."""
    for child in table.iterchildren("tr", "thead", "tbody", "tfoot"):
        if child.tag == "tr":
            yield child, False
        else:
            yield from ((row, child.tag == "thead") for row in child.iterchildren("tr"))


def _places(cell: GridCell) -> Iterator[tuple[int, int]]:
    for row in range(cell.row, cell.row + cell.row_span):
        yield from ((row, column) for column in range(cell.column, cell.column + cell.column_span))


def _text(cell: etree._Element) -> str:
    """The text of a cell with single spaces; a line break is one."""
    parts = []
    for event, element in etree.iterwalk(cell, events=("start", "end")):
        if event == "start":
            parts += [" " if element.tag == "br" else "", element.text or ""]
        elif element is not cell:
            parts.append(element.tail or "")
    return " ".join("".join(parts).split())
