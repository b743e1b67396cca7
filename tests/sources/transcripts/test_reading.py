from pathlib import Path

import pytest

from ocrtune.data import check_uri
from ocrtune.errors import SourceError
from ocrtune.sources import read_pages, read_source

REGION = '<TextRegion id="r"><Coords points="0,0 99,0 99,99 0,99"/>{}</TextRegion>'


@pytest.fixture
def page_of(page_xml, text_line):
    """Save PAGE XML with one line."""

    def save(name="scan.xml", image="scan.png", text="x"):
        return page_xml(REGION.format(text_line("l", text)), name, image=image)

    return save


def images(uri):
    return [getattr(page.images[0], "path", page.images[0]) for page in read_pages(uri)]


@pytest.mark.parametrize(
    "case",
    [  # the XML, the image as it is written there, the image that is there
        ("a.xml", "a.png", "a.png"),
        ("page/a.xml", "../images/a.png", "images/a.png"),
        ("page/a.xml", "a.png", "a.png"),
        ("page/a.xml", "a.png", "images/a.png"),
        ("a.xml", "a.png", "images/a.png"),
        ("gt/a.xml", "scans/a.png", "scans/a.png"),
        ("a.xml", "sub/b.png", "sub/b.png"),
        ("a.xml", "b.tif", "b.png"),
        ("a.xml", "", "a.png"),
        ("a.xml", "D:\\\\scans\\\\b.png", "b.png"),
        ("a.xml", "https://example.org/iiif/b.png", "b.png"),
        ("a.xml", "/somewhere/b.png", "b.png"),
    ],
)
def test_the_image_is_found_wherever_exports_have_it(case, tmp_path, scan, page_of):
    xml, written, image = case
    scan(image)
    page_of(xml, image=written)
    assert [path.resolve() for path in images(f"page:{tmp_path}")] == [tmp_path / image]


def test_one_file_finds_its_image_in_the_folder_above(scan, page_of):
    image = scan("images/a.png")
    assert [path.resolve() for path in images(str(page_of("page/a.xml", image="a.png")))] == [image]


@pytest.mark.parametrize(
    "written", ["{}/secret.png", "../../secret.png", "file://{}/secret.png", "sub/../../../secret.png"]
)
def test_nothing_outside_the_data_is_opened(tmp_path, scan, page_of, codes, written):
    scan("secret.png")
    scan("data/in/good.png")
    page_of("data/in/bad.xml", image=written.format(tmp_path))
    page_of("data/in/good.xml", image="good.png")
    source = read_source(f"page:{tmp_path / 'data'}")
    assert [page.name for page in source.pages] == ["in/good.xml#l"]
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("image-outside", "error")
    assert "secret.png" in finding.message


def test_a_missing_image_is_told_by_its_name(scan, page_of, tmp_path):
    scan("a.png")
    page_of("a.xml", image="a.png")
    path = page_of("b.xml", image="gone.png")
    source = read_source(str(tmp_path))
    assert len(source.pages) == 1
    assert [(found.code, found.severity, found.where) for found in source.findings] == [
        ("image-missing", "error", str(path))
    ]
    assert "'gone.png'" in source.findings[0].message


def test_if_no_page_is_left_the_first_findings_are_the_error(page_of):
    path = page_of(image="gone.png")
    with pytest.raises(
        SourceError, match=r"no page of the transcriptions.*\n.*no image 'gone\.png'"
    ) as caught:
        read_pages(str(path))
    assert "beside the XML" in caught.value.hint


def test_pages_left_out_are_counted_aloud(scan, page_of, tmp_path, capsys):
    scan("a.png")
    page_of("a.xml", image="a.png")
    page_of("b.xml", image="gone.png")
    read_pages(str(tmp_path))
    assert "1 errors, their pages are left out" in capsys.readouterr().err


def test_a_broken_file_does_not_keep_the_others_from_being_read(scan, page_of, write, tmp_path, codes):
    scan("a.png")
    page_of("a.xml", image="a.png")
    write("<PcGts>\n<Page>", "b.xml")
    write('<PcGts xmlns="urn:x"/>', "c.xml")
    write("<!DOCTYPE a [<!ENTITY b 'c'>]><PcGts/>", "d.xml")
    write("<mets/>", "mets.xml")
    (tmp_path / "e.png").write_text("no image")
    page_of("e.xml", image="e.png")
    source = read_source(f"page:{tmp_path}")
    assert [page.name for page in source.pages] == ["a.xml#l"]
    assert codes(source.findings) == ["transcript", "transcript", "unsafe-xml", "image", "transcript-none"]


def test_files_come_in_natural_order_and_folders_are_documents(scan, page_of, tmp_path):
    for name in ("p10", "p2", "vol1/p1", "vol1/p3"):
        scan(f"{name}.png")
        page_of(f"{name}.xml", image=f"{name.rpartition('/')[2]}.png")
    pages = read_pages(str(tmp_path))
    assert [(page.name, page.document) for page in pages] == [
        ("p2.xml#l", "p2"), ("p10.xml#l", "p10"), ("vol1/p1.xml#l", "vol1"), ("vol1/p3.xml#l", "vol1"),
    ]  # fmt: skip


def test_a_folder_of_images_with_texts_stays_one_and_its_xml_is_told(scan, page_of, tmp_path, codes):
    scan("a.png")
    page_of("a.xml", image="a.png")
    (tmp_path / "a.txt").write_text("from the text")
    source = read_source(str(tmp_path))
    assert [page.text for page in source.pages] == ["from the text"]
    assert codes(source.findings) == ["transcript-beside-text"]
    assert [page.text for page in read_pages(f"page:{tmp_path}")] == ["x"]


