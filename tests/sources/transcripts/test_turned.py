import numpy as np
import pytest
from PIL import Image, ImageDraw

from ocrtune.errors import SourceError
from ocrtune.sources import open_image, read_pages, read_source

BOX = (100, 50, 130, 250)
"""A line that runs upwards or downwards: left, top, right, bottom."""


def page_line(attributes, text="letters"):
    left, top, right, bottom = BOX
    coords = f'<Coords points="{left},{top} {right},{top} {right},{bottom} {left},{bottom}"/>'
    return (
        f'<TextRegion id="r" {attributes}>{coords}<TextLine id="l">{coords}<TextEquiv><Unicode>{text}</Unicode>'
        "</TextEquiv></TextLine></TextRegion>"
    )


def alto_line(attributes):
    left, top, right, bottom = BOX
    place = f'HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'
    return f'<TextBlock ID="b" {place} {attributes}><TextLine ID="l" {place}><String CONTENT="letters"/></TextLine></TextBlock>'


def hocr_line(angle):
    box = "bbox {} {} {} {}".format(*BOX)
    return (
        "<div class='ocr_page' title='image scan.png; bbox 0 0 400 300'>"
        f"<span class='ocr_line' id='l' title='{box}{angle}'>letters</span></div>"
    )


@pytest.fixture
def upright():
    """A line as it is read: a stroke that tells left from right, and up from down."""
    line = Image.new("RGB", (200, 30), "white")
    ImageDraw.Draw(line).polygon([(5, 5), (195, 25), (5, 25)], fill="black")
    return line


@pytest.fixture
def scanned(tmp_path, upright):
    """Save a scan with the line turned clockwise by so many quarters."""

    def save(quarters):
        page = Image.new("RGB", (400, 300), "white")
        page.paste(upright.rotate(-90 * quarters, expand=True), BOX[:2])
        page.save(tmp_path / "scan.png")

    return save


@pytest.fixture
def transcribe(page_xml, alto, write):
    """Save the line in a format, with attributes that tell its angle."""
    writers = {
        "page": lambda attributes: page_xml(page_line(attributes)),
        "alto": lambda attributes: alto(alto_line(attributes)),
        "hocr": lambda attributes: write(hocr_line(attributes)),
    }
    return lambda form, attributes: writers[form](attributes)


@pytest.mark.parametrize("level", ["line", "region"])
@pytest.mark.parametrize(
    "case",
    [  # the format, what states the angle, quarters by which the line was turned clockwise
        ("page", 'orientation="90"', -1),
        ("page", 'orientation="-90.0"', 1),
        ("page", 'orientation="88.7"', -1),
        ("page", 'orientation="0" readingOrientation="-90"', 1),
        ("alto", 'ROTATION="90"', -1),
        ("alto", 'ROTATION="270"', 1),
        ("hocr", "; textangle 90", -1),
        ("hocr", "; textangle 270", 1),
    ],
)
def test_a_line_is_turned_by_the_angle_that_its_file_states(scanned, upright, transcribe, level, case):
    form, attributes, quarters = case
    scanned(quarters)
    source = read_source(f"{form}:{transcribe(form, attributes)}?margin=0&level={level}")
    (page,) = source.pages
    assert source.findings == []
    np.testing.assert_array_equal(open_image(page.images[0]), upright)


def test_a_block_that_stands_on_its_head_is_turned_and_blocks_inherit_it(tmp_path, alto):
    page = Image.new("RGB", (400, 300), "white")
    page.putpixel((10, 10), (255, 0, 0))
    page.save(tmp_path / "scan.png")
    line = (
        '<TextLine ID="l" HPOS="10" VPOS="10" WIDTH="80" HEIGHT="20"><String CONTENT="letters"/></TextLine>'
    )
    path = alto(f'<ComposedBlock ID="c" ROTATION="180"><TextBlock ID="b">{line}</TextBlock></ComposedBlock>')
    (page,) = read_pages(f"alto:{path}?margin=0")
    assert open_image(page.images[0]).getpixel((79, 19)) == (255, 0, 0)


def test_a_box_of_a_turned_region_is_measured_as_it_is_cut(scan, page_xml):
    scan()
    inside = page_line('orientation="90"').replace("130,250 100,250", "130,150 100,150", 2)
    inside = inside.replace(
        '<TextRegion id="r" orientation="90"><Coords points="100,50 130,50 130,150 100,150"',
        '<TextRegion id="r" orientation="90"><Coords points="100,50 130,50 130,250 100,250"',
    )
    (page,) = read_pages(
        f"page:{page_xml(inside)}?level=region&target=grounded&family=unlimited_ocr&margin=0"
    )
    assert open_image(page.images[0]).size == (200, 30)
    # What stood above in the scan is read last once the region is turned clockwise: bottom first.
    assert page.text == "<|det|>text [499, 0, 999, 999]<|/det|>letters"


def test_lines_that_look_turned_are_told_once_with_their_number(scan, page_xml, tmp_path):
    for name in ("a", "b"):
        scan(f"{name}.png")
        page_xml(page_line("") + page_line('orientation="0"'), f"{name}.xml", image=f"{name}.png")
    source = read_source(f"page:{tmp_path}")
    assert len(source.pages) == 4
    (finding,) = [found for found in source.findings if found.code == "line-turned"]
    assert (finding.severity, finding.count) == ("warning", 4)
    assert "ROTATION" in finding.hint
    assert open_image(source.pages[0].images[0]).size == (38, 208)


@pytest.mark.parametrize("text", ["Ab.", "縦書きの行である", "I"])
def test_lines_of_few_letters_and_vertical_writing_do_not_look_turned(scan, page_xml, text):
    scan()
    assert read_source(str(page_xml(page_line("", text)))).findings == []


def test_an_angle_that_makes_a_level_line_stand_is_told(scan, page_xml):
    scan()
    inside = page_line('orientation="90"').replace(
        "100,50 130,50 130,250 100,250", "10,50 230,50 230,80 10,80"
    )
    assert [found.code for found in read_source(str(page_xml(inside))).findings] == ["line-turned"]


def test_an_angle_that_is_no_number_is_none(scan, page_xml):
    scan()
    source = read_source(str(page_xml(page_line('orientation="nan" readingOrientation="up"'))))
    assert [found.code for found in source.findings] == ["line-turned"]
    with pytest.raises(SourceError):
        read_pages("page:gone.xml")
