import numpy as np
import pytest
from tiny_pdfs import Print, write_pdf

from ocrtune.demo.pdf_book import DPI
from ocrtune.demo.pdf_lines import Skip, cut_line, part_lines, why_skipped
from ocrtune.sources.pdf.document import PdfPages
from ocrtune.sources.pdf.lines import find_lines

PARAGRAPH = "Каждая строка печати учит модель читать и писать по порядку"


@pytest.fixture
def read(tmp_path):
    """Prints → glyphs and picture of their page."""

    def read(*prints, **options):
        path = write_pdf(tmp_path / "page.pdf", [list(prints)], **options)
        with PdfPages(path, dpi=DPI) as pages:
            return pages.glyphs(1), pages.render(1)

    return read


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
    lines = part_lines(find_lines(glyphs), longest)
    assert " ".join(line.text for line in lines) == PARAGRAPH
    assert len(lines) == min(-(-len(PARAGRAPH) // longest), len(PARAGRAPH.split()))
    longest_word = max(map(len, PARAGRAPH.split()))
    assert all(len(line.text) <= longest + longest_word / 2 for line in lines)
    pictures = [np.asarray(cut_line(page, line, lines)) < 128 for line in lines]
    assert sum(picture.sum() for picture in pictures) == (np.asarray(page) < 128).sum()


@pytest.mark.parametrize("says", ["Глава 1", PARAGRAPH, "слово"])
def test_a_line_that_is_not_too_long_stays_whole(says, read):
    glyphs, _ = read(Print(says=says))
    assert [line.text for line in part_lines(find_lines(glyphs), len(says))] == [says]
