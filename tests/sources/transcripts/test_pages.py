import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.TiffImagePlugin import IFDRational

from ocrtune.data import build_examples, check_uri
from ocrtune.errors import InputsError, SourceError
from ocrtune.families import FAMILIES
from ocrtune.records import Cut
from ocrtune.sources import open_image, read_pages, read_source
from ocrtune.text import Normalization

HEADING = '<TextRegion id="h" type="heading"><Coords points="40,30 360,30 360,90 40,90"/>{}{}</TextRegion>'
BODY = '<TextRegion id="b"><Coords points="40,120 360,120 360,270 40,270"/>{}</TextRegion>'
TABLE = (
    '<TableRegion id="t"><Coords points="0,0 400,0 400,150 0,150"/>'
    '<TableCell row="0" col="0" colSpan="2">{}</TableCell><TableCell row="1" col="0">{}</TableCell>'
    '<TableCell row="1" col="1"></TableCell></TableRegion>'
)


@pytest.fixture
def book(scan, page_xml, text_line):
    """A page with a heading of two lines and a body of one."""
    scan()
    heading = HEADING.format(
        text_line("h1", "On", "40,30 200,30 200,60 40,60"),
        text_line("h2", "rain", "40,60 360,60 360,90 40,90"),
    )
    return page_xml(heading + BODY.format(text_line("b1", "It fell.", "40,120 360,120 360,150 40,150")))


def texts(uri):
    return [page.text for page in read_pages(uri)]


def test_lines_are_pages_by_themselves_cut_out_of_the_image(book):
    first, second, third = read_pages(str(book))
    assert [page.name for page in (first, second, third)] == ["scan.xml#h1", "scan.xml#h2", "scan.xml#b1"]
    assert (first.text, first.document, first.where) == ("On", "scan", f"{book}#h1")
    (cut,) = first.images
    assert cut == Cut(
        path=book.parent / "scan.png", polygon=((40, 30), (200, 30), (200, 60), (40, 60)), margin_px=4
    )
    assert open_image(cut).size == (168, 38)


def test_regions_and_pages_have_their_lines_line_by_line(book):
    assert texts(f"page:{book}?level=region") == ["On\nrain", "It fell."]
    (page,) = read_pages(f"page:{book}?level=page")
    assert (page.name, page.text, page.images) == (
        "scan.xml",
        "On\nrain\n\nIt fell.",
        (book.parent / "scan.png",),
    )


def test_headings_are_headings_in_markdown_only(book):
    assert texts(f"page:{book}?level=page&target=markdown") == ["# On rain\n\nIt fell."]
    assert texts(f"page:{book}?level=region&target=markdown") == ["# On rain", "It fell."]
    assert texts(f"page:{book}?level=line&target=markdown") == ["# On", "# rain", "It fell."]


@pytest.mark.parametrize(
    ("family", "form", "after"),
    [
        ("deepseek_ocr", "<|ref|>{}<|/ref|><|det|>[[{}]]<|/det|>", "\n"),
        ("unlimited_ocr", "<|det|>{} [{}]<|/det|>", ""),
    ],
)
def test_a_grounded_page_has_a_box_for_each_region_in_the_familys_form(book, family, form, after):
    title = form.format("title", "99, 99, 899, 299") + after + "On\nrain"
    body = form.format("text", "99, 399, 899, 899") + after + "It fell."
    assert texts(f"page:{book}?level=page&target=grounded&family={family}") == [f"{title}\n\n{body}"]


def test_boxes_of_a_part_are_measured_on_the_part(book):
    uri = f"page:{book}?level=region&target=grounded&margin=0&family=unlimited_ocr"
    assert texts(uri)[0] == (
        "<|det|>title [0, 0, 499, 499]<|/det|>On\n\n<|det|>title [0, 499, 999, 999]<|/det|>rain"
    )
    assert texts(uri.replace("region", "line"))[0] == "<|det|>title [0, 0, 999, 999]<|/det|>On"


