import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image
from tiny_pdfs import Print, write_pdf

from ocrtune.errors import ExportError
from ocrtune.sources import open_image, read_source
from ocrtune.sources.transcripts.reading import READERS
from ocrtune.transcription import export_pages

FORMATS = ("page", "alto", "hocr")
V1 = "<|ref|>{}<|/ref|><|det|>[[{}]]<|/det|>\n{}"
UNLIMITED = "<|det|>{} [{}]<|/det|>{}"


def write_predictions(path, texts, **facts):
    rows = [{"image": image, "text": text, **facts} for image, text in texts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_layout(path, form):
    (layout,) = READERS[form](path)
    return layout


def read_lines(path, form):
    return [(line.text, line.polygon) for line in read_layout(path, form).lines()]


def codes(exported):
    return {finding.code for finding in exported.findings}


def spaced(text):
    return " ".join(text.split())


@pytest.mark.parametrize("to", FORMATS)
def test_lines_keep_text_order_and_places_in_every_format(book, tmp_path, to, check_valid):
    exported = export_pages(f"page:{book}", tmp_path / "out", to=to)
    (path,) = exported.files
    check_valid(path, to)
    before, after = read_lines(book, "page"), read_lines(path, to)
    assert [text for text, _ in after] == [text for text, _ in before] != []
    for (_, found), (_, wanted) in zip(after, before, strict=True):
        assert np.abs(found - wanted).max() <= 1
    assert exported.num_pages == 5
    assert [finding.severity for finding in exported.findings] == (["note"] if to == "hocr" else [])


@pytest.mark.parametrize("to", FORMATS)
def test_baselines_keep_their_ends(book, tmp_path, to):
    (path,) = export_pages(f"page:{book}", tmp_path / "out", to=to).files
    (straight, _, bent, *_) = read_layout(path, to).lines()
    assert np.allclose(straight.baseline[[0, -1], 1], 84, atol=1)
    assert np.allclose(bent.baseline[[0, -1]], [(40, 40), (200, 44)], atol=1)


@pytest.mark.parametrize("first", ["alto", "hocr"])
def test_regions_come_back_from_the_other_formats(book, tmp_path, first, check_valid):
    (path,) = (
        export_pages(f"page:{book}", book.parent, to=first, overwrite=True).files
        if first == "hocr"
        else (export_pages(f"page:{book}", tmp_path / "other", to=first).files)
    )
    Image.new("RGB", (400, 300)).save(path.with_name("scan.png"))
    (back,) = export_pages(f"{first}:{path}", tmp_path / "back", to="page").files
    check_valid(back, "page")
    before, after = read_layout(book, "page"), read_layout(back, "page")
    assert [region.id for region in after.regions] == [region.id for region in before.regions]
    assert [region.kind for region in after.regions] == [region.kind for region in before.regions]
    for found, wanted in zip(after.regions, before.regions, strict=True):
        assert np.abs(found.polygon - wanted.polygon).max() <= 1
        assert [line.text for line in found.lines] == [line.text for line in wanted.lines]


TEXTS = st.text(
    st.one_of(
        st.sampled_from("<&>\"']]>;#\x01\x0b\x1f\ufffe\u0301\u200f😀שלוםमस्ते"),
        # Readers make a hyphen of a soft one at the end of a line, and leave others out.
        st.characters(exclude_categories=["Cs"], exclude_characters="\u00ad"),
    ),
    min_size=1,
    max_size=30,
).filter(lambda text: text.split() and not text.startswith("#"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=5, max_size=5), to=st.sampled_from(FORMATS))
def test_any_text_of_a_line_comes_back(book, tmp_path, texts, to, check_valid):
    pages = read_source(f"page:{book}").pages
    predictions = write_predictions(
        tmp_path / "p.jsonl", {page.name: text for page, text in zip(pages, texts, strict=True)}
    )
    exported = export_pages(f"page:{book}", tmp_path / "any", to=to, predictions=predictions, overwrite=True)
    (path,) = exported.files
    check_valid(path, to)
    found = [spaced(text or "") for text, _ in read_lines(path, to)]
    unwritable = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "\ufffd")
    assert found == [spaced(text.translate(unwritable)) for text in texts]


