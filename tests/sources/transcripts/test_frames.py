import pytest
from PIL import Image

from ocrtune.data import check_uri
from ocrtune.sources import image_size, open_image, read_pages, read_source

LINE = '<TextLine ID="l" HPOS="10" VPOS="10" WIDTH="80" HEIGHT="30"><String CONTENT="{}"/></TextLine>'
NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"


@pytest.fixture
def book(tmp_path):
    """Save a TIFF with a frame for each shade of grey."""

    def save(shades=(0, 100, 200), name="book.tif", size=(400, 300)):
        first, *others = [Image.new("L", size, shade) for shade in shades]
        first.save(tmp_path / name, save_all=True, append_images=others)
        return tmp_path / name

    return save


def hocr(*numbers):
    """Pages of hOCR with these values of ppageno."""
    facts = [
        'image "book.tif"; bbox 0 0 400 300' + (f"; ppageno {n}" if n is not None else "") for n in numbers
    ]
    line = "<span class='ocr_line' title='bbox 10 10 90 40'>x</span>"
    return "".join(f"<div class='ocr_page' id='p' title='{fact}'>{line}</div>" for fact in facts)


def alto_of(*numbers):
    """Pages of ALTO with these values of PHYSICAL_IMG_NR."""
    facts = ["" if n is None else f'PHYSICAL_IMG_NR="{n}"' for n in numbers]
    block = f'<PrintSpace><TextBlock ID="b">{LINE.format("x")}</TextBlock></PrintSpace>'
    pages = "".join(f'<Page ID="p" WIDTH="400" HEIGHT="300" {fact}>{block}</Page>' for fact in facts)
    return (
        f'<alto xmlns="{NAMESPACE}"><Description><sourceImageInformation><fileName>book.tif</fileName>'
        f"</sourceImageInformation></Description><Layout>{pages}</Layout></alto>"
    )


def shades(source):
    return [open_image(page.images[0]).getpixel((5, 5))[0] for page in source.pages]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (hocr(0, 1, 2), [0, 100, 200]),
        (hocr(2, 0), [200, 0]),
        (hocr(1), [100]),
        (hocr(1, 2), [100, 200]),
        (hocr(1, 2, 3), [0, 100, 200]),  # counted from 1
        (hocr(None, None, None), [0, 100, 200]),
        (hocr(17, 18, 19), [0, 100, 200]),  # of a whole volume
        (hocr(0, 0, 0), [0, 100, 200]),  # files of one page each, put together
        (hocr(2, 1, 0), [200, 100, 0]),
        (alto_of(1, 2, 3), [0, 100, 200]),
        (alto_of(0, 1), [0, 100]),
        (alto_of(2, 3), [100, 200]),
        (alto_of(2), [100]),
    ],
)
def test_the_frame_that_the_file_tells_is_taken(book, write, content, wanted):
    book()
    source = read_source(str(write(content, "book.xml")))
    assert shades(source) == wanted
    assert [finding.code for finding in source.findings] == []
    assert len({page.name for page in source.pages}) == len(wanted)


@pytest.mark.parametrize("content", [hocr(None), hocr(17), alto_of(None), alto_of(9)])
def test_a_frame_that_nobody_can_tell_is_the_first_with_a_warning(book, write, content):
    book()
    source = read_source(str(write(content, "book.xml")))
    assert shades(source) == [0]
    (finding,) = source.findings
    assert (finding.code, finding.severity) == ("image-frame-unknown", "warning")
    assert "'book.tif' holds 3 frames" in finding.message
    # Told once, and not for each part that is cut out.
    told = [found.code for found in check_uri(str(write(content, "book.xml"))).findings]
    assert "image-frame-unknown" in told
    assert "image-frames" not in told


def test_page_xml_tells_no_frame_but_by_a_number_behind_the_name(book, page_xml, text_line):
    book()
    region = '<TextRegion id="r"><Coords points="0,0 99,0 99,99 0,99"/>{}</TextRegion>'.format(
        text_line("l", "x")
    )
    source = read_source(str(page_xml(region, image="book.tif")))
    assert [finding.code for finding in source.findings] == ["image-frame-unknown"]
    source = read_source(str(page_xml(region, image="book.tif#3")))
    assert (shades(source), source.findings) == ([200], [])


def test_two_pages_of_one_frame_are_one_page_and_a_finding(book, write, codes):
    book()
    for numbers, wanted in (((0, 1, 1), [0, 100]), ((1, 1), [100])):
        source = read_source(str(write(hocr(*numbers), "book.xml")))
        assert shades(source) == wanted
        assert codes(source.findings) == ["image-of-several-pages"]


def test_a_frame_is_measured_by_itself_and_so_is_a_whole_page(tmp_path, write):
    small, large = Image.new("L", (40, 30)), Image.new("L", (400, 300), 77)
    small.save(tmp_path / "book.tif", save_all=True, append_images=[large])
    path = write(hocr(1), "book.xml")
    (line,) = read_pages(f"hocr:{path}?margin=0")
    assert image_size(line.images[0]) == (80, 30)
    (whole,) = read_pages(f"hocr:{path}?level=page")
    assert open_image(whole.images[0]).getpixel((399, 299)) == (77, 77, 77)