def test_only_the_format_asked_for_is_read(scan, page_of, alto, tmp_path, codes):
    scan("a.png")
    page_of("a.xml", image="a.png")
    line = '<TextLine ID="l" HPOS="1" VPOS="2" WIDTH="60" HEIGHT="30"><String CONTENT="y"/></TextLine>'
    alto(f'<TextBlock ID="b">{line}</TextBlock>', "b.xml", image="a.png")
    assert [page.text for page in read_pages(str(tmp_path))] == ["x", "y"]
    source = read_source(f"alto:{tmp_path}")
    assert [page.text for page in source.pages] == ["y"]
    assert codes(source.findings) == ["format-other"]


def hocr_page(number, image):
    return (
        f"<div class='ocr_page' id='p{number}' title='image \"{image}\"; bbox 0 0 400 300; ppageno {number}'>"
        f"<span class='ocr_line' id='l{number}' title='bbox 10 10 90 40'>text {number}</span></div>"
    )


def test_pages_of_one_file_are_named_apart_and_are_one_document(scan, write, codes):
    scan("0.png")
    scan("1.png")
    path = write("".join(hocr_page(number, f"{number}.png") for number in range(2)), "book.hocr")
    pages = read_pages(f"hocr:{path}")
    assert [(page.name, page.text, page.document) for page in pages] == [
        ("book.hocr#p0#l0", "text 0", "book"), ("book.hocr#p1#l1", "text 1", "book"),
    ]  # fmt: skip


def test_a_second_page_of_one_image_is_left_out_and_told(scan, write, codes):
    scan("0.png")
    path = write("".join(hocr_page(number, "0.png") for number in range(2)), "book.hocr")
    source = read_source(str(path))
    assert [page.text for page in source.pages] == ["text 0"]
    assert codes(source.findings) == ["image-of-several-pages"]
    assert "#p1" in source.findings[0].where


def test_pages_of_a_file_with_the_same_id_have_names_of_their_own(scan, write):
    scan("0.png")
    scan("1.png")
    content = hocr_page(0, "0.png") + hocr_page(0, "1.png")
    pages = read_pages(str(write(content, "book.hocr")))
    assert [page.name for page in pages] == ["book.hocr#p0#l0", "book.hocr#p0~2#l0"]


def test_a_file_of_page_xml_with_several_pages_is_read_whole(scan, page_xml, text_line):
    scan("scan.png")
    scan("other.png")
    second = '</Page><Page imageFilename="other.png" imageWidth="400" imageHeight="300">'
    path = page_xml(REGION.format(text_line("l", "x")) + second + REGION.format(text_line("l", "y")))
    assert [(page.name, page.text) for page in read_pages(str(path))] == [
        ("scan.xml#page_1#l", "x"), ("scan.xml#page_2#l", "y"),
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["line", "region"])
def test_a_page_on_which_there_is_nothing_is_told_on_every_level(scan, page_of, page_xml, tmp_path, level):
    scan("a.png")
    scan("b.png")
    page_of("a.xml", image="a.png")
    empty = page_xml(
        '<ImageRegion id="i"><Coords points="0,0 9,0 9,9"/></ImageRegion>', "b.xml", image="b.png"
    )
    source = read_source(f"page:{tmp_path}?level={level}")
    assert [(found.code, found.where) for found in source.findings] == [("page-empty", str(empty))]


def test_an_xml_file_that_must_not_be_read_is_told(scan, page_of, tmp_path, monkeypatch):
    scan("a.png")
    page_of("a.xml", image="a.png")
    closed = page_of("b.xml", image="a.png")
    opened = Path.open

    def open_or_refuse(path, *args, **options):
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", open_or_refuse)
    source = read_source(str(tmp_path))
    assert [page.name for page in source.pages] == ["a.xml#l"]
    assert [(found.code, found.where) for found in source.findings] == [("transcript", str(closed))]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("levle=line", "unknown option 'levle', did you mean 'level'?"),
        ("level=lines", "level: must be one of page, region, line, found 'lines', did you mean 'line'?"),
        ("target=html", "target: must be one of plain, markdown, grounded, found 'html'"),
        ("margin=-1", "margin: must be a whole number from 0 to 200, found '-1'"),
        ("margin=4.5", "margin: must be a whole number"),
        ("family=deepseek_ocr3", "family: must be one of deepseek_ocr, deepseek_ocr2, unlimited_ocr"),
    ],
)
def test_options_are_checked_and_every_mistake_is_told(page_of, options, problem):
    with pytest.raises(SourceError) as caught:
        read_pages(f"page:{page_of()}?colour=red&{options}")
    assert problem in caught.value.message
    assert "unknown option 'colour'" in caught.value.message
    assert "known: level, target, margin, family, untranscribed" in caught.value.hint


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no file or folder"):
        read_pages(f"page:{tmp_path / 'gone'}?level=line")


def test_a_check_reports_what_reading_found(scan, page_of, tmp_path):
    scan("a.png")
    page_of("a.xml", image="a.png")
    page_of("b.xml", image="gone.png", text="y")
    check = check_uri(f"page:{tmp_path}?level=page")
    assert check.totals()["errors"] == 1
    assert check.summary.pages_with_text == 1
    assert "image-missing" in {finding.code for finding in check.findings}
    held_out = check_uri("builtin", validation_uri=f"page:{tmp_path}")
    assert "image-missing" in {finding.code for finding in held_out.findings}
