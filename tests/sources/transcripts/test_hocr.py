from time import perf_counter

import numpy as np
import pytest

from ocrtune.errors import TranscriptError
from ocrtune.sources.transcripts.hocr import read_hocr

WORDS = (
    '<span class="ocrx_word" title="bbox 10 20 40 35; x_wconf 90">one</span> '
    '<span class="ocrx_word" title="bbox 50 20 90 35; x_wconf 80">t<em>w</em>o</span>'
)


def line(identifier, inside=WORDS, kind="ocr_line", title="bbox 10 20 90 40; baseline 0.1 -5"):
    return f'<span class="{kind}" id="{identifier}" title="{title}">{inside}</span>'


def page(inside, image='"scan.png"', number=0):
    return (
        f"<div class='ocr_page' id='page_{number + 1}' title='image {image}; bbox 0 0 400 300; ppageno {number}'>"
        f"{inside}</div>"
    )


def paragraph(identifier, *lines, title="bbox 10 20 90 40"):
    return f'<div class="ocr_carea"><p class="ocr_par" id="{identifier}" title="{title}">{"".join(lines)}</p></div>'


def document(*pages):
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
        f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{"".join(pages)}</body></html>'
    )


def test_a_line_is_its_words_with_box_baseline_and_confidence(write):
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l"))))))
    (found,) = layout.lines()
    assert found.text == "one two"
    assert found.confidence == pytest.approx(0.85)
    np.testing.assert_array_equal(found.polygon, [(10, 20), (90, 20), (90, 40), (10, 40)])
    np.testing.assert_allclose(found.baseline, [(10, 35), (90, 43)])
    assert (layout.image, layout.size, layout.id) == ("scan.png", (400, 300), "page_1")
    assert [(region.id, region.kind) for region in layout.regions] == [("p", "paragraph")]
    assert layout.findings == ()


def test_one_file_holds_several_pages(write):
    pages = (page(paragraph(f"p{place}", line(f"l{place}")), f'"{place}.png"', place) for place in range(3))
    layouts = read_hocr(write(document(*pages)))
    assert [(layout.id, layout.image) for layout in layouts] == [
        ("page_1", "0.png"), ("page_2", "1.png"), ("page_3", "2.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ('"a; bbox 1.png"', "a; bbox 1.png"),
        ("plain.png", "plain.png"),
        ("&quot;it&#39;s.png&quot;", "it's.png"),
        ('"C:\\scans\\1.tif"', "C:\\scans\\1.tif"),
    ],
)
def test_the_name_of_the_image_may_be_quoted(write, written, wanted):
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l")), written))))
    assert (layout.image, layout.size) == (wanted, (400, 300))


def test_html_that_is_not_well_formed_is_read_all_the_same(write):
    text = (
        "<html><meta charset=utf-8><body><div class=ocr_page title='image s.png; bbox 0 0 9 9'><p class=ocr_par>"
        "<span class='ocr_line' title='bbox 1 1 8 8'>Größe&nbsp;&eacute;<br></span>"
    )
    (layout,) = read_hocr(write(text, "scan.hocr"))
    assert [found.text for found in layout.lines()] == ["Größe é"]
    assert layout.image == "s.png"


def test_xhtml_with_names_of_letters_keeps_them(write):
    (layout,) = read_hocr(
        write(document(page(paragraph("p", line("l", "caf&eacute;&nbsp;&amp; th&eacute;")))))
    )
    assert [found.text for found in layout.lines()] == ["café & thé"]


def test_html_without_a_charset_is_utf_8(write):
    (layout,) = read_hocr(write(f"<html><body>{page(paragraph('p', line('l', 'Größe')))}<p>", "scan.hocr"))
    assert [found.text for found in layout.lines()] == ["Größe"]


def test_words_that_close_themselves_do_not_swallow_the_next_ones(write):
    inside = '<span class="ocrx_word" title="bbox 1 1 2 2"/>' + WORDS
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l", inside))))))
    assert [found.text for found in layout.lines()] == ["one two"]


