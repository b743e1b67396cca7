"""Files that other programs wrote, counted by other means than the readers'."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.sources import open_image, read_source

STRANGERS = Path(__file__).parent / "strangers"
NAMES = ("transkribus.xml", "escriptorium.xml", "tesseract-4.hocr", "siege.hocr", "siege.xml")
LINES = "//*[local-name()='TextLine' or @class='ocr_line' or @class='ocr_header' or @class='ocr_caption' or @class='ocr_textfloat']"
IMAGES = {
    "transkribus": ("170025120000003,0074.jpg", (2743, 3965)),
    "escriptorium": ("0014.jpg", (228, 109)),
    "tesseract-4": ("page-1.jpg", (1240, 1549)),
}
"""The image that a file names, and its size."""

BOX = re.compile(r"<\|det\|>\[\[(\d+), (\d+), (\d+), (\d+)\]\]<\|/det\|>\n([^<]*)")


@pytest.fixture
def stranger(tmp_path):
    """A file beside its image, or a blank one of the size that the file tells."""

    def place(name):
        path = Path(shutil.copy(STRANGERS / name, tmp_path))
        if path.stem in IMAGES:
            Image.new("L", IMAGES[path.stem][1]).save(tmp_path / IMAGES[path.stem][0])
        else:
            shutil.copy(STRANGERS / "siege.png", tmp_path)
        return path

    return place


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_a_page_or_a_finding(stranger, name, codes):
    path = stranger(name)
    written = etree.fromstring(path.read_bytes(), etree.XMLParser(load_dtd=False)).xpath(LINES)
    source = read_source(str(path))
    assert len(written) == len(source.pages) + codes(source.findings).count("line-empty")
    words = [word for line in written for word in ("".join(line.itertext()) or "").split()]
    if path.suffix == ".hocr":
        assert " ".join(page.text for page in source.pages).split() == words
    assert all(open_image(page.images[0]).size > (4, 4) for page in source.pages)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["plain", "markdown", "grounded"])
@pytest.mark.parametrize("level", ["line", "region", "page"])
def test_levels_and_targets_hold_the_same_words(stranger, name, level, target):
    path = stranger(name)
    lines = read_source(f"{path}").pages
    pages = read_source(f"{_kind(name)}:{path}?level={level}&target={target}").pages
    texts = re.sub(
        r"<\|ref\|>.*?<\|/det\|>|^# ", "", "\n".join(page.text for page in pages), flags=re.MULTILINE
    )
    assert sorted(texts.split()) == sorted(" ".join(page.text for page in lines).split())


def test_hocr_and_alto_of_one_program_are_the_same_lines(stranger):
    sources = [read_source(str(stranger(name))) for name in ("siege.hocr", "siege.xml")]
    one, other = ([(page.text, page.images[0].polygon) for page in source.pages] for source in sources)
    assert one == other
    assert one[1][0] == "however, did not last long; it became too conspicuous and dan-"


def test_lines_and_boxes_hold_the_ink_of_the_page(stranger):
    ink = np.asarray(Image.open(STRANGERS / "siege.png").convert("L")) < 128
    # The picture beside the text is in no line.
    text = ink[:, :500]
    height, width = ink.shape
    pages = read_source(str(stranger("siege.xml"))).pages
    seen = np.zeros_like(ink)
    for page in pages:
        (left, top), _, (right, bottom), _ = (map(round, corner) for corner in page.images[0].polygon)
        assert ink[top:bottom, left:right].any()
        seen[top - 2 : bottom + 2, left - 2 : right + 2] = True
    assert (text & seen[:, :500]).sum() > 0.98 * text.sum()
    (page,) = read_source(f"alto:{STRANGERS / 'siege.xml'}?level=page&target=grounded").pages
    for *box, words in BOX.findall(page.text):
        left, top, right, bottom = (int(value) / 999 for value in box)
        inside = ink[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        assert inside.any(), words


def test_an_absolute_path_of_another_machine_is_no_image_and_the_hint_tells_where_to_put_it(tmp_path):
    path = shutil.copy(STRANGERS / "tesseract-4.hocr", tmp_path)
    with pytest.raises(SourceError, match="lies outside the data") as caught:
        read_source(str(path))
    assert "beside the XML file" in caught.value.hint


def _kind(name):
    return {"transkribus.xml": "page", "escriptorium.xml": "alto", "siege.xml": "alto"}.get(name, "hocr")
