from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ocrtune.evaluation import tables
from ocrtune.evaluation.table_markup import find_tables
from ocrtune.evaluation.tables import score_tables, teds

# The example of the authors' notebook `src/demo.ipynb` (github.com/ibm-aur-nlp/PubTabNet), and what it prints.
PUBLISHED_PREDICTION = (
    "<html><body><table><thead><tr><td><b>Name of algori</b></td><td><b>Notablefeatures</b></td></tr></thead><tbody>"
    "<tr><td>MACS [23]</td><td>Uses both a control library and local statistics to minimize bias</td></tr>"
    "<tr><td>SICER [15]</td><td>Designed for detecting diffusely enriched regions; for example, histone modification"
    "</td></tr><tr><td>PeakSEQ [24]</td><td>Corrects for reference genome mappability and local statistics</td></tr>"
    "<tr><td>SISSRs [25]</td><td>High resolution, precise identification of binding-site location</td></tr>"
    "<tr><td>F-seq [26]</td><td>Uses kernel density estimation</td></tr></tbody></table></body></html>"
)
PUBLISHED_REFERENCE = (
    PUBLISHED_PREDICTION.replace("algori<", "algorithm<")
    .replace("Notablefeatures", "Notable features")
    .replace("[15]", "[14]")
    .replace("PeakSEQ", "PeakSeq")
)
PUBLISHED_TEDS = 0.9781765018607124

cells = st.text("ab <&", max_size=4)
rows = st.lists(st.lists(cells, max_size=3), max_size=4)


def table(rows, tag="td") -> str:
    written = (
        "".join(f"<{tag}>{cell.replace('&', '&amp;').replace('<', '&lt;')}</{tag}>" for cell in row)
        for row in rows
    )
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in written)}</table>"


def forest_size(forest) -> int:
    return sum(1 + forest_size(children) for _, _, children in forest)


@cache
def forest_distance(one, other) -> float:
    """The tree edit distance by its recursive definition, on forests of (tag, text, children)."""
    if not one or not other:
        return forest_size(one) + forest_size(other)
    (tag, text, below), (other_tag, other_text, other_below) = one[-1], other[-1]
    renamed = Levenshtein.normalized_distance(text, other_text) if tag == other_tag else 1
    return min(
        forest_distance(one[:-1] + below, other) + 1,
        forest_distance(one, other[:-1] + other_below) + 1,
        forest_distance(one[:-1], other[:-1]) + forest_distance(below, other_below) + renamed,
    )


def as_forest(rows):
    return tuple(("tr", "", tuple(("td", " ".join(cell.split()), ()) for cell in row)) for row in rows)


@settings(deadline=None)
@given(rows, rows)
def test_the_distance_is_that_of_its_recursive_definition(one, other):
    trees = as_forest(one), as_forest(other)
    largest = max(map(forest_size, trees))
    distance = forest_distance(*((("table", "", tree),) for tree in trees))
    wanted = max(0, 1 - distance / largest) if largest else 1
    assert teds(table(one), table(other)) == pytest.approx(wanted)


def numbered(num_rows: int, num_columns: int, step: int = 1) -> str:
    return table([[f"{row * step}.{column}" for column in range(num_columns)] for row in range(num_rows)])


def test_the_published_example_has_its_published_value():
    assert teds(PUBLISHED_REFERENCE, PUBLISHED_PREDICTION) == pytest.approx(PUBLISHED_TEDS, abs=1e-12)
    assert teds(PUBLISHED_REFERENCE, PUBLISHED_PREDICTION, structure_only=True) == 1


def test_values_found_by_hand():
    reference = table([["a", "b"], ["c", "d"]])  # 6 elements below <table>
    assert teds(reference, table([["a", "b"], ["c", "x"]])) == pytest.approx(1 - 1 / 6)
    assert teds(reference, table([["a", "b"]])) == pytest.approx(1 - 3 / 6)
    assert teds(reference, table([["a", "b"], ["c", "d"], ["e", "f"]])) == pytest.approx(1 - 3 / 9)
    assert teds(table([["abcd"]]), table([["abxd"]])) == pytest.approx(1 - 0.25 / 2)
    assert teds("<table><tr><td>a</table>", "<table><tr><td><b>a</b></table>") == pytest.approx(
        1 - (2 / 3) / 3
    )


def test_other_spans_cost_a_whole_cell_and_count_in_the_structure():
    reference = '<table><tr><td colspan="2">a</td></tr><tr><td>b</td><td>c</td></tr></table>'
    for other in ("<td>a</td>", '<td rowspan="2">a</td>', '<td colspan="3">a</td>'):
        prediction = reference.replace('<td colspan="2">a</td>', other)
        for structure_only in (False, True):
            assert teds(reference, prediction, structure_only=structure_only) == pytest.approx(1 - 1 / 5)


def test_groups_of_rows_count_as_published_and_can_be_left_out():
    grouped = "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>"
    assert teds(grouped, table([["a"], ["b"]])) == pytest.approx(1 - 2 / 6)
    assert teds(grouped, table([["a"], ["b"]]), keep_groups=False) == 1