def test_a_control_character_is_told(book, tmp_path):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#b1": "a\x01b\x02"})
    for to in FORMATS:
        exported = export_pages(f"page:{book}", tmp_path / to, to=to, predictions=predictions)
        (finding,) = [each for each in exported.findings if each.code == "character-unwritable"]
        assert finding.count == 2
        assert "a\ufffdb\ufffd" in exported.files[0].read_text(encoding="utf-8")


def test_predictions_and_pages_without_each_other_are_told(book, tmp_path):
    predictions = write_predictions(
        tmp_path / "p.jsonl", {"scan.xml#b1": "new", "gone.xml#x": "y"}, truncated=True
    )
    exported = export_pages(f"page:{book}", tmp_path / "out", to="alto", predictions=predictions)
    counts = {finding.code: finding.count for finding in exported.findings}
    assert counts == {"prediction-missing": 4, "prediction-unmatched": 1, "answer-truncated": 1}
    assert [text for text, _ in read_lines(exported.files[0], "alto")][:2] == ["new", "the whole day."]
    strangers = write_predictions(tmp_path / "q.jsonl", {"other": "x"})
    with pytest.raises(ExportError, match="none of 1 predictions"):
        export_pages(f"page:{book}", tmp_path / "none", to="alto", predictions=strangers)


def test_a_region_gets_lines_where_their_number_agrees_and_else_its_text_alone(book, tmp_path, check_valid):
    texts = {"scan.xml#b": "one\ntwo\nthree", "scan.xml#h": "Title", "scan.xml#t": "x\ny"}
    predictions = write_predictions(tmp_path / "p.jsonl", texts)
    for to in FORMATS:
        exported = export_pages(f"page:{book}?level=region", tmp_path / to, to=to, predictions=predictions)
        check_valid(exported.files[0], to)
        assert "lines-differ" in codes(exported)
        body, title, table, *_ = read_layout(exported.files[0], to).regions
        assert (body.text or "\n".join(line.text for line in body.lines)) == "one\ntwo\nthree"
        assert [line.text for line in (*title.lines, *table.lines)] == ["Title", "x", "y"]


@pytest.mark.parametrize("form", [V1, UNLIMITED])
@pytest.mark.parametrize("to", FORMATS)
def test_boxes_of_an_answer_become_regions(scan, tmp_path, form, to, check_valid):
    image = scan()
    answer = "\n\n".join(
        [
            form.format("title", "0, 0, 999, 99", "# On <rain>"),
            form.format("text", "100, 200, 500, 600", "It fell\nand fell."),
            form.format("image", "600, 200, 999, 600", ""),
            form.format("table", "0, 700, 999, 999", '<table><tr><td>a</td><td>b</td></tr><tr><td colspan="2">c &amp; d</td></tr></table>'),
        ]
    )  # fmt: skip
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.png": answer})
    exported = export_pages(str(image), tmp_path / "out", to=to, predictions=predictions)
    check_valid(exported.files[0], to)
    assert exported.findings == ()
    title, text, figure, table = read_layout(exported.files[0], to).regions
    assert [region.kind for region in (title, text, figure, table)] == [
        "heading",
        "paragraph",
        "figure",
        "table",
    ]
    assert [line.text for line in (*title.lines, *text.lines)] == ["On <rain>", "It fell", "and fell."]
    assert np.allclose(text.polygon, [(40, 60), (200, 60), (200, 180), (40, 180)], atol=1)
    assert np.allclose(text.lines[1].polygon[0], (40, 120), atol=1)
    assert np.allclose(figure.polygon[0], (240, 60), atol=1)
    assert [line.text for line in table.lines] == ["a", "b", "c & d"]
    if to == "page":
        assert [(cell.row, cell.column, cell.column_span) for cell in table.cells] == [
            (0, 0, 1),
            (0, 1, 1),
            (1, 0, 2),
        ]
    if to != "alto":
        assert "estimated" in exported.files[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "answer",
    [
        "<|ref|>text<|/ref|><|det|>[[1, 2, 3]]<|/det|>\nkept",
        "<|ref|>text<|/ref|><|det|>[[5, 5, 1, 1]]<|/det|>\nkept",
        "<|ref|>text<|/ref|><|det|>[[0, 0, 1000, 5]]<|/det|>\nkept",
        "<|ref|>text<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\nkept<|/det|>",
        "<|det|>text [1, 2]<|/det|>kept",
        "<|ref|>kept",
        "kept<|det|>",
    ],
)
@pytest.mark.parametrize("to", FORMATS)
def test_text_with_a_broken_box_is_kept_on_the_whole_page(scan, tmp_path, answer, to, check_valid):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.png": answer})
    exported = export_pages(str(scan()), tmp_path / "out", to=to, predictions=predictions)
    check_valid(exported.files[0], to)
    assert "box-broken" in codes(exported)
    (region,) = read_layout(exported.files[0], to).regions
    assert [line.text for line in region.lines] == ["kept"]
    assert region.polygon.max(axis=0).tolist() == [400, 300]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(
                ["<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "text [5, 6, 7, 8]", "<table>", "</table>", "<td>", "<tr>", "\n", "\n\n", '<td rowspan="9999">', "table"]
            ),
            st.text(max_size=5),
        ),
        max_size=12,
    ),
    to=st.sampled_from(FORMATS),
)  # fmt: skip
def test_any_answer_gives_a_valid_file(scan, tmp_path, parts, to, check_valid):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.png": "".join(parts)})
    exported = export_pages(str(scan()), tmp_path / "any", to=to, predictions=predictions, overwrite=True)
    check_valid(exported.files[0], to)