def test_boxes_of_a_turned_part_are_where_the_letters_are(scan, page_xml):
    angle = np.radians(10)
    rotation = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])

    def turned(points):
        return [tuple(point) for point in (np.asarray(points) - (200, 150)) @ rotation.T + (200, 150)]

    outline = turned([(80, 100), (320, 100), (320, 200), (80, 200)])
    line = turned([(100, 150), (300, 150), (300, 190), (100, 190)])
    path = scan()
    image = Image.open(path)
    ImageDraw.Draw(image).polygon(line, fill="black")
    image.save(path)

    def written(points):
        return " ".join(f"{x},{y}" for x, y in points)

    inside = (
        f'<TextRegion id="r"><Coords points="{written(outline)}"/><TextLine id="l"><Coords points="{written(line)}"/>'
        f'<Baseline points="{written(line[2:])}"/><TextEquiv><Unicode>x</Unicode></TextEquiv></TextLine></TextRegion>'
    )
    (page,) = read_pages(f"page:{page_xml(inside)}?level=region&target=grounded&family=unlimited_ocr")
    cut = np.asarray(open_image(page.images[0]).convert("L"))
    ys, xs = np.nonzero(cut < 60)
    height, width = cut.shape
    box = [int(part) for part in page.text.partition("[")[2].partition("]")[0].split(",")]
    dark = [xs.min() / width, ys.min() / height, xs.max() / width, ys.max() / height]
    np.testing.assert_allclose(np.array(box) / 999, dark, atol=0.02)


def test_tables_are_html_but_for_plain_targets(scan, page_xml, text_line):
    scan()
    cells = (
        text_line("l1", "a &lt; b", "0,0 400,0 400,50 0,50"),
        text_line("l2", "c", "0,50 200,50 200,99 0,99"),
    )
    path = page_xml(TABLE.format(*cells))
    html = '<table><tr><td colspan="2">a &lt; b</td></tr><tr><td>c</td><td></td></tr></table>'
    assert texts(f"page:{path}?level=page") == ["a < b\nc"]
    assert texts(f"page:{path}?level=page&target=markdown") == [html]
    assert texts(f"page:{path}?level=region&target=markdown") == [html]
    assert texts(f"page:{path}?level=page&target=grounded&family=unlimited_ocr") == [
        f"<|det|>table [0, 0, 999, 499]<|/det|>{html}"
    ]
    assert texts(f"page:{path}") == ["a < b", "c"]


def test_text_of_a_region_alone_is_left_out_of_lines_and_kept_by_regions(scan, page_xml, codes):
    scan()
    path = page_xml(
        '<TextRegion id="r"><Coords points="0,0 99,0 99,99 0,99"/><TextEquiv><Unicode>a\nb</Unicode></TextEquiv>'
        "</TextRegion>"
    )
    assert texts(f"page:{path}?level=region") == ["a\nb"]
    with pytest.raises(SourceError, match="the text is of the whole region"):
        read_pages(f"page:{path}?level=line")


def test_a_region_without_coordinates_has_the_bounds_of_its_lines(scan, page_xml, text_line):
    scan()
    path = page_xml(f'<TextRegion id="r">{text_line("l", "x", "40,30 200,30 200,60 40,60")}</TextRegion>')
    (page,) = read_pages(f"page:{path}?level=region&margin=0")
    assert open_image(page.images[0]).size == (160, 30)


def test_ids_used_twice_still_give_names_of_their_own(scan, page_xml, text_line):
    scan()
    path = page_xml(BODY.format(text_line("l", "x") + text_line("l", "y")))
    assert [page.name for page in read_pages(str(path))] == ["scan.xml#l", "scan.xml#l~2"]


