from pathlib import Path

import pytest
from PIL import Image

PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


@pytest.fixture
def scan(tmp_path):
    """Save an image of one colour, 400 × 300 px."""

    def save(name: str = "scan.png", size: tuple[int, int] = (400, 300), **options) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (200, 190, 180)).save(path, **options)
        return path

    return save


@pytest.fixture
def write(tmp_path):
    """Save a text or bytes."""

    def save(content: str | bytes, name: str = "scan.xml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


@pytest.fixture
def page_xml(write):
    """Save what stands in <Page> as PAGE XML."""

    def save(
        inside: str, name: str = "scan.xml", *, namespace: str = PAGE_NAMESPACE, image: str = "scan.png"
    ) -> Path:
        return write(
            f'<?xml version="1.0" encoding="UTF-8"?><PcGts xmlns="{namespace}"><Metadata/>'
            f'<Page imageFilename="{image}" imageWidth="400" imageHeight="300">{inside}</Page></PcGts>',
            name,
        )

    return save


@pytest.fixture
def alto(write):
    """Save what stands in <PrintSpace> as ALTO."""

    def save(
        inside: str,
        name: str = "scan.xml",
        *,
        namespace: str = "http://www.loc.gov/standards/alto/ns-v4#",
        unit: str = "pixel",
        size: str = 'WIDTH="400" HEIGHT="300"',
        before: str = "",
        image: str = "scan.png",
    ) -> Path:
        return write(
            f'<alto xmlns="{namespace}"><Description><MeasurementUnit>{unit}</MeasurementUnit>'
            f"<sourceImageInformation><fileName>{image}</fileName></sourceImageInformation></Description>{before}"
            f'<Layout><Page ID="p1" {size}><PrintSpace>{inside}</PrintSpace></Page></Layout></alto>',
            name,
        )

    return save


@pytest.fixture
def text_line():
    """A TextLine of PAGE XML."""

    def make(
        identifier: str, text: str | None, points: str = "10,10 90,10 90,30 10,30", **attributes: str
    ) -> str:
        written = "".join(f' {name}="{value}"' for name, value in attributes.items())
        equiv = "" if text is None else f"<TextEquiv><Unicode>{text}</Unicode></TextEquiv>"
        return f'<TextLine id="{identifier}"{written}><Coords points="{points}"/>{equiv}</TextLine>'

    return make


@pytest.fixture
def codes():
    """The codes of findings."""

    def of(findings) -> list[str]:
        return [finding.code for finding in findings]

    return of