@pytest.mark.parametrize("to", FORMATS)
def test_text_without_places_is_one_region_of_the_page(scan, tmp_path, to, check_valid):
    image = scan()
    image.with_suffix(".txt").write_text("one\ntwo\n", encoding="utf-8")
    exported = export_pages(str(image), tmp_path / "out", to=to)
    check_valid(exported.files[0], to)
    (region,) = read_layout(exported.files[0], to).regions
    assert (region.text or "\n".join(line.text for line in region.lines)) == "one\ntwo"
    assert ("geometry-unknown" in codes(exported)) == (to == "alto")
    if to != "alto":
        assert not any(len(line.polygon) for line in region.lines)


def test_a_line_that_is_an_image_has_the_place_of_its_image(tmp_path, check_valid):
    exported = export_pages("builtin", tmp_path / "out", to="page")
    assert len(exported.files) == exported.num_pages == 257
    assert exported.files[0].relative_to(tmp_path / "out").as_posix() == "images/p1_000.xml"
    check_valid(exported.files[0], "page")
    layout = read_layout(exported.files[0], "page")
    (line,) = layout.lines()
    assert tuple(line.polygon.max(axis=0)) == layout.size


def test_names_stay_below_the_folder_and_apart(scan, tmp_path, monkeypatch):
    monkeypatch.setenv("OCRTUNE_DATA_ROOT", str(tmp_path))
    for name in ("in/A b.png", "in/a_b.png", "up.png"):
        scan(name)
    rows = [{"image": name, "text": "x"} for name in ("A b.png", "a_b.png", "../up.png")]
    manifest = tmp_path / "in" / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    exported = export_pages(str(manifest), tmp_path / "out", to="hocr")
    names = [path.relative_to(tmp_path / "out").as_posix() for path in exported.files]
    assert names == ["A_b.hocr", "a_b~2.hocr", "up.hocr"]


def test_lines_of_a_pdf_become_its_pages(tmp_path, check_valid):
    path = tmp_path / "book.pdf"
    write_pdf(path, [[Print(says="It fell")], [Print(says="and fell")]])
    exported = export_pages(f"pdf:{path}?level=line", tmp_path / "out", to="page")
    assert [file.name for file in exported.files] == ["book_1.xml", "book_2.xml"]
    check_valid(exported.files[1], "page")
    assert [text for text, _ in read_lines(exported.files[1], "page")] == ["and fell"]
    assert codes(exported) == {"image-of-pdf"}


def test_a_folder_with_files_is_left_alone_unless_asked(book, tmp_path):
    export_pages(f"page:{book}", tmp_path / "out", to="page")
    with pytest.raises(ExportError, match="holds files already"):
        export_pages(f"page:{book}", tmp_path / "out", to="page")
    export_pages(f"page:{book}", tmp_path / "out", to="page", overwrite=True)


