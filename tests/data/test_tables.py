import pytest

from ocrtune.data import check_table
from ocrtune.sources.transcripts.layout import Cell
from ocrtune.sources.transcripts.pages import table_html
from ocrtune.synth.layouts.table import write_table


def codes(text):
    return [finding.code for finding in check_table(text, "p.png")]


def test_tables_as_ocrtune_writes_them_are_right():
    cells = [
        Cell(row=0, column=0, text="a | b", row_span=2, column_span=3),
        Cell(row=1, column=0, text="<th>"),
    ]
    assert codes(f"words\n\n{table_html(cells)}\n{write_table([['1', '|---|'], ['<b>', '']])}") == []


@pytest.mark.parametrize(
    "text", ["| a | b |\n|---|:-:|\n| 1 | 2 |", "a | b\n--|--", "words\n\n  | a |\n  | - |\r\n  | 1 |"]
)
def test_a_table_in_markdown_is_noted(text):
    (finding,) = check_table(text, "p.png")
    assert (finding.code, finding.severity, finding.where) == ("table-as-markdown", "note", "p.png")


@pytest.mark.parametrize(
    "text", ["a | b\nc | d", "one\n---\ntwo", "a | b\n\n---|---", "|x| + |y|\n||", "| a |\n| 5-3 |"]
)
def test_bars_and_dashes_alone_are_no_table(text):
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("<table><tr><th>a</th></tr></table>", "<th>"),
        ("<table><thead><tr><td>a</td></tr></thead></table>", "<thead>"),
        ('<table border="1"><tr><td>a</td></tr></table>', "attributes of <table>"),
        ('<table><tr><td class="x">a</td></tr></table>', "attributes of <td>"),
        ("<table><tr><td colspan=2>a</td></tr></table>", "attributes of <td>"),
        ("<table><TR><td>a</td></TR></table>", "<TR>"),
        ("<table>\n <tr><td>a</td></tr></table>", "space between tags"),
        ("<table><tr><td>a</td>\n<td>b</td></tr></table>", "space between tags"),
    ],
)
def test_forms_that_the_families_do_not_write_are_noted_once(text, strange):
    (finding,) = check_table(text * 2)
    assert (finding.code, finding.severity) == ("table-form", "note")
    assert finding.message == f"a table has {strange}, which the families do not write"