def test_an_outline_goes_before_the_box(write):
    title = "bbox 10 20 90 40; poly 10 25 90 20 90 40 10 40"
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l", title=title))))))
    np.testing.assert_array_equal(next(layout.lines()).polygon, [(10, 25), (90, 20), (90, 40), (10, 40)])


def test_headers_captions_and_pictures_are_kinds_of_regions(write):
    inside = (
        paragraph("a", line("l1", kind="ocr_header")) + paragraph("b", line("l2", kind="ocr_caption"))
        + paragraph("c", line("l3", kind="ocr_textfloat"), line("l4"))
        + '<div class="ocr_photo" id="d" title="bbox 1 1 9 9"/>'
        + f'<div class="ocr_header" id="e">{line("l5")}</div>'
    )  # fmt: skip
    (layout,) = read_hocr(write(document(page(inside))))
    assert [(region.id, region.kind, len(region.lines)) for region in layout.regions] == [
        ("a", "heading", 1), ("b", "caption", 1), ("c", "paragraph", 2), ("d", "figure", 0), ("page_1-lines", "paragraph", 1),
    ]  # fmt: skip


def test_html_of_another_kind_is_an_error(write):
    with pytest.raises(TranscriptError, match="no element of class ocr_page"):
        read_hocr(write("<html><body><p>hello</p></body></html>"))


@pytest.mark.parametrize("content", ["", "   "])
def test_an_empty_file_is_an_error(write, content):
    with pytest.raises(TranscriptError, match="no HTML"):
        read_hocr(write(content))


def word(text):
    return f'<span class="ocrx_word" title="bbox 10 20 40 35">{text}</span>'


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("你好", "世界", "。"), "你好世界。"),
        (("こんにちは", "世界"), "こんにちは世界"),
        (("안녕하세요", "세계"), "안녕하세요 세계"),
        (("世界", "OCR", "的"), "世界 OCR 的"),
        (("com\u00adpu\u00ad",), "compu-"),
    ],
)
def test_words_are_joined_as_their_script_is_printed(write, words, wanted):
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l", "\n".join(map(word, words))))))))
    assert [found.text for found in layout.lines()] == [wanted]


def test_words_without_lines_are_told(write, codes):
    (layout,) = read_hocr(
        write(document(page(paragraph("p", line("l")) + f"<p>{word('lost')} {word('too')}</p>")))
    )
    assert codes(layout.findings) == ["words-without-line"]
    assert layout.findings[0].message.endswith(": 2")


def test_a_page_that_calls_itself_a_line_is_no_line(write):
    inside = '<div class="ocr_page ocr_line" title="bbox 0 0 9 9">text</div>'
    (layout,) = read_hocr(write(document(inside)))
    assert list(layout.lines()) == []


@pytest.mark.parametrize("title", ["a" * 50_000 + '"', "'" * 50_001, ";" * 50_000, 'x "' * 20_000])
def test_a_title_of_any_kind_takes_no_time(write, title):
    inside = line("l", title=title.replace('"', "&quot;"))
    started = perf_counter()
    read_hocr(write(document(page(paragraph("p", inside)))))
    assert perf_counter() - started < 2


def test_a_semicolon_between_quotes_ends_nothing_and_a_lone_quote_is_a_letter(write):
    title = "x_font 'a;b'; junk 5&quot;; bbox 10 20 90 40"
    (layout,) = read_hocr(write(document(page(paragraph("p", line("l", title=title))))))
    np.testing.assert_array_equal(next(layout.lines()).polygon, [(10, 20), (90, 20), (90, 40), (10, 40)])


def test_signs_between_words_belong_to_the_line(write):
    words = "<span class='ocrx_word'>A</span>, <span class='ocrx_word'>b<!-- no --></span>. 第 <span class='ocrx_word'>三</span>"
    line = f"<span class='ocr_line' title='bbox 1 2 30 40'>{words}</span>"
    (layout,) = read_hocr(write(f"<div class='ocr_page' title='bbox 0 0 400 300'>{line}</div>", "a.hocr"))
    assert [line.text for line in layout.lines()] == ["A, b. 第三"]
