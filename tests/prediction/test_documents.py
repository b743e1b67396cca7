import ctypes
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from ocrtune.errors import ImageError
from ocrtune.evaluation import write_predictions
from ocrtune.prediction import Outputs
from ocrtune.prediction.documents import write_outputs
from ocrtune.prediction.drawing import draw_boxes
from ocrtune.prediction.searchable_pdf import PdfWriter, PlacedLine, in_visual_order, place_lines
from ocrtune.records import Page, Prediction, TextBox
from ocrtune.sources import open_image
from ocrtune.transcription.answers import read_boxes

GROUNDED = (
    "<|ref|>title<|/ref|><|det|>[[100, 100, 500, 150]]<|/det|>\n# On rain\n\n"
    "<|ref|>text<|/ref|><|det|>[[100, 200, 900, 300]]<|/det|>\nIt fell\nthe whole day.\n"
)
DET = "<|det|>title [100, 100, 500, 150]<|/det|># On rain\n<|det|>text [100, 200, 900, 300]<|/det|>It fell\nthe whole day."


@pytest.fixture
def pages(tmp_path):
    """A book of two pages and a letter."""
    found = []
    for number, document in enumerate(["book", "book", ""]):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (1000, 2000), "white").save(path, dpi=(100, 100))
        found.append(Page(name=path.name, images=(path,), document=document))
    return found


TEXTS = ["First page.\nSecond line.", GROUNDED, "Жили-были"]


@pytest.fixture
def written(pages, tmp_path):
    def write(form, texts=TEXTS, draw=None):
        rows = [
            Prediction(image=page.name, text=text, boxes=read_boxes(text, (1000, 2000)))
            for page, text in zip(pages, texts, strict=False)
        ]
        write_predictions(tmp_path / "p.jsonl", rows)
        return write_outputs(
            pages, tmp_path / "p.jsonl", Outputs(format=form, folder=tmp_path / "out", draw=draw)
        )

    return write


def test_pages_of_a_document_are_one_file_in_their_order(written):
    assert [path.name for path in written("txt").files] == ["book.txt", "2.txt"]
    book, letter = written("txt").files
    assert book.read_text() == "First page.\nSecond line.\n\f# On rain\nIt fell\nthe whole day.\n"
    assert letter.read_text() == "Жили-были\n"
    (markdown, _) = written("md").files
    assert markdown.read_text() == "First page.\nSecond line.\n\n# On rain\nIt fell\nthe whole day.\n"
    (whole, _) = written("json").files
    told = json.loads(whole.read_text())
    assert (told["document"], [row["image"] for row in told["pages"]]) == ("book", ["0.png", "1.png"])
    assert told["pages"][1]["boxes"][0] == {
        "label": "title",
        "text": "# On rain",
        "box": [100, 200, 501, 300],
    }


def test_a_page_that_was_skipped_is_told(written):
    found = written("txt", TEXTS[:2])
    assert [(row.code, row.where) for row in found.findings] == [("prediction-missing", "2.png")]


@pytest.mark.parametrize(("form", "suffix"), [("page", ".xml"), ("alto", ".xml"), ("hocr", ".hocr")])
def test_archives_get_a_file_for_each_page(written, form, suffix):
    files = written(form).files
    assert [path.name for path in files] == [f"{number}{suffix}" for number in range(3)]
    words = re.findall(r"\w+", "".join(etree.parse(files[1]).xpath("//text()|//@CONTENT")))
    assert {"rain", "fell", "whole", "day"} <= set(words)


def text_of(content, page=0):
    with pypdfium2.PdfDocument(content) as pdf:
        text = pdf[page].get_textpage()
        try:
            return text.get_text_range().replace("\r\n", "\n")
        finally:
            text.close()


