import gzip
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from tiny_pdfs import PAGE_SIZE, Print, book_pages, write_pdf

from ocrtune.errors import SourceError
from ocrtune.records import Cut, PdfPage
from ocrtune.sources import image_size, open_image, read_pages, read_source
from ocrtune.sources.pdf import reading

TURNED_LEFT = "0 1 -1 0"
LETTERS = "абвгдежзиклмнопрст"


@pytest.fixture
def book(tmp_path):
    """Title, contents and three pages."""
    return write_pdf(tmp_path / "books" / "vol1" / "book.pdf", book_pages(3))


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    (tmp_path / "books" / "vol1").mkdir(parents=True)


def one(path, *prints, **options):
    """A PDF of one page."""
    return write_pdf(path, [list(prints)], **options)


def told(source):
    return [(found.code, found.severity, found.count) for found in source.findings]


def test_each_page_of_a_pdf_is_a_page(book, tmp_path):
    pages = read_pages(f"pdf:{tmp_path}/books")
    assert [page.name for page in pages] == [f"vol1/book.pdf#{number}" for number in range(1, 6)]
    assert {page.document for page in pages} == {"vol1/book.pdf"}
    assert pages[4].where == f"{book}#5"
    assert pages[4].images == (PdfPage(path=book, number=5, dpi=200),)
    lines = "\n".join(f"Строка {letter} на странице в" for letter in "абвгдежзик")
    # Rows twenty points apart are the usual distance of this page, the head and the number are not.
    assert pages[4].text == f"Глава первая\n\n{lines}\n\n2"


def test_each_line_may_be_a_page(book):
    pages = read_pages(f"pdf:{book}?level=line&pages=5&dpi=144&margin=6")
    assert [page.name for page in pages[:2]] == ["book.pdf#5-1", "book.pdf#5-2"]
    assert [page.text for page in pages] == [
        "Глава первая",
        *(f"Строка {letter} на странице в" for letter in "абвгдежзик"),
        "2",
    ]
    cut = pages[1].images[0]
    assert isinstance(cut, Cut)
    assert cut.path == PdfPage(path=book, number=5, dpi=144)
    # Its baseline is 480 points above the foot of the page, two pixels a point.
    top, bottom = cut.polygon[0][1], cut.polygon[2][1]
    assert top < 2 * (PAGE_SIZE[1] - 480) < bottom < top + 2 * 16
    image = open_image(cut)
    assert image.size == image_size(cut)
    assert image.convert("L").getextrema()[0] < 100
    edge = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    assert set(edge) == {(255, 255, 255)}


@pytest.mark.parametrize("dpi", [50, 144, 600])
def test_texts_do_not_depend_on_how_large_a_page_is_rendered(tmp_path, dpi):
    """In few pixels the second line would be so much larger than the others as a heading is."""
    body = [Print(says=f"Строка {letter}", y=400 - 14 * row, size=8.9) for row, letter in enumerate(LETTERS)]
    path = one(tmp_path / "a.pdf", Print(says="Мелочь", size=10), *body)
    (page,) = read_pages(f"pdf:{path}?target=markdown&dpi={dpi}")
    assert page.text.startswith("Мелочь\n\n")


def test_lines_hold_all_the_ink_of_their_page(book):
    def ink(source):
        return int((np.asarray(open_image(source).convert("L")) < 200).sum())

    lines = read_pages(f"pdf:{book}?level=line&pages=5&margin=0")
    assert sum(ink(line.images[0]) for line in lines) == ink(PdfPage(path=book, number=5, dpi=200))


def test_a_path_alone_is_known_by_its_suffix(book, tmp_path):
    packed = tmp_path / "packed.PDF.gz"
    packed.write_bytes(gzip.compress(book.read_bytes()))
    assert len(read_pages(str(book))) == len(read_pages(str(packed))) == 5


def test_a_folder_of_pdfs_is_known_by_what_is_in_it(book, tmp_path):
    (tmp_path / "books" / "README").write_text("five pages")
    assert len(read_pages(str(tmp_path / "books"))) == 5


