from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

SCHEMAS = Path(__file__).parent / "schemas"
PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"

BOOK = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- kept -->
<PcGts xmlns="{PAGE_NAMESPACE}"><Metadata><Creator>Somebody</Creator><Created>2020-01-01T00:00:00</Created>
<LastChange>2020-01-01T00:00:00</LastChange></Metadata>
<Page imageFilename="scan.png" imageWidth="400" imageHeight="300">
<ReadingOrder><OrderedGroup id="ro"><RegionRefIndexed index="0" regionRef="b"/>
<RegionRefIndexed index="1" regionRef="h"/><RegionRefIndexed index="2" regionRef="t"/></OrderedGroup></ReadingOrder>
<TextRegion id="h" type="heading"><Coords points="40,10 360,10 360,50 40,50"/>
<TextLine id="h1" custom="x {{y:1;}}"><Coords points="40,10 200,14 200,50 40,46"/><Baseline points="40,40 120,42 200,44"/>
<Word id="w1"><Coords points="40,10 90,10 90,50 40,50"/><TextEquiv conf="0.5"><Unicode>On</Unicode></TextEquiv></Word>
<Word id="w2"><Coords points="95,10 200,10 200,50 95,50"/><TextEquiv><Unicode>rain</Unicode></TextEquiv></Word>
<TextEquiv conf="0.9"><Unicode>On rain</Unicode></TextEquiv><TextStyle fontSize="9"/></TextLine>
<TextEquiv><Unicode>On rain</Unicode></TextEquiv></TextRegion>
<TextRegion id="b"><Coords points="40,60 360,60 360,170 40,170"/>
<TextLine id="b1"><Coords points="40,60 360,60 360,90 40,90"/><Baseline points="42,84 358,84"/>
<TextEquiv><Unicode>It fell, &lt;and&gt; fell</Unicode></TextEquiv></TextLine>
<TextLine id="b2"><Coords points="40,100 360,100 360,130 40,130"/>
<TextEquiv><Unicode>the whole day.</Unicode></TextEquiv></TextLine></TextRegion>
<TableRegion id="t"><Coords points="40,180 360,180 360,280 40,280"/>
<TextRegion id="c00"><Coords points="40,180 200,180 200,280 40,280"/><Roles><TableCellRole rowIndex="0" columnIndex="0"/></Roles>
<TextLine id="c00l"><Coords points="50,200 190,200 190,240 50,240"/><TextEquiv><Unicode>May 1</Unicode></TextEquiv></TextLine></TextRegion>
<TextRegion id="c01"><Coords points="200,180 360,180 360,280 200,280"/><Roles><TableCellRole rowIndex="0" columnIndex="1"/></Roles>
<TextLine id="c01l"><Coords points="210,200 350,200 350,240 210,240"/><TextEquiv><Unicode>12 mm</Unicode></TextEquiv></TextLine></TextRegion>
</TableRegion>
<ImageRegion id="i"><Coords points="0,0 30,0 30,30 0,30"/></ImageRegion>
</Page></PcGts>
"""


@pytest.fixture(scope="session")
def schemas():
    """Format → its schema, read from disk alone."""
    parser = etree.XMLParser(no_network=True)
    return {
        name: etree.XMLSchema(etree.parse(SCHEMAS / file, parser))
        for name, file in (("page", "page-2019-07-15.xsd"), ("alto", "alto-4-3.xsd"))
    }


@pytest.fixture
def check_valid(schemas):
    """Fail unless a file is valid: by its schema, or for hOCR by the rules of its specification."""

    def check(path: Path, form: str) -> None:
        root = etree.parse(path).getroot()
        if form == "hocr":
            check_hocr(root)
        else:
            schemas[form].assertValid(root)

    return check


def check_hocr(root) -> None:
    """XHTML; capabilities told; nested as the specification has it; boxes within those around them; ids unique."""
    xhtml = "{http://www.w3.org/1999/xhtml}"
    assert root.tag == f"{xhtml}html"
    metas = {meta.get("name"): meta.get("content") for meta in root.iter(f"{xhtml}meta")}
    assert metas["ocr-system"].startswith("ocrtune ")
    marked = [element for element in root.iter() if element.get("class")]
    assert {element.get("class") for element in marked} <= set(metas["ocr-capabilities"].split())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    (page,) = [element for element in marked if element.get("class") == "ocr_page"]
    properties = dict(part.strip().split(" ", 1) for part in page.get("title").split(";"))
    assert properties.keys() >= {"image", "bbox"}
    _, _, width, height = map(int, properties["bbox"].split())
    for element in marked:
        assert element is page or page in element.iterancestors()
        if element.get("class") in {"ocr_line", "ocr_header", "ocr_caption"}:
            assert not any(below.get("class") for below in element.iterdescendants())
        if title := element.get("title"):
            assert "bbox " in title
            box = title.partition("bbox ")[2].partition(";")[0]
            left, top, right, bottom = map(int, box.split())
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


@pytest.fixture
def scan(tmp_path):
    """Save an image of one colour, 400 × 300 px."""

    def save(name: str = "in/scan.png", size: tuple[int, int] = (400, 300)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (200, 190, 180)).save(path)
        return path

    return save


@pytest.fixture
def book(scan):
    """A scan in PAGE XML: a body that is read first, a heading, a table and a picture."""
    path = scan().with_name("scan.xml")
    path.write_text(BOOK, encoding="utf-8")
    return path
