"""A table in HTML, as models answer it → cells."""

from html.parser import HTMLParser

from ocrtune.sources.transcripts.layout import Cell

MOST_SPAN = 100
"""No printed cell goes over more rows or columns; a model that repeats digits may say so."""

MOST_CELLS = 10_000


def read_table(html: str) -> list[Cell]:
    """The cells of a table row by row, each in the first column that is free; none where there is no cell.

    A cell's text keeps its line breaks; tags in it are left out, their text is kept.

    Args:
        html: From `<table>` to `</table>`.
    """
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.cells()


class _Parser(HTMLParser):
    """Rows of (row span, column span, text); text outside of all cells is a cell of its own."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._rows: list[list[tuple[int, int, list[str]]]] = []
        self._is_in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._rows.append([])
            self._is_in_cell = False
        elif tag in {"td", "th"}:
            facts = dict(attrs)
            self._open(_span(facts.get("rowspan")), _span(facts.get("colspan")))
        elif tag == "br":
            self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "tr", "table"}:
            self._is_in_cell = False

    def handle_data(self, data: str) -> None:
        if not self._is_in_cell:
            if not data.strip():
                return
            self._open(1, 1)
        self._rows[-1][-1][2].append(data)

    def cells(self) -> list[Cell]:
        """What was found, with the place of each in the grid."""
        taken: set[tuple[int, int]] = set()
        found = []
        for row, cells in enumerate(self._rows):
            column = 0
            for row_span, column_span, parts in cells:
                while (row, column) in taken:
                    column += 1
                taken |= {
                    (row + down, column + right) for down in range(row_span) for right in range(column_span)
                }
                found.append(
                    Cell(
                        row=row,
                        column=column,
                        row_span=row_span,
                        column_span=column_span,
                        text="".join(parts),
                    )
                )
        return found if len(found) <= MOST_CELLS else []

    def _open(self, row_span: int, column_span: int) -> None:
        if not self._rows:
            self._rows.append([])
        self._rows[-1].append((row_span, column_span, []))
        self._is_in_cell = True


def _span(written: str | None) -> int:
    is_number = (
        written is not None
        and written.isascii()
        and written.isdecimal()
        and len(written) <= len(str(MOST_SPAN))
    )
    return min(max(int(written or 1), 1), MOST_SPAN) if is_number else 1