def test_a_page_of_several_images_is_left_out_and_told(scan, tmp_path):
    scan("in/a.png")
    rows = [{"images": ["a.png", "a.png"], "text": "x"}, {"image": "./a.png", "text": "y"}]
    manifest = tmp_path / "in" / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    exported = export_pages(str(manifest), tmp_path / "out", to="page")
    assert [(finding.severity, finding.where) for finding in exported.findings] == [("error", "a.png")]
    assert exported.num_pages == 1


def without_text(root):
    """A tree as text, without the texts of lines and words and their confidences."""
    for element in root.iter():
        if etree.QName(element).localname == "TextEquiv":
            element.attrib.pop("conf", None)
            element[0].text = ""
    return etree.tostring(root.getroottree())


def test_a_file_written_again_differs_in_nothing_but_its_texts(book, tmp_path):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#h1": "Off snow", "scan.xml#b2": "x"})
    exported = export_pages(f"page:{book}", tmp_path / "out", to="page", predictions=predictions)
    old, new = (etree.parse(path).getroot() for path in (book, exported.files[0]))
    unicode = f"{{{etree.QName(new).namespace}}}Unicode"
    assert [element.text for element in new.iter(unicode)] == [
        "Off", "snow", "Off snow", "Off snow", "It fell, <and> fell", "x", "May 1", "12 mm",
    ]  # fmt: skip
    assert without_text(new) == without_text(old)


def test_a_file_without_new_texts_is_written_again_as_it_was(book, tmp_path):
    (path,) = export_pages(f"page:{book}", tmp_path / "out", to="page").files
    assert etree.tostring(etree.parse(path), method="c14n") == etree.tostring(
        etree.parse(book), method="c14n"
    )


def test_words_that_no_longer_fit_are_left_out_and_told(book, tmp_path, check_valid):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#h1": "Onrain"})
    exported = export_pages(f"page:{book}", tmp_path / "out", to="page", predictions=predictions)
    assert "words-dropped" in codes(exported)
    check_valid(exported.files[0], "page")
    text = exported.files[0].read_text(encoding="utf-8")
    assert "<Word" not in text
    assert 'fontSize="9"' in text


ALTO = (
    '<?xml version="1.0"?><alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel'
    "</MeasurementUnit><sourceImageInformation><fileName>scan.png</fileName></sourceImageInformation></Description>"
    '<Layout><Page ID="p" WIDTH="400" HEIGHT="300" PHYSICAL_IMG_NR="1"><PrintSpace><TextBlock ID="b">'
    '<TextLine ID="l" HPOS="10" VPOS="10" WIDTH="80" HEIGHT="20"><String CONTENT="It" WC="0.9" HPOS="10" VPOS="10" WIDTH="20" '
    'HEIGHT="20"/><SP/><String CONTENT="fe" HPOS="40" VPOS="10" WIDTH="20" HEIGHT="20"/><HYP CONTENT="-"/></TextLine>'
    "</TextBlock></PrintSpace></Page></Layout></alto>"
)
HOCR = (
    '<html><body><div class="ocr_page" title="image scan.png; bbox 0 0 400 300"><p class="ocr_par" title="bbox 10 10 90 30">'
    '<span class="ocr_line" title="bbox 10 10 90 30">{}</span> after</p></div></body></html>'
)
WORDS = (
    '<span class="ocrx_word" title="bbox 10 10 30 30; x_wconf 9"><em>It</em></span> '
    '<span class="ocrx_word" title="bbox 40 10 60 30">fe-</span>'
)


@pytest.mark.parametrize(("text", "boxes"), [("He was", ["10", "40"]), ("Itwas", ["10"])])
def test_alto_is_written_again_word_by_word_or_line_by_line(scan, tmp_path, text, boxes, check_valid):
    path = scan().with_name("scan.xml")
    path.write_text(ALTO, encoding="utf-8")
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#l": text})
    exported = export_pages(f"alto:{path}", tmp_path / "out", to="alto", predictions=predictions)
    check_valid(exported.files[0], "alto")
    strings = [
        element for element in etree.parse(exported.files[0]).iter() if element.tag.endswith("}String")
    ]
    assert " ".join(string.get("CONTENT") for string in strings) == text
    assert [string.get("HPOS") for string in strings] == boxes
    assert not any(string.get("WC") for string in strings)
    assert [text for text, _ in read_lines(exported.files[0], "alto")] == [text]


