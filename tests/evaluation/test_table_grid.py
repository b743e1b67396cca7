from ocrtune.evaluation.table_grid import MOST_PLACES, Grid

COSTS = """
<table>
<thead><tr><th colspan="2">Costs</th><th rowspan="2">Note</th></tr><tr><th>Fruit</th><th>Price</th></tr></thead>
<tbody><tr><td>Apple</td><td>1.00</td><td>per<br>kilo</td></tr>
<tr><td rowspan="2">Pear</td><td>2.00</td><td></td></tr><tr><td>2.50</td><td>ripe</td></tr></tbody>
</table>
"""


def beside(grid: Grid, text: str, side: str) -> list[str]:
    (cell,) = [cell for cell in grid.cells if cell.text == text]
    return [each.text for each in getattr(grid, side)(cell)]


def test_neighbours_are_found_through_spans():
    grid = Grid.read(COSTS)
    assert beside(grid, "Costs", "down") == ["Fruit", "Price"]
    assert beside(grid, "Price", "up") == ["Costs"]
    assert beside(grid, "Price", "right") == ["Note"]
    assert beside(grid, "Note", "left") == ["Costs", "Price"]
    assert beside(grid, "per kilo", "up") == ["Note"]
    assert beside(grid, "Pear", "right") == ["2.00", "2.50"]
    assert beside(grid, "2.50", "left") == ["Pear"]
    assert beside(grid, "2.50", "down") == []


def test_headings_are_those_that_are_marked_else_the_cells_at_the_edge():
    grid = Grid.read(COSTS)
    assert sorted(beside(grid, "2.50", "top_headings")) == ["Costs", "Price"]
    assert beside(grid, "ripe", "top_headings") == ["Note"]
    assert beside(grid, "2.50", "left_headings") == ["Pear"]
    assert beside(grid, "Costs", "top_headings") == []
    plain = Grid.read(
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr><tr><td>e</td><td>f</td></tr></table>"
    )
    assert beside(plain, "f", "top_headings") == ["b"]
    assert beside(plain, "f", "left_headings") == ["e"]


def test_absurd_spans_do_not_fill_the_memory():
    row = '<tr><td rowspan="99999" colspan="99999">a</td></tr>'
    grid = Grid.read(f"<table>{row * 2000}</table>")
    assert len(grid.cells) == 2000
    assert sum(cell.row_span * cell.column_span for cell in grid.cells) <= MOST_PLACES + 2000


def test_what_is_no_table_has_no_cells():
    assert Grid.read("nothing").cells == []