def test_lines_outside_the_image_are_left_out_and_told(scan, page_xml, text_line, codes):
    scan()
    lines = (
        text_line("in", "x"),
        text_line("edge", "y", "350,10 450,10 450,40 350,40"),
        text_line("out", "z", "500,10 600,10 600,40"),
    )
    source = read_source(str(page_xml(BODY.format("".join(lines)))))
    assert [page.text for page in source.pages] == ["x", "y"]
    assert [(finding.code, finding.severity, finding.where.partition("#")[2]) for finding in source.findings] == [
        ("coordinates-beyond", "warning", "edge"), ("coordinates-outside", "error", "out"),
    ]  # fmt: skip
    assert open_image(source.pages[1].images[0]).size == (54, 38)


def test_a_scan_of_another_size_is_scaled_and_one_of_another_shape_refused(scan, page_xml, text_line, codes):
    scan(size=(800, 600))
    path = page_xml(BODY.format(text_line("l", "x", "10,10 90,10 90,30 10,30")))
    source = read_source(f"page:{path}?margin=0")
    assert codes(source.findings) == ["image-scaled"]
    assert open_image(source.pages[0].images[0]).size == (160, 40)
    scan(size=(300, 400))
    with pytest.raises(
        SourceError, match="page of 400 × 300 pixel, but the image has 300 × 400 px"
    ) as caught:
        read_pages(str(path))
    assert "turned" in caught.value.hint
    assert len(read_pages(f"page:{path}?level=page")) == 1, "text alone needs no coordinates"


@pytest.mark.parametrize(
    ("written", "dpi", "scale"),
    [
        (("mm10", 'WIDTH="1016" HEIGHT="762"'), None, 400 / 1016),
        (("mm10", ""), (100, 100), 100 / 254),
        (("inch1200", 'WIDTH="4800" HEIGHT="3600"'), None, 1 / 12),
        (("inch1200", ""), (200, 200), 1 / 6),
        (("inch1200", 'WIDTH="4800" HEIGHT="900"'), (100, 100), 1 / 12),
    ],
)
def test_millimetres_and_inches_become_pixels(scan, alto, written, dpi, scale):
    unit, size = written
    scan(**({"dpi": dpi} if dpi else {}))
    line = '<TextLine ID="l" HPOS="120" VPOS="240" WIDTH="600" HEIGHT="360"><String CONTENT="x"/></TextLine>'
    path = alto(f'<TextBlock ID="b">{line}</TextBlock>', unit=unit, size=size)
    (page,) = read_pages(f"alto:{path}?margin=0")
    wanted = np.array([(120, 240), (720, 240), (720, 600), (120, 600)]) * scale
    np.testing.assert_allclose(page.images[0].polygon, wanted, rtol=2e-3)


def test_a_unit_without_any_size_is_told(scan, alto):
    scan()
    line = '<TextLine ID="l" HPOS="1" VPOS="2" WIDTH="6" HEIGHT="3"><String CONTENT="x"/></TextLine>'
    path = alto(f'<TextBlock ID="b">{line}</TextBlock>', unit="mm10", size="")
    with pytest.raises(SourceError, match="neither the page nor the image") as caught:
        read_pages(str(path))
    assert "dots per inch" in caught.value.hint


@pytest.fixture
def half_transcribed(scan, page_xml, text_line):
    """A page of a region with one line of two transcribed, one with none, one without lines, and a picture."""
    scan()
    box = '<Coords points="0,0 99,0 99,99 0,99"/>'
    order = "".join(
        f'<RegionRefIndexed index="{place}" regionRef="{name}"/>' for place, name in enumerate("bno")
    )
    return page_xml(
        f'<ReadingOrder><OrderedGroup id="g">{order}</OrderedGroup></ReadingOrder>'
        + BODY.format(text_line("a", "x") + text_line("a2", None))
        + f'<TextRegion id="n">{box}{text_line("c", " ")}</TextRegion><TextRegion id="o">{box}</TextRegion>'
        f'<ImageRegion id="i">{box}</ImageRegion>'
    )