def test_pdfs_beside_images_are_left_out_and_told(book, tmp_path):
    Image.new("L", (40, 40)).save(tmp_path / "books" / "scan.png")
    source = read_source(str(tmp_path / "books"))
    assert [page.name for page in source.pages] == ["scan.png"]
    assert told(source) == [("pdf-beside-images", "note", 1)]


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [("3", [3]), ("2-4", [2, 3, 4]), ("4-", [4, 5]), ("-2", [1, 2]), ("1-5", [1, 2, 3, 4, 5])],
)
def test_a_range_of_pages_is_read(book, pages, numbers):
    assert [page.images[0].number for page in read_pages(f"pdf:{book}?pages={pages}")] == numbers


@pytest.mark.parametrize("pages", ["6", "4-6", "6-"])
def test_pages_that_the_pdf_does_not_have_are_an_error(book, pages):
    with pytest.raises(SourceError, match="the PDF has 5 pages, not the pages") as caught:
        read_pages(f"pdf:{book}?pages={pages}")
    assert caught.value.hint == "name a range within 1-5"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("levl=line", "did you mean 'level'?"),
        ("level=lines", "did you mean 'line'?"),
        ("level=region", "must be one of page, line"),
        ("dpi=20", "from 50 to 600, found '20'"),
        ("dpi=9999999999999", "from 50 to 600"),
        ("dpi=200.5", "from 50 to 600"),
        ("pages=", "found ''"),
        ("pages=-", "found '-'"),
        ("pages=a-b", "found 'a-b'"),
        ("pages=9-3", "upwards from 1, found '9-3'"),
        ("pages=0", "upwards from 1"),
        ("target=html", "must be one of plain, markdown"),
        ("margin=-1", "from 0 to 200"),
    ],
)
def test_an_option_that_cannot_be_is_told_with_what_can(book, query, said):
    with pytest.raises(SourceError, match="the options of the source are wrong") as caught:
        read_pages(f"pdf:{book}?{query}")
    assert said in caught.value.message


def test_markdown_knows_headings_by_the_size_of_the_whole_document(tmp_path):
    """A page of nothing but a heading does not tell what is large."""
    title = [Print(says="Глава о рыбах", size=18)]
    body = [Print(says=f"Строка {letter}", y=500 - 14 * row, size=10) for row, letter in enumerate(LETTERS)]
    path = write_pdf(tmp_path / "a.pdf", [title, body])
    pages = read_pages(f"pdf:{path}?target=markdown")
    assert pages[0].text == "# Глава о рыбах"
    assert "#" not in pages[1].text


def test_ligatures_soft_hyphens_and_hard_spaces_are_put_right(tmp_path):
    path = one(
        tmp_path / "a.pdf",
        Print(says="ﬁnd oﬃce\N{NO-BREAK SPACE}co\N{SOFT HYPHEN}op e\N{COMBINING ACUTE ACCENT}"),
    )
    assert [page.text for page in read_pages(str(path))] == ["find office coop é"]


def test_a_bullet_of_a_symbol_font_is_a_bullet(tmp_path):
    path = one(tmp_path / "a.pdf", Print(says="\uf0b7 пункт"))
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["• пункт"]
    assert not source.findings


def test_a_scan_among_pages_is_left_out_with_a_note(tmp_path):
    path = write_pdf(tmp_path / "a.pdf", [[Print(says="текст")], [], [Print(says="ещё")]])
    source = read_source(str(path))
    assert [page.name for page in source.pages] == ["a.pdf#1", "a.pdf#3"]
    (found,) = source.findings
    assert (found.code, found.severity, found.where) == ("pdf-page-without-text", "note", f"{path}#2")


def test_a_page_of_unknown_signs_is_left_out(tmp_path):
    path = write_pdf(tmp_path / "a.pdf", [[Print(says="\ue000\ue001 текст")], [Print(says="хорошо")]])
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["хорошо"]
    assert told(source) == [("pdf-glyphs-unknown", "error", 1)]


