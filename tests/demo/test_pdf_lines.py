import gzip
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_pdfs import PAGE_SIZE, UNSEEN, Print, book_pages, write_pdf

from ocrtune.demo.pdf_lines import (
    COLUMN_GAP,
    Skip,
    count_turned,
    cut_line,
    find_lines,
    why_skipped,
)
from ocrtune.demo.pdf_pages import DPI, POINTS_PER_INCH, PdfPages
from ocrtune.errors import SourceError

PX = DPI / POINTS_PER_INCH
TURNED_LEFT = "0 1 -1 0"
PARAGRAPH = "Каждая строка печати учит модель читать и писать по порядку"


@pytest.fixture
def read(tmp_path):
    """Prints → glyphs and picture of their page."""

    def read(*prints, **options):
        path = write_pdf(tmp_path / "page.pdf", [list(prints)], **options)
        with PdfPages(path) as pages:
            return pages.glyphs(1), pages.render(1)

    return read


def texts(glyphs, **options):
    return [line.text for line in find_lines(glyphs, **options)]


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
    ],
)
def test_the_text_is_what_print_shows(says, text, read):
    glyphs, _ = read(Print(says=says))
    assert texts(glyphs) == [text]


@pytest.mark.parametrize(
    ("says", "skip"),
    [
        ("прочь \ue000", Skip.UNREADABLE),
        ("прочь \N{REPLACEMENT CHARACTER}", Skip.UNREADABLE),
        ("прочь \x07", Skip.UNREADABLE),
        ("שלום עולם", Skip.LEFTWARDS),
        ("12 – 14", Skip.WORDLESS),
        ("ё 12 ж", Skip.SHORT),
        ("the Debian архив", Skip.FOREIGN),
        ("пакеты Debian", None),
        ("вѣкъ", None),
    ],
)
def test_a_line_that_teaches_nothing_is_left_out_with_a_reason(says, skip, read):
    glyphs, _ = read(Print(says=says))
    assert [why_skipped(line, "CYRILLIC") for line in find_lines(glyphs)] == [skip]


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
    assert cut_line(page, lines[0], lines) is not None


@pytest.mark.parametrize("crop", [(0, 0, *PAGE_SIZE), (20.22, 40.7, 300.1, 550.3)])
def test_boxes_hold_the_ink_of_the_picture(crop, read):
    glyphs, page = read(Print(says="Прямоугольник"), crop=crop)
    rows, columns = np.nonzero(np.asarray(page) < 128)
    ink = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.allclose(find_lines(glyphs)[0].box, ink, atol=0.8)


def test_a_cut_line_holds_all_its_ink_and_nothing_of_its_neighbours(read):
    glyphs, page = read(*(Print(says=PARAGRAPH, y=500 - 12 * row) for row in range(3)))
    lines = find_lines(glyphs)
    pictures = [np.asarray(cut_line(page, line, lines)) < 128 for line in lines]
    assert sum(picture.sum() for picture in pictures) == (np.asarray(page) < 128).sum()
    for picture in pictures:
        assert not picture[0].any()
        assert not picture[-1].any()
        assert not picture[:, [0, -1]].any()


def test_text_without_ink_is_not_cut(read):
    glyphs, page = read(Print(says="невидимая строка", drawn=False), Print(says="за краем", x=5000))
    lines = find_lines(glyphs)
    assert [cut_line(page, line, lines) for line in lines] == [None] * len(lines)


@pytest.mark.parametrize("longest", [8, 20, 33, 58])
def test_a_long_line_is_parted_between_words(longest, read):
    glyphs, page = read(Print(says=PARAGRAPH))
    lines = find_lines(glyphs, longest=longest)
    assert " ".join(line.text for line in lines) == PARAGRAPH
    assert len(lines) == min(-(-len(PARAGRAPH) // longest), len(PARAGRAPH.split()))
    longest_word = max(map(len, PARAGRAPH.split()))
    assert all(len(line.text) <= longest + longest_word / 2 for line in lines)
    pictures = [np.asarray(cut_line(page, line, lines)) < 128 for line in lines]
    assert sum(picture.sum() for picture in pictures) == (np.asarray(page) < 128).sum()


@pytest.mark.parametrize("says", ["Глава 1", PARAGRAPH, "слово"])
def test_a_line_that_is_not_too_long_stays_whole(says, read):
    glyphs, _ = read(Print(says=says))
    assert texts(glyphs, longest=len(says)) == [says]


def test_a_packed_pdf_is_read_as_it_is(tmp_path):
    path = write_pdf(tmp_path / "book.pdf", book_pages(1))
    packed = tmp_path / "book.pdf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with PdfPages(path) as pages, PdfPages(packed) as unpacked:
        assert len(pages) == len(unpacked) == 3
        assert pages.glyphs(3) == unpacked.glyphs(3)


def test_a_scan_has_no_signs(tmp_path):
    Image.new("L", (300, 400), 255).save(tmp_path / "scan.pdf")
    with PdfPages(tmp_path / "scan.pdf") as pages:
        assert pages.glyphs(1) == []


def test_a_file_that_cannot_be_read_is_told_with_a_hint(tmp_path):
    whole = gzip.compress(write_pdf(tmp_path / "whole.pdf", book_pages(1)).read_bytes())
    broken = {"empty.pdf": b"", "letter.pdf": b"Dear reader", "cut.pdf.gz": whole[: len(whole) // 2]}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    locked = write_pdf(tmp_path / "locked.pdf", book_pages(1), encrypt=True)
    told = {"missing.pdf": "no file", locked.name: "password", "cut.pdf.gz": "unpacked"}
    for name in [*broken, "missing.pdf", locked.name]:
        with pytest.raises(SourceError, match=told.get(name, "no PDF")) as caught:
            PdfPages(tmp_path / name)
        assert caught.value.hint


def test_a_glyph_knows_where_it_stands(read):
    (glyph,), _ = read(Print(says="ж", x=72, y=PAGE_SIZE[1] - 144, size=24))
    assert glyph.start == pytest.approx(72 * PX, abs=2)
    assert glyph.baseline == pytest.approx(144 * PX, abs=2)
    assert glyph.size == pytest.approx(24 * PX, rel=0.01)
    assert glyph.turn == 0