def test_a_searchable_pdf_gives_its_text_back(written):
    book, letter = written("pdf").files
    assert [text_of(book, page) for page in (0, 1)] == [
        "First page.\nSecond line.",
        "On rain\nIt fell\nthe whole day.",
    ]
    assert text_of(letter) == "Жили-были"
    with pypdfium2.PdfDocument(book) as pdf:
        assert len(pdf) == 2
        assert pdf[0].get_size() == pytest.approx((720, 1440), abs=0.1), "1000 × 2000 px at 100 dpi"


def test_its_picture_is_the_scan_and_its_text_unseen(pages, written):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 25), np.uint8).repeat(40, 0).repeat(40, 1)
    Image.fromarray(pixels).save(pages[0].images[0])
    book = written("pdf").files[0]
    with pypdfium2.PdfDocument(book) as pdf:
        seen = np.asarray(pdf[0].render(scale=200 / 72, grayscale=True).to_pil().convert("L"), dtype=int)
        text = pdf[0].get_textpage()
        modes = {
            pdfium.FPDFTextObj_GetTextRenderMode(pdfium.FPDFText_GetTextObject(text, index))
            for index in range(5)
        }
        text.close()
    assert seen.shape == (2000, 1000)
    assert np.abs(seen - pixels)[8::40, 8::40].mean() < 12
    assert modes == {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE}


def test_lines_lie_in_their_boxes_or_share_the_height_of_the_page():
    assert place_lines("one\n\ntwo\nthree\nfour", (100, 400)) == [
        PlacedLine(text=text, box=(0, top, 100, top + 100))
        for text, top in zip(["one", "two", "three", "four"], range(0, 400, 100), strict=True)
    ]
    title, first, second = place_lines(DET, (999, 999))
    assert title == PlacedLine(text="On rain", box=(100, 100, 500, 150))
    assert (first.box, second.box) == ((100, 200, 900, 250), (100, 250, 900, 300))


def test_a_line_of_the_layer_is_as_wide_as_its_box():
    content = pdf_of([PlacedLine(text="abcd", box=(100, 300, 900, 340))])
    with pypdfium2.PdfDocument(content) as pdf:
        text = pdf[0].get_textpage()
        boxes = [text.get_charbox(index, loose=True) for index in range(4)]
        x, y = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(text, 0, x, y)
        text.close()
    # 1000 px are 360 points at 200 dpi.
    width = (324 - 36) / 4.5
    assert (boxes[0][0], boxes[-1][2]) == pytest.approx((36, 324 - width / 2), abs=0.5)
    assert 360 - 340 * 0.36 < y.value < 360 - 300 * 0.36


def pdf_of(lines, size=(1000, 1000)):
    file = io.BytesIO()
    writer = PdfWriter(file)
    writer.add_page(Image.new("L", size, 255), lines, dpi=200)
    writer.close()
    return file.getvalue()


SCRIPTS = [
    "Съѣшь ещё этихъ",
    "漢字とかな 𠀀 😀",
    "नमस्ते दुनिया",
    "שלום (עולם), abc!",
    "العربية نص",
    "œuvre – “quotes” & <tags>",
    "\u0301e and e\u0301",
]


def test_cells_of_a_table_are_words_of_their_own():
    table = "<|ref|>table<|/ref|><|det|>[[100, 500, 900, 820]]<|/det|>\n<table><tr><td>a</td><td>bc</td></tr></table>"
    assert text_of(pdf_of(place_lines(table, (1000, 1000)))).split() == ["a", "bc"]