def test_a_few_unknown_signs_go_with_a_warning_but_never_within_a_line_to_learn(tmp_path):
    known = [Print(says=LETTERS, y=500 - 20 * row) for row in range(12)]
    path = one(tmp_path / "a.pdf", *known, Print(says="вот \ue000", y=100))
    source = read_source(str(path))
    assert source.pages[0].text.endswith("вот")
    assert told(source) == [("pdf-glyphs-unknown", "warning", 1)]
    lines = read_source(f"pdf:{path}?level=line")
    assert [page.text for page in lines.pages] == [LETTERS] * 12
    assert told(lines) == [("pdf-glyphs-unknown", "warning", 1)]


def test_a_page_whose_text_is_turned_is_left_out(tmp_path):
    sideways = Print(says="альбомная страница", x=200, y=100, turn=TURNED_LEFT)
    path = write_pdf(tmp_path / "a.pdf", [[sideways], [Print(says="прямо")]])
    source = read_source(str(path))
    assert [page.name for page in source.pages] == ["a.pdf#2"]
    assert told(source) == [("pdf-page-turned", "error", 1)]
    shown_upright = one(tmp_path / "b.pdf", sideways, rotate=90)
    (page,) = read_pages(str(shown_upright))
    assert page.text == "альбомная страница"


def test_a_turned_line_beside_the_text_is_left_out_and_counted(tmp_path):
    path = one(
        tmp_path / "a.pdf", Print(says="много текста"), Print(says="сбоку", x=20, y=100, turn=TURNED_LEFT)
    )
    source = read_source(str(path))
    assert source.pages[0].text == "много текста"
    assert told(source) == [("pdf-text-turned", "warning", 1)]


def test_text_beyond_the_paper_or_without_ink_is_no_text_of_the_page(tmp_path):
    path = one(
        tmp_path / "a.pdf",
        Print(says="видно", y=300),
        Print(says="за", x=5000),
        Print(says="нет", y=200, drawn=False),
    )
    source = read_source(str(path))
    assert source.pages[0].text == "видно"
    assert told(source) == [("pdf-text-outside", "note", 2), ("pdf-text-invisible", "warning", 3)]


def test_the_text_layer_of_a_scan_is_read_with_a_warning(tmp_path):
    path = one(tmp_path / "a.pdf", Print(says="распознано", drawn=False))
    source = read_source(str(path))
    assert source.pages[0].text == "распознано"
    assert told(source) == [("pdf-text-invisible", "warning", 1)]


def test_white_text_on_white_paper_is_left_out(tmp_path):
    path = one(tmp_path / "a.pdf", Print(says="видно"), Print(says="бел ым", y=300, white=True))
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["видно"]
    assert told(source) == [("pdf-text-invisible", "warning", 6)]
    path = one(tmp_path / "a.pdf", Print(says="нет видно", white=True))
    with pytest.raises(SourceError, match="white on white"):
        read_source(str(path))


def test_lines_that_lie_over_each_other_are_no_lines_to_learn(tmp_path):
    formula = [Print(says="сумма", x=50, y=300, size=30), Print(says="индекс", x=60, y=302, size=8)]
    path = one(tmp_path / "a.pdf", Print(says="текст", y=400), Print(says="тесно", y=389), *formula)
    source = read_source(f"pdf:{path}?level=line")
    assert [page.text for page in source.pages] == ["текст", "тесно"]
    assert told(source) == [("pdf-lines-overlap", "warning", 2)]


def test_text_from_right_to_left_is_left_out(tmp_path):
    path = write_pdf(tmp_path / "a.pdf", [[Print(says="שלום עולם")], [Print(says="мир")]])
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["мир"]
    assert told(source) == [("pdf-text-leftwards", "error", 1)]


