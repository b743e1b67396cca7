import pytest

from ocrtune.sources.pdf.targets import Row, find_usual, write_markdown, write_plain

SIZE, LEADING, LETTER = 10.0, 12.0, 5.0
LEFT, RIGHT = 100.0, 300.0


def rows(*texts, y=100.0, size=SIZE, left=LEFT):
    """Rows of one block; a tab at the begin indents, `_` at the end stands for a line that is full."""
    made = []
    for number, text in enumerate(texts):
        start = left + (15 if text.startswith("\t") else 0)
        shown = text.strip("\t").removesuffix("_")
        end = RIGHT if text.endswith("_") else start + LETTER * len(shown)
        baseline = y + LEADING * number * size / SIZE
        made.append(
            Row(
                text=shown,
                box=(start, baseline - 0.8 * size, end, baseline),
                baseline=baseline,
                size=size,
                first_word=LETTER * len(shown.split()[0]),
                has_gaps="  " in shown,
            )
        )
    return made


BODY = rows(
    "The body of the document is set in this size_", *(f"and goes on for line {n} of it_" for n in range(6))
)


def markdown(*columns):
    usual = find_usual(row for column in (*columns, BODY) for row in column)
    return write_markdown(columns, usual)


def test_plain_keeps_lines_and_parts_what_stands_apart():
    column = [*rows("One para-", "graph."), *rows("Another.", "On two lines.", y=150)]
    assert (
        write_plain([column, rows("Second column.")])
        == "One para-\ngraph.\n\nAnother.\nOn two lines.\n\nSecond column."
    )


def test_a_line_break_within_a_paragraph_is_a_space():
    assert markdown(rows("A line that is full_", "and the rest.")) == "A line that is full and the rest."


def test_a_line_that_ends_early_by_will_keeps_its_end():
    assert (
        markdown(rows("Roses are red,", "violets are blue._", "End."))
        == "Roses are red,\nviolets are blue. End."
    )


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("a para-_", "graph", "a paragraph"),
        ("пере-_", "нос слова", "перенос слова"),
        ("the Debian-_", "Project", "the Debian-Project"),
        ("the years 1914-_", "18", "the years 1914-18"),
        ("so -_", "yes", "so - yes"),
        ("see https://example.org/a/_", "b", "see https://example.org/a/b"),
        ("either/_", "or", "either/ or"),
    ],
)
def test_a_hyphen_at_the_end_of_a_line_goes_where_it_only_parts_a_word(first, second, joined):
    assert markdown(rows(first, second)) == joined


def test_a_hyphen_that_the_document_writes_elsewhere_stays():
    other = rows("It is well-known here._")
    assert markdown(rows("This is well-_", "known."), other).startswith("This is well-known.")


@pytest.mark.parametrize(
    ("size", "mark"), [(10, ""), (11, ""), (12, "### "), (14, "## "), (17, "# "), (30, "# ")]
)
def test_a_heading_is_known_by_its_size(size, mark):
    assert markdown(rows("On fishes_", "and birds", size=float(size))) == f"{mark}On fishes and birds"


def test_large_type_without_words_or_without_end_is_no_heading():
    assert markdown(rows("7", size=20.0)) == "7"
    assert not markdown(rows(*["so many words_"] * 20, size=20.0)).startswith("#")


def test_an_indented_line_begins_a_paragraph():
    text = markdown(rows("\tOne begins and is long_", "and ends.", "\tAnother begins_", "and ends."))
    assert text == "One begins and is long and ends.\n\nAnother begins and ends."


@pytest.mark.parametrize("mark", ["•", "1.", "2)", "(a)", "–"])
def test_items_of_a_list_keep_their_lines(mark):
    text = markdown(
        rows(f"{mark} one item that is full_", "\tand goes on", f"{mark} another that is full_", "\tand on")
    )
    assert text == f"{mark} one item that is full and goes on\n{mark} another that is full and on"


def test_a_number_that_a_line_happens_to_begin_with_is_no_item():
    assert (
        markdown(rows("It was written in the year_", "1984. Later it was read_", "by many.")).count("\n") == 0
    )


def test_rows_of_tables_and_of_contents_keep_their_lines():
    assert markdown(rows("name  size_", "a  1_", "b  2_")) == "name  size\na  1\nb  2"
    assert (
        markdown(rows("One . . . . . . 1_", "Two . . . . . . 2_")) == "One . . . . . . 1\nTwo . . . . . . 2"
    )


def test_a_paragraph_goes_on_in_the_next_column():
    assert (
        markdown(rows("A word that is par-_"), rows("ted by columns.")) == "A word that is parted by columns."
    )
    assert (
        markdown(rows("A sentence ends._"), rows("Another begins.")) == "A sentence ends.\n\nAnother begins."
    )
