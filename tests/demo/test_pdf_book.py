import json
from collections import Counter

import pytest
from PIL import Image
from tiny_pdfs import Print, book_pages, write_pdf

from ocrtune.demo.pdf_book import Wanted, draw_book, page_numbers, write_book
from ocrtune.errors import SourceError
from ocrtune.sources import open_image, read_pages

NUM_PAGES = 12
FEW = Wanted(train=40, validation=10, test=20)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory):
    return write_pdf(tmp_path_factory.mktemp("pdf") / "book.pdf", book_pages(NUM_PAGES))


def draw(pdf, **options):
    return draw_book(pdf, "CYRILLIC", seed=7, wanted=options.pop("wanted", FEW), **options)


def passed_over(book):
    return Counter({finding.message: finding.count for finding in book.findings})


def test_no_page_is_learned_from_and_tested(pdf):
    book = draw(pdf)
    train, validation, test = map(page_numbers, (book.train, book.validation, book.test))
    assert len({*train, *validation, *test}) == len(train) + len(validation) + len(test)
    assert max(train + validation) < min(test)


def test_there_are_as_many_lines_as_wanted(pdf):
    book = draw(pdf)
    assert (len(book.train), len(book.validation), len(book.test)) == (40, 10, 20)


def test_a_short_book_gives_what_it_has(pdf):
    book = draw(pdf, wanted=Wanted(train=1000, validation=1000, test=1000))
    # Three pages to test, one to choose by, eight to learn from; a running head is taken once.
    assert [len(part) for part in (book.test, book.validation, book.train)] == [31, 10, 80]


def test_title_and_contents_are_passed_over_and_counted(pdf):
    told = passed_over(draw(pdf))
    assert told["pages left out: table of contents"] == 1
    assert told["pages left out: before the end of the contents"] == 1


def test_the_text_of_a_running_head_is_never_in_two_parts(pdf):
    book = draw(pdf, wanted=Wanted(train=1000, validation=1000, test=1000))
    texts = Counter(line.text for line in (*book.train, *book.validation, *book.test))
    assert set(texts.values()) == {1}
    assert passed_over(book)["lines left out: the same text is taken from another page"] == NUM_PAGES - 1


def test_lines_that_cannot_be_learned_are_counted_by_reason(tmp_path):
    pages = book_pages(6)
    pages[3] += [
        Print(says="прочь \ue000", y=250),
        Print(says="the English line", y=230),
        Print(says="сбоку", x=20, y=100, turn="0 1 -1 0"),
    ]
    told = passed_over(draw(write_pdf(tmp_path / "book.pdf", pages)))
    assert told["lines left out: signs of which the PDF does not tell the letter"] == 1
    assert told["lines left out: most letters are of another script"] == 1
    assert told["lines left out: turned"] == 1
    assert told["lines left out: no letters"] == 6


def test_lines_without_ink_are_counted(tmp_path):
    pages = book_pages(6)
    for page in pages[2:]:
        page.append(Print(says=f"невидимая строка {'абвгдежз'[pages.index(page)]}", y=250, drawn=False))
    book = draw(
        write_pdf(tmp_path / "book.pdf", pages), wanted=Wanted(train=1000, validation=1000, test=1000)
    )
    assert passed_over(book)["lines left out: no ink where the letters should be"] == 6


def test_pages_without_text_are_counted(tmp_path):
    book = draw(write_pdf(tmp_path / "book.pdf", [*book_pages(6), [], []]))
    assert passed_over(book)["pages left out: no text"] == 2


def test_the_same_seed_draws_the_same_lines(pdf):
    first, second = draw(pdf), draw(pdf)
    assert first == second
    other = draw_book(pdf, "CYRILLIC", seed=8, wanted=FEW)
    assert page_numbers(other.train) != page_numbers(first.train)


def test_lines_come_from_the_pages_that_were_named(pdf):
    book = draw(pdf, pages=range(5, 9))
    assert {*page_numbers(book.train), *page_numbers(book.validation), *page_numbers(book.test)} == {
        5,
        6,
        7,
        8,
    }


@pytest.mark.parametrize("pages", [range(4), range(4, 40), range(9, 5)])
def test_pages_that_the_pdf_does_not_have_are_an_error(pages, pdf):
    with pytest.raises(SourceError, match="the PDF has 14 pages") as caught:
        draw(pdf, pages=pages)
    assert "1-14" in caught.value.hint


def test_a_scan_is_told_to_have_no_text(tmp_path):
    Image.new("L", (300, 400), 255).save(tmp_path / "scan.pdf")
    with pytest.raises(SourceError, match="1 page of the PDF, none with a text layer") as caught:
        draw(tmp_path / "scan.pdf")
    assert "text can be searched" in caught.value.hint


@pytest.mark.parametrize("says", ["only English words", "12 – 14"])
def test_a_pdf_without_lines_of_the_script_is_told(says, tmp_path):
    page = [Print(says=says, y=100 + 20 * row) for row in range(10)]
    with pytest.raises(SourceError, match="0 pages of the PDF with lines to learn from; a demo needs 3"):
        draw(write_pdf(tmp_path / "other.pdf", [page] * 5))


def test_a_written_book_is_a_source_of_pages(pdf, tmp_path):
    book = draw(pdf)
    pages = read_pages(str(write_book(book, tmp_path / "lines")))
    lines = sorted((*book.train, *book.validation, *book.test), key=lambda line: (line.page, line.number))
    assert [page.text for page in pages] == [line.text for line in lines]
    assert [page.document for page in pages] == [f"page {line.page}" for line in lines]
    assert open_image(pages[0].images[0]).tobytes() == lines[0].image.convert("RGB").tobytes()
    told = json.loads((tmp_path / "lines" / "findings.json").read_text(encoding="utf-8"))
    assert [row["message"] for row in told] == [finding.message for finding in book.findings]


def test_writing_twice_gives_the_same_bytes(pdf, tmp_path):
    folders = [write_book(draw(pdf), tmp_path / name).parent for name in ("a", "b")]
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.*")) for folder in folders]
    assert files[0] == files[1]
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files[0])