def test_one_bad_file_among_many_costs_one_finding(tmp_path, book):
    books = tmp_path / "books"
    whole = book.read_bytes()
    (books / "cut.pdf").write_bytes(whole[: len(whole) // 40])
    (books / "cut.pdf.gz").write_bytes(gzip.compress(whole)[:200])
    (books / "letter.pdf").write_bytes(b"Dear reader")
    (books / "nothing.pdf").write_bytes(b"")
    write_pdf(books / "locked.pdf", book_pages(1), encrypt=True)
    write_pdf(books / "no-pages.pdf", [])
    source = read_source(f"pdf:{books}")
    assert len(source.pages) == 5
    found = {finding.where.rpartition("/")[2]: finding.message for finding in source.findings}
    assert len(source.findings) == len(found) == 6
    assert {finding.severity for finding in source.findings} == {"error"}
    assert found["locked.pdf"] == "the PDF asks for a password"
    assert found["cut.pdf.gz"] == "the file cannot be unpacked"


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_pdf_that_ends_early_never_crashes(tmp_path, book, cut):
    whole = book.read_bytes()
    book.write_bytes(whole[: int(len(whole) * cut)])
    # Beside a whole one, so that there is something to read in any case.
    one(book.parent / "whole.pdf", Print(says="целая"))
    source = read_source(f"pdf:{book.parent}")
    assert len(source.pages) > 1 or [found.code for found in source.findings] == ["pdf"]


def test_a_page_that_no_printer_has_is_left_out(tmp_path, monkeypatch):
    huge = one(tmp_path / "huge.pdf", Print(says="стена"), size=(201 * 72, 595))
    with pytest.raises(SourceError, match=r"201 × 8\.26. inches, which cannot be rendered"):
        read_pages(str(huge))
    normal = one(tmp_path / "normal.pdf", Print(says="лист"))
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_PIXELS", "4000000")
    assert len(read_pages(f"pdf:{normal}?dpi=200")) == 1
    with pytest.raises(SourceError, match="cannot be rendered as 3501 × 4959 px") as caught:
        read_pages(f"pdf:{normal}?dpi=600")
    assert "smaller dpi" in caught.value.hint


def test_a_folder_without_pdfs_is_told(tmp_path):
    (tmp_path / "books" / "vol1" / "letter.txt").write_text("x")
    with pytest.raises(SourceError, match="the folder holds no PDFs"):
        read_pages(f"pdf:{tmp_path}/books")


def test_so_many_pages_are_a_document(tmp_path, book):
    pages = read_pages(f"pdf:{tmp_path}/books?document_pages=2&pages=2-5")
    assert [page.document for page in pages] == [
        "vol1/book.pdf#1-2", "vol1/book.pdf#3-4", "vol1/book.pdf#3-4", "vol1/book.pdf#5-6",
    ]  # fmt: skip
    lines = read_pages(f"pdf:{book}?document_pages=2&level=line&pages=5")
    assert {page.document for page in lines} == {"book.pdf#5-6"}


def test_more_pages_than_any_book_has_are_read_by_parts(book, monkeypatch):
    monkeypatch.setattr(reading, "MOST_PAGES", 3)
    with pytest.raises(SourceError, match="5 pages to read, more than 3") as caught:
        read_pages(f"pdf:{book}")
    assert caught.value.hint == "name a part of them, such as pages=1-3"
    assert len(read_pages(f"pdf:{book}?pages=3-5")) == 3


def test_a_pdf_of_many_pages_takes_little_memory_for_each(tmp_path):
    num_pages = 80
    rows = [Print(says="a", y=580 - 10 * row) for row in range(50)]
    path = write_pdf(tmp_path / "long.pdf", [rows] * num_pages)
    tracemalloc.start()
    pages = read_pages(f"pdf:{path}")
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pages) == num_pages
    # A page has its names and text; the signs and rows of earlier ones are gone.
    assert most_bytes / num_pages < 6000


def test_a_text_layer_of_signs_that_are_no_letters_is_told(tmp_path):
    path = one(tmp_path / "odd.pdf", Print(says='"7+%- !#$'), Print(says=". . . . . . . . . 1", y=300))
    assert ("pdf-text-unlikely", "warning", 1) in told(read_source(f"pdf:{path}"))
    path = one(
        tmp_path / "plain.pdf", Print(says="Глава . . . . . . . . . 1"), Print(says="(a); 1 + 2", y=300)
    )
    assert told(read_source(f"pdf:{path}")) == []


def test_a_large_pdf_stays_on_disk(tmp_path):
    path = one(tmp_path / "fat.pdf", Print(says="one"))
    content = path.read_bytes()
    path.write_bytes(content + b"%" + b"x" * 50_000_000 + content[content.rindex(b"startxref") - 1 :])
    tracemalloc.start()
    (page,) = read_pages(f"pdf:{path}")
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert page.text == "one"
    assert most_bytes < 10_000_000
