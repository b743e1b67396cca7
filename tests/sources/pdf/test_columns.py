import pytest
from tiny_pdfs import Print

from ocrtune.sources.pdf.columns import find_columns, join_initials
from ocrtune.sources.pdf.lines import find_rows

WIDE = "so many letters fill it"
LEFT, RIGHT = 40, 225
LEADING = 14


def column(x, words, *, y=500, leading=LEADING):
    return [
        Print(says=f"{word} {WIDE}", x=x, y=y - leading * row, font="Courier", size=11)
        for row, word in enumerate(words)
    ]


def courier(says, **options):
    return Print(says=says, font="Courier", size=options.pop("size", 11), **options)


@pytest.fixture
def order(read):
    """Prints → first words of each column's rows."""

    def order(*prints):
        glyphs, _ = read(*prints)
        return [[row.text.split()[0] for row in part] for part in find_columns(find_rows(glyphs))]

    return order


def test_the_left_column_comes_before_the_right_one(order):
    assert order(*column(LEFT, "abcd"), *column(RIGHT, "klmn")) == [
        ["a", "b", "c", "d"],
        ["k", "l", "m", "n"],
    ]


def test_columns_need_no_common_baselines(order):
    prints = [*column(LEFT, "abcd"), *column(RIGHT, "klmn", y=493.5, leading=15)]
    assert order(*prints) == [["a", "b", "c", "d"], ["k", "l", "m", "n"]]


def test_white_that_goes_through_all_columns_does_not_end_them(order):
    upper = [*column(LEFT, "abc"), *column(RIGHT, "klm")]
    lower = [*column(LEFT, "def", y=400), *column(RIGHT, "nop", y=400)]
    assert ["".join(part) for part in order(*upper, *lower)] == ["abcdef", "klmnop"]


@pytest.mark.parametrize("higher", [LEFT, RIGHT])
def test_a_column_may_begin_higher_than_the_other(order, higher):
    both = [*column(LEFT, "abcd"), *column(RIGHT, "klmn")]
    found = order(*column(higher, "xyz", y=500 + 3 * LEADING), *both)
    assert ["".join(part) for part in found] == (
        ["xyzabcd", "klmn"] if higher == LEFT else ["abcd", "xyzklmn"]
    )


def test_the_end_of_a_paragraph_over_both_columns_stays_with_it(order):
    over = courier("Over the columns there is a line over the whole page,", x=LEFT, y=500 + 2 * LEADING)
    end = courier("its end.", x=LEFT, y=500 + LEADING)
    found = order(over, end, *column(LEFT, "abcd"), *column(RIGHT, "klmn"))
    assert ["".join(part) for part in found] == ["Overits", "abcd", "klmn"]


def test_columns_may_be_as_near_as_print_has_them(order):
    """Journals leave twelve points between columns of ten."""
    near = LEFT + 0.6 * 11 * len(f"a {WIDE}") + 12
    assert order(*column(LEFT, "abcd"), *column(near, "klmn")) == [["a", "b", "c", "d"], ["k", "l", "m", "n"]]


def test_a_title_over_both_columns_comes_first_and_a_foot_last(order):
    over = courier("Title over the columns and what is between them", x=LEFT, y=530)
    foot = courier("Notes under the columns and what is between them", x=LEFT, y=430)
    found = order(over, *column(LEFT, "abcd"), *column(RIGHT, "klmn"), foot)
    assert found == [["Title"], ["a", "b", "c", "d"], ["k", "l", "m", "n"], ["Notes"]]


def test_columns_above_a_line_over_both_are_read_before_those_below(order):
    over = courier("Between the two parts there is a line over the page", x=LEFT, y=440)
    found = order(
        *column(LEFT, "abc"),
        *column(RIGHT, "klm"),
        over,
        *column(LEFT, "def", y=420),
        *column(RIGHT, "nop", y=420),
    )
    assert ["".join(part) for part in found] == ["abc", "klm", "Between", "def", "nop"]


def test_a_running_head_with_a_page_number_stays_over_the_columns(order):
    head = [courier("Head", x=LEFT, y=560), courier("17", x=360, y=560)]
    found = order(*head, *column(LEFT, "abcd"), *column(RIGHT, "klmn"))
    assert found == [["Head"], ["a", "b", "c", "d"], ["k", "l", "m", "n"]]


def test_a_page_number_under_the_columns_stays_under_them(order):
    found = order(*column(LEFT, "abcd"), *column(RIGHT, "klmn"), courier("17", x=200, y=60))
    assert found == [["a", "b", "c", "d"], ["k", "l", "m", "n"], ["17"]]


def test_three_columns_are_read_one_after_the_other(order):
    narrow = 7
    prints = [
        Print(says=f"{word} {WIDE}", x=30 + 130 * place, y=500 - 10 * row, font="Courier", size=narrow)
        for place, words in enumerate(("abcd", "klmn", "uvwx"))
        for row, word in enumerate(words)
    ]
    assert ["".join(part) for part in order(*prints)] == ["abcd", "klmn", "uvwx"]


def test_a_table_is_read_row_by_row(read):
    cells = [
        courier(f"{name}{row}", x=x, y=500 - LEADING * row)
        for row in range(4)
        for name, x in (("name", 40), ("size", 160), ("date", 280))
    ]
    glyphs, _ = read(*cells)
    (column,) = find_columns(find_rows(glyphs))
    assert [row.text for row in column] == [f"name{row} size{row} date{row}" for row in range(4)]


def test_a_table_of_long_cells_is_read_row_by_row_too(read):
    cells = [
        courier("x" * (40 if row == 1 else 18), x=x, y=500 - LEADING * row, size=7)
        for row in range(4)
        for x in (30, 220)
    ]
    glyphs, _ = read(*cells)
    assert len(find_columns(find_rows(glyphs))) == 1


def test_what_one_column_has_in_short_lines_stays_in_it(order):
    left = [*column(LEFT, "ab"), courier("c short", x=LEFT, y=500 - 2 * LEADING), *column(LEFT, "de", y=458)]
    assert ["".join(part) for part in order(*left, *column(RIGHT, "klmno"))] == ["abcde", "klmno"]


def test_a_large_initial_begins_the_word_beside_it(read):
    rows = [
        courier(f"{word} {WIDE}", x=80, y=500 - LEADING * row)
        for row, word in enumerate(("nce", "upon", "a"))
    ]
    glyphs, _ = read(Print(says="O", x=62, y=472, size=44), *rows)
    assert [row.text.split()[0] for row in join_initials(find_rows(glyphs))] == ["Once", "upon", "a"]