@pytest.mark.parametrize("text", ["He was", "Itwas"])
def test_hocr_without_ids_is_written_again_too(scan, tmp_path, text):
    path = scan().with_name("scan.hocr")
    path.write_text(HOCR.format(WORDS), encoding="utf-8")
    (page,) = read_source(f"hocr:{path}").pages
    predictions = write_predictions(tmp_path / "p.jsonl", {page.name: text})
    exported = export_pages(f"hocr:{path}", tmp_path / "out", to="hocr", predictions=predictions)
    assert [found for found, _ in read_lines(exported.files[0], "hocr")] == [text]
    written = exported.files[0].read_text(encoding="utf-8")
    assert " after</p>" in written
    assert "x_wconf" not in written
    assert ("ocrx_word" in written) == (text == "He was")


def test_xhtml_is_written_again_as_it_was(scan, tmp_path):
    path = scan().with_name("scan.hocr")
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n<!-- kept -->\n'
    )
    body = HOCR.format(f'{WORDS}<br/><i lang="en"></i>').replace(
        "<html>", '<html xmlns="http://www.w3.org/1999/xhtml">'
    )
    path.write_text(head + body + "\n", encoding="utf-8")
    (again,) = export_pages(f"hocr:{path}", tmp_path / "out", to="hocr").files
    written = again.read_text(encoding="utf-8")
    assert "<br/>" in written
    assert etree.tostring(etree.parse(again), method="c14n") == etree.tostring(
        etree.parse(path), method="c14n"
    )
    assert written.partition("<html")[2] == (head + body + "\n").partition("<html")[2]


def test_html_written_again_names_the_encoding_that_it_is_written_in(scan, tmp_path):
    path = scan().with_name("scan.hocr")
    metas = '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"><meta charset="latin-1">'
    page = HOCR.format("Gr\u00fc\u00dfe").replace("<html>", f"<html><head>{metas}</head>")
    path.write_bytes(page.encode("latin-1"))
    (name,) = [page.name for page in read_source(f"hocr:{path}").pages]
    predictions = write_predictions(tmp_path / "p.jsonl", {name: "Grüße 三"})
    (again,) = export_pages(f"hocr:{path}", tmp_path / "out", to="hocr", predictions=predictions).files
    written = again.read_text(encoding="utf-8")
    assert "Grüße 三" in written
    assert written.count("charset=") == 2
    assert "8859" not in written
    assert "latin" not in written


TABLE_ANSWER = "<table><tr><td>x</td><td>y</td></tr><tr><td>z</td><td>w</td></tr></table>"


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("answer", ["x\ny\nz", TABLE_ANSWER])
def test_a_table_with_other_lines_than_before_keeps_the_answer(book, tmp_path, to, answer, check_valid):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#t": answer})
    exported = export_pages(f"page:{book}?level=region", tmp_path / "out", to=to, predictions=predictions)
    check_valid(exported.files[0], to)
    table = next(region for region in read_layout(exported.files[0], to).regions if region.kind == "table")
    found = table.text.splitlines() if table.text else [line.text for line in table.lines if line.text]
    assert found == (["x", "y", "z", "w"] if answer == TABLE_ANSWER else ["x", "y", "z"])
    assert [finding.count for finding in exported.findings if finding.code == "lines-differ"] == [1]
    assert ("file-rebuilt" in codes(exported)) == (to == "page")
    if to == "page" and answer == TABLE_ANSWER:
        assert [(cell.row, cell.column) for cell in table.cells] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("to", FORMATS)
def test_an_empty_answer_leaves_lines_where_they_are(book, tmp_path, to, check_valid):
    predictions = write_predictions(tmp_path / "p.jsonl", {"scan.xml#b": " \n"})
    exported = export_pages(f"page:{book}?level=region", tmp_path / "out", to=to, predictions=predictions)
    check_valid(exported.files[0], to)
    body = read_layout(exported.files[0], to).regions[0]
    assert [(line.text, len(line.polygon)) for line in body.lines] == [(None, 4), (None, 4)]


