from dataclasses import replace

import numpy as np
import pytest
from tiny_pdfs import PAGE_SIZE, UNSEEN, Print

from ocrtune.sources.pdf.lines import COLUMN_GAP, count_turned, find_lines

TURNED_LEFT = "0 1 -1 0"


def texts(glyphs):
    return [line.text for line in find_lines(glyphs)]


def test_lines_go_from_top_to_bottom_whatever_order_the_file_has(read):
    glyphs, _ = read(Print(says="вторая", y=400), Print(says="третья", y=380), Print(says="первая", y=420))
    assert texts(glyphs) == ["первая", "вторая", "третья"]


def test_words_are_parted_by_gaps_where_the_pdf_holds_no_spaces(read):
    glyphs, _ = read(Print(says="два", x=50), Print(says="слова", x=75))
    assert " " not in {glyph.text for glyph in glyphs}
    assert texts(glyphs) == ["два слова"]


def test_a_space_of_the_pdf_parts_words_however_narrow(read):
    glyphs, _ = read(Print(says="ё ж"))
    first, space, second = glyphs
    near = replace(second, start=first.end, end=first.end + 10)
    assert texts([first, space, near]) == ["ё ж"]
    assert texts([first, near]) == ["ёж"]


def test_columns_are_lines_of_their_own(read):
    wide = 50 + 40 + 12 * COLUMN_GAP
    glyphs, _ = read(Print(says="левый столбец"), Print(says="правый", x=wide + 80))
    assert texts(glyphs) == ["левый столбец", "правый"]


def test_a_raised_sign_joins_the_line_around_it(read):
    glyphs, _ = read(Print(says="сноска"), Print(says="три", x=87, y=505, size=7), Print(says="ниже", y=486))
    assert texts(glyphs) == ["сноска три", "ниже"]


def test_an_initial_of_several_lines_does_not_make_them_one(read):
    beside = [Print(says=f"строка {name}", x=82, y=500 - 14 * row) for row, name in enumerate("эюя")]
    glyphs, _ = read(Print(says="Б", y=470, size=42), *beside)
    assert sorted(texts(glyphs)) == ["Б", "строка э", "строка ю", "строка я"]


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ("ﬁнал и эﬀект", "fiнал и эffект"),
        ("пере\N{SOFT HYPHEN}нос", "перенос"),
        ("пере\N{SOFT HYPHEN}", "пере-"),
        ("дефис-", "дефис-"),
        ("воинъ и\N{COMBINING BREVE}", "воинъ й"),
        ("то\N{NO-BREAK SPACE}же", "то же"),
        (f"конец{UNSEEN}", "конец"),
        ("это \N{GOTHIC LETTER HWAIR}", "это \N{GOTHIC LETTER HWAIR}"),
    ],
)
def test_the_text_is_what_print_shows(says, text, read):
    glyphs, _ = read(Print(says=says))
    assert texts(glyphs) == [text]


def test_a_hyphen_that_parts_a_word_stays(read):
    glyphs, _ = read(Print(says="длинное сло-"), Print(says="во в двух строках", y=486))
    assert texts(glyphs) == ["длинное сло-", "во в двух строках"]


def test_turned_lines_are_counted_and_no_lines(read):
    turned = [Print(says="сбоку", x=30 + 20 * row, y=100, turn=TURNED_LEFT) for row in range(2)]
    glyphs, _ = read(Print(says="прямо"), *turned, Print(says="вверх ногами", x=300, turn="-1 0 0 -1"))
    assert texts(glyphs) == ["прямо"]
    assert count_turned(glyphs) == 3


def test_a_page_that_is_shown_turned_is_read_as_it_is_shown(read):
    sideways = Print(says="альбомная", x=200, y=100, turn=TURNED_LEFT)
    glyphs, page = read(sideways, rotate=90)
    assert page.width > page.height
    lines = find_lines(glyphs)
    assert [line.text for line in lines] == ["альбомная"]
    left, top, right, bottom = lines[0].box
    assert 0 < left < right < page.width
    assert 0 < top < bottom < page.height


@pytest.mark.parametrize("crop", [(0, 0, *PAGE_SIZE), (20.22, 40.7, 300.1, 550.3)])
def test_boxes_hold_the_ink_of_the_picture(crop, read):
    glyphs, page = read(Print(says="Прямоугольник"), crop=crop)
    rows, columns = np.nonzero(np.asarray(page) < 128)
    ink = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.allclose(find_lines(glyphs)[0].box, ink, atol=0.8)