@pytest.mark.parametrize("text", SCRIPTS)
def test_any_script_comes_back(text):
    assert text_of(pdf_of([PlacedLine(text=text, box=(50, 100, 950, 150))])) == text


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_pdftotext_reads_it_too(tmp_path):
    (tmp_path / "a.pdf").write_bytes(
        pdf_of(
            [
                PlacedLine(text=text, box=(50, 100 * n, 950, 100 * n + 50))
                for n, text in enumerate(SCRIPTS[:3])
            ]
        )
    )
    done = subprocess.run(
        ["pdftotext", "a.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[:3] == SCRIPTS[:3]


# PDFium parts ligatures, and turns what runs leftwards by rules of its own.
plain = st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0x52F, exclude_characters="ŉǰ")


@given(st.lists(st.text(plain, min_size=1, max_size=30), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_lines_of_any_length_come_back(words):
    lines = [PlacedLine(text=word, box=(0, 200 * n, 500, 200 * n + 30)) for n, word in enumerate(words)]
    assert text_of(pdf_of(lines)) == "\n".join(words)


def test_an_image_that_is_gone_leaves_its_document_out_and_is_told(pages, written):
    pages[2].images[0].unlink()
    found = written("pdf")
    assert [path.name for path in found.files] == ["book.pdf"]
    assert [(row.code, row.severity) for row in found.findings] == [(ImageError.code, "error")]


@pytest.mark.parametrize("text", [GROUNDED, DET], ids=["ref-det", "det"])
def test_boxes_of_all_families_become_pixels(text):
    assert read_boxes(text, (1998, 999)) == (
        TextBox(label="title", text="# On rain", box=(200, 100, 1000, 150)),
        TextBox(label="text", text="It fell\nthe whole day.", box=(200, 200, 1800, 300)),
    )


def test_a_broken_box_is_none_and_several_are_their_bounds():
    found = read_boxes(
        "before<|ref|>a<|/ref|><|det|>[[10, 10, 5, 5]]<|/det|>\nx\n<|ref|>b<|/ref|><|det|>[[0, 0, 9, 9], [20, 2, 99, 5]]<|/det|>\ny",
        (999, 999),
    )
    assert found == (TextBox(label="b", text="y", box=(0, 0, 99, 9)),)


def test_pages_with_boxes_are_drawn_and_the_page_is_left_as_it_is(written, pages, tmp_path):
    before = [page.images[0].read_bytes() for page in pages]
    drawn = written("jsonl", draw=tmp_path / "drawn").drawn
    assert [path.name for path in drawn] == ["1.png"]
    picture = np.asarray(Image.open(drawn[0]).convert("RGB"))
    assert picture.shape == (2000, 1000, 3)
    assert (picture[250, 98:104] != 255).any(axis=-1).sum() >= 2, "the frame's left side"
    assert (picture[1000:] == 255).all()
    assert [page.images[0].read_bytes() for page in pages] == before


def test_an_image_in_memory_is_not_drawn_on():
    image = Image.new("RGB", (100, 100), "white")
    drawn = draw_boxes(image, [TextBox(label="a", text="", box=(10, 2, 90, 90))])
    assert (np.asarray(image) == 255).all()
    assert (np.asarray(drawn) != 255).any()


def test_a_page_of_several_images_is_a_pdf_of_as_many_pages(pages, tmp_path):
    page = replace(pages[0], images=(pages[0].images[0], pages[1].images[0]))
    write_predictions(tmp_path / "p.jsonl", [Prediction(image=page.name, text="All of it")])
    (file,) = write_outputs([page], tmp_path / "p.jsonl", Outputs(format="pdf", folder=tmp_path / "o")).files
    assert [text_of(file, number) for number in (0, 1)] == ["All of it", ""]
    assert open_image(page.images[0]).size == (1000, 2000)


def test_a_document_without_images_becomes_no_pdf(tmp_path):
    page = Page(name="talk", images=(), prompt="Say something.")
    write_predictions(tmp_path / "p.jsonl", [Prediction(image="talk", text="Something.")])
    found = write_outputs([page], tmp_path / "p.jsonl", Outputs(format="pdf", folder=tmp_path / "out"))
    assert found.files == ()
    assert [(row.code, row.where) for row in found.findings] == [("document-without-image", "talk")]


def test_a_long_line_of_signs_without_direction_is_turned_at_once():
    # Looking for the next letter from each sign anew took minutes.
    assert in_visual_order("." * 60_000) == "." * 60_000