@pytest.mark.parametrize("target", ["plain", "markdown", "grounded"])
@pytest.mark.parametrize("level", ["region", "line"])
def test_what_has_no_answer_stays_as_it_was_whatever_the_targets_form(book, tmp_path, level, target):
    uri = f"page:{book}?level={level}&target={target}"
    (path,) = export_pages(uri, tmp_path / "out", to="page").files
    assert etree.tostring(etree.parse(path), method="c14n") == etree.tostring(
        etree.parse(book), method="c14n"
    )


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("level", ["line", "region"])
def test_lines_that_nobody_transcribed_get_the_answers(book, tmp_path, to, level, check_valid):
    text = book.read_text(encoding="utf-8").replace(
        "<TextEquiv><Unicode>the whole day.</Unicode></TextEquiv>", ""
    )
    book.write_text(text, encoding="utf-8")
    uri = f"page:{book}?level={level}&untranscribed=keep"
    answers = {"line": {"scan.xml#b2": "new"}, "region": {"scan.xml#b": "It fell, <and> fell\nnew"}}[level]
    predictions = write_predictions(tmp_path / "p.jsonl", answers)
    exported = export_pages(uri, tmp_path / "out", to=to, predictions=predictions)
    check_valid(exported.files[0], to)
    assert [text for text, _ in read_lines(exported.files[0], to)][:2] == ["It fell, <and> fell", "new"]
    assert "lines-differ" not in codes(exported)


def test_pages_whose_text_nobody_wrote_do_not_count(book, tmp_path):
    text = book.read_text(encoding="utf-8").replace("the whole day.", "")
    book.write_text(text, encoding="utf-8")
    assert export_pages(f"page:{book}?untranscribed=keep", tmp_path / "out", to="page").num_pages == 4


def test_a_file_in_place_of_the_folder_is_told(book, tmp_path):
    (tmp_path / "out").write_text("a file")
    for folder in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(ExportError, match="it is a file"):
            export_pages(f"page:{book}", folder, to="page", overwrite=True)


def test_written_over_its_source_no_file_takes_the_place_of_another(book):
    text = book.read_text(encoding="utf-8")
    (book.parent / "A b.xml").write_text(text.replace("the whole day", "first"), encoding="utf-8")
    (book.parent / "A_b.xml").write_text(text.replace("the whole day", "second"), encoding="utf-8")
    exported = export_pages(f"page:{book.parent}", book.parent, to="page", overwrite=True)
    found = [path.read_text(encoding="utf-8") for path in exported.files]
    assert ["first" in found[0], "second" in found[1], "the whole day" in found[2]] == [True, True, True]
    assert "second" in (book.parent / "A_b.xml").read_text(encoding="utf-8")
    assert exported.files[2] == book


@pytest.mark.parametrize("to", FORMATS)
def test_an_angle_goes_along_into_every_format(book, tmp_path, to, check_valid):
    text = book.read_text(encoding="utf-8")
    book.write_text(
        text.replace('<TextRegion id="b">', '<TextRegion id="b" orientation="-90">'), encoding="utf-8"
    )
    (other,) = export_pages(f"page:{book}", tmp_path / "other", to="alto").files
    Image.new("RGB", (400, 300)).save(other.with_name("scan.png"))
    (path,) = export_pages(f"alto:{other}", tmp_path / "out", to=to).files
    check_valid(path, to)
    layout = read_layout(path, to)
    assert [region.turn_deg % 360 for region in layout.regions if region.lines] == [270, 0, 0]
    assert {line.turn_deg % 360 for line in layout.regions[0].lines} == {270}


@pytest.mark.parametrize("level", ["line", "page"])
@pytest.mark.parametrize("to", FORMATS)
def test_the_frame_of_a_tiff_comes_back(tmp_path, to, level):
    folder = tmp_path / "in"
    folder.mkdir()
    frames = [Image.new("L", (400, 300), shade) for shade in (0, 100, 200)]
    for place in (folder, tmp_path / "out"):
        place.mkdir(exist_ok=True)
        frames[0].save(place / "book.tif", save_all=True, append_images=frames[1:])
    page = HOCR.format("x").replace("scan.png", "book.tif; ppageno 1")
    (folder / "a.hocr").write_text(page, encoding="utf-8")
    uri = f"hocr:{folder}?level={level}"
    (path,) = export_pages(uri, tmp_path / "out", to=to, overwrite=True).files
    source = read_source(f"{to}:{path}?level={level}")
    assert [finding for finding in source.findings if finding.code.startswith("image")] == []
    assert open_image(source.pages[0].images[0]).getpixel((5, 5)) == (100, 100, 100)