@given(rows, rows, st.booleans())
def test_teds_lies_between_0_and_1_is_symmetric_and_1_for_the_same(one, other, structure_only):
    value = teds(table(one), table(other), structure_only=structure_only)
    assert 0 <= value <= 1
    assert value == pytest.approx(teds(table(other), table(one), structure_only=structure_only))
    assert teds(table(one), table(one), structure_only=structure_only) == 1
    assert teds(table(one), table(other), structure_only=True) >= value - 1e-12


@given(rows, rows)
def test_aligning_rows_never_says_more_than_the_exact_distance(one, other):
    exact = teds(table(one), table(other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "MOST_EXACT", 0)
        aligned = teds(table(one), table(other))
        patch.setattr(tables, "MOST_ALIGNED", 0)
        by_place = teds(table(one), table(other))
    assert by_place - 1e-12 <= aligned <= exact + 1e-12


def test_aligning_rows_gives_the_exact_value_where_rows_are_left_out_or_changed(monkeypatch):
    reference, prediction = numbered(9, 4), numbered(7, 4, step=2)
    exact = teds(reference, prediction)
    monkeypatch.setattr(tables, "MOST_EXACT", 0)
    assert teds(reference, prediction) == pytest.approx(exact)


@settings(deadline=None)
@given(st.sampled_from([(60, 10), (500, 12)]))
def test_huge_tables_are_scored_too(shape):
    assert 0 < teds(numbered(*shape), numbered(*shape, step=2)) < 1
    assert teds(numbered(*shape), numbered(*shape)) == 1


@pytest.mark.parametrize(
    "broken",
    [
        "<table><tr><td>a<td>b<tr><td>c<td>d</table>",
        "<table><tr><td>a</td><td>b</tr><tr><td>c</td><td>d",
        '<table border=1><tr><td rowspan="x">a</td><td colspan="">b</td></tr><tr><td>c</td><td>d</td></tr></table></td>',
        "<table>\n <tr> <td> a </td>\n<td>b\n</td> </tr><!-- x --><tr><td>c</td><td>d</td></tr></table>",
        "<TABLE><TR><TD>a</TD><TD>b</TD></TR><TR><TH>c</TH><TD>d</TD></TR></TABLE>",
    ],
)
def test_broken_html_is_read_as_browsers_do(broken):
    assert teds(table([["a", "b"], ["c", "d"]]), broken) == 1


@pytest.mark.parametrize(
    "nothing", ["", "no table", "<table", "\x00", "<table>" + "<div>" * 5000, "</table>"]
)
def test_what_is_no_table_scores_nothing_and_does_no_harm(nothing):
    assert teds(table([["a", "b"], ["c", "d"]]), nothing) < 0.5


@given(st.text('<>/tablerdh ="2|-\n\x00', max_size=60))
def test_any_text_can_be_looked_through(text):
    for found in find_tables(text):
        assert 0 <= teds(found, numbered(2, 2)) <= 1


def test_tables_are_found_in_html_and_in_markdown_in_the_order_of_the_text():
    text = (
        "x\n| a | b |\n|---|:-:|\n| 1\\|2 | <3 |\n\n<table><tr><td>| c |</td></tr></table>\n\n|d|\n|-|\nend"
    )
    assert find_tables(text) == [
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1|2</td><td>&lt;3</td></tr></table>",
        "<table><tr><td>| c |</td></tr></table>",
        "<table><tr><th>d</th></tr></table>",
    ]
    assert find_tables(text, markdown=False) == ["<table><tr><td>| c |</td></tr></table>"]


def test_a_line_of_dashes_makes_no_table_of_text_with_a_bar():
    assert find_tables("a | b\n---\nc | d\n") == []
    assert find_tables("a | b | c\n---|---\nd | e\n") == []


def test_an_unclosed_table_ends_where_the_next_one_begins():
    assert find_tables("<table><tr><td>a <table><tr><td>b</table>") == [
        "<table><tr><td>a ",
        "<table><tr><td>b</table>",
    ]
    nested = "<table><tr><td><table><tr><td>b</td></tr></table></td></tr></table>"
    assert find_tables(nested) == [nested]


def test_a_missed_or_made_up_table_counts_nothing_and_the_others_find_their_partners():
    first, second, third = numbered(2, 2), numbered(3, 3), table([["x", "y", "z"]])
    assert score_tables([first, second], [second]).teds == pytest.approx(0.5)
    assert score_tables([second], [first, second]).teds_structure == pytest.approx(0.5)
    assert score_tables([first, second, third], [first, second, third]).teds == 1
    assert score_tables([first], []).teds == 0


def test_a_table_in_markdown_is_as_good_as_one_in_html():
    (markdown,) = find_tables("| a | b |\n|---|---|\n| c | d |")
    score = score_tables(
        ["<table><thead><tr><th>a</th><th>b</th></tr></thead><tr><td>c</td><td>d</td></tr></table>"],
        [markdown],
    )
    assert score.teds == score.teds_structure == 1


def test_cells_that_slipped_cost_two_elements_however_many_they_are():
    wanted, found = (
        f"<table><tr>{''.join(f'<td>{cell * 3}</td>' for cell in row)}</tr></table>"
        for row in ("abcdef", "bcdefg")
    )
    assert teds(wanted, found) == pytest.approx(1 - 2 / 7)
    assert teds(wanted, wanted.replace("aaa", "aab")) == pytest.approx(1 - 1 / 3 / 7)