def test_lines_without_text_are_kept_where_that_is_asked_for(half_transcribed, codes):
    source = read_source(f"page:{half_transcribed}?untranscribed=keep")
    assert [(page.name.partition("#")[2], page.text) for page in source.pages] == [
        ("a", "x"), ("a2", None), ("c", None),
    ]  # fmt: skip
    assert codes(source.findings) == []
    assert open_image(source.pages[1].images[0]).size == (88, 28)
    source = read_source(str(half_transcribed))
    assert [page.text for page in source.pages] == ["x"]
    assert codes(source.findings) == ["line-empty", "line-empty"]


def test_regions_without_text_are_kept_but_for_pictures(half_transcribed):
    source = read_source(f"page:{half_transcribed}?level=region&untranscribed=keep")
    assert [(page.name.partition("#")[2], page.text) for page in source.pages] == [
        ("b", "x"), ("n", None), ("o", None),
    ]  # fmt: skip
    # The text of a region lacks what nobody transcribed, and that is told all the same.
    assert [(found.code, found.where.partition("#")[2]) for found in source.findings] == [
        ("line-empty", "a2")
    ]


def test_what_a_page_of_some_text_leaves_out_is_told_all_the_same(half_transcribed, codes):
    source = read_source(f"page:{half_transcribed}?level=page&untranscribed=keep")
    assert [page.text for page in source.pages] == ["x"]
    assert codes(source.findings) == ["line-empty", "line-empty"]


def test_a_region_around_regions_is_not_kept_beside_them(scan, page_xml):
    scan()
    box = '<Coords points="0,0 99,0 99,99 0,99"/>'
    path = page_xml(f'<TextRegion id="a">{box}<TextRegion id="b">{box}</TextRegion></TextRegion>')
    assert [page.name for page in read_pages(f"page:{path}?level=region&untranscribed=keep")] == [
        "scan.xml#b"
    ]


@pytest.mark.parametrize("target", ["plain", "grounded"])
def test_pages_without_text_are_kept_where_that_is_asked_for(scan, page_xml, text_line, target):
    scan()
    path = page_xml(BODY.format(text_line("a", None)))
    (page,) = read_pages(f"page:{path}?level=page&target={target}&untranscribed=keep")
    assert page.text is None
    with pytest.raises(SourceError, match="the page has no text"):
        read_pages(f"page:{path}?level=page&target={target}")


def test_what_is_kept_without_text_can_be_predicted_and_is_an_error_in_training(half_transcribed):
    uri = f"page:{half_transcribed}?untranscribed=keep"
    found = {finding.code: finding for finding in check_uri(uri).findings}
    assert (found["text-missing"].severity, found["text-missing"].count) == ("error", 2)
    page = read_pages(uri)[1]
    family = FAMILIES["deepseek_ocr"]
    (example,) = build_examples(
        [page], family, prompt=None, normalization=Normalization(), with_targets=False
    )
    assert example.target is None
    with pytest.raises(InputsError, match="no text to learn"):
        build_examples([page], family, prompt=None, normalization=Normalization())


def test_ids_that_look_like_counted_ones_still_give_names_of_their_own(scan, page_xml, text_line):
    scan()
    path = page_xml(BODY.format("".join(text_line(name, "x") for name in ("l~2", "l", "l"))))
    names = [page.name for page in read_pages(str(path))]
    assert len(set(names)) == 3
    assert names[:2] == ["scan.xml#l~2", "scan.xml#l"]


def test_an_image_of_no_resolution_is_told(alto, tmp_path):
    nothing = IFDRational(0, 0)
    Image.new("L", (400, 300)).save(tmp_path / "scan.tif", tiffinfo={282: nothing, 283: nothing, 296: 2})
    line = '<TextLine ID="l" HPOS="1" VPOS="2" WIDTH="6" HEIGHT="3"><String CONTENT="x"/></TextLine>'
    path = alto(f'<TextBlock ID="b">{line}</TextBlock>', unit="mm10", size="", image="scan.tif")
    with pytest.raises(SourceError, match="neither the page nor the image"):
        read_pages(str(path))
