import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation import find_loop, is_repeated
from ocrtune.sources import read_pages

LINES = [page.text for page in read_pages("builtin")]
BOOK = "\n".join(LINES[:60])
ROW = "<tr><td>0</td><td>0</td><td>–</td></tr>"
TABLE = f"<table>{ROW * 40}</table>"
ACCOUNTS = "\n".join(f"| {number} | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 |" for number in range(30))


@pytest.mark.parametrize(
    "loop",
    [
        " and the" * 400,
        ". . . . . . . . . . . . . . . . . . . . . .",
        "\n| 0 | 0 | 0 |" * 50,
        ROW * 30,
        "\n" + LINES[3] * 9,
        "的" * 300,
        "\n".join(f"{number}. the enemy of the morning was seen at" for number in range(40)),
        " the works\n\nof fire and" * 20 + " the wor",
    ],
    ids=["words", "dots", "rows", "html rows", "a line", "one letter", "counting", "cut in the middle"],
)
def test_loops_of_models_are_found(loop):
    assert is_repeated(BOOK, BOOK[:500] + loop)
    assert is_repeated("", loop)


def test_a_loop_that_the_model_got_out_of_is_found():
    assert is_repeated(BOOK, BOOK[:300] + " of the enemy in front of the works" * 12 + BOOK[300:])


@pytest.mark.parametrize("page", [TABLE, ACCOUNTS, "-" * 60 + "\n" + BOOK, "ha " * 30, BOOK])
def test_what_the_page_repeats_itself_is_no_loop(page):
    assert not is_repeated(page, page)
    misread = page.replace("0", "O", 1).replace("e", "c", 1) + "x"
    assert not is_repeated(page, misread)
    assert not is_repeated(page, misread[: len(misread) * 2 // 3])


def test_empty_cells_of_a_table_in_another_markup_are_no_loop():
    cells = "\n".join("| | | | | | | | |" for _ in range(12))
    assert not is_repeated(f"<table>{'<tr><td></td></tr>' * 12}</table>\n{BOOK}", f"{cells}\n{BOOK}")


def test_a_loop_whose_span_repeats_something_itself_is_found():
    span = "batman: na na na na na na na na "
    assert find_loop("once " + span * 6) == (span, pytest.approx(6, abs=0.2))


def test_a_table_with_more_than_twice_its_rows_is_a_loop():
    assert not is_repeated(ROW * 20, ROW * 30)
    assert is_repeated(ROW * 20, ROW * 50)


@pytest.mark.parametrize(
    "text", ["", "no", "no no no no", "1.000.000.000", "ha ha ha", "Mississippi", *LINES[:20]]
)
def test_short_repeats_and_lines_of_a_book_are_no_loops(text):
    assert not is_repeated("", text)


@given(st.text("abc \n", min_size=1, max_size=40), st.integers(5, 30), st.text("xyz", max_size=100))
def test_whatever_is_said_often_enough_at_the_end_is_found(span, times, before):
    text = before + span * times
    if len(span) * times >= 40:
        found, count = find_loop(text)
        assert count >= 4
        assert text.endswith(found)
        assert (found * int(count + 1)).endswith(span)


@given(st.text("ab", max_size=200))
def test_what_is_found_stands_there_so_often(text):
    span, count = find_loop(text)
    assert text.endswith(span * int(count))
    assert (count == 0) == (span == "")
