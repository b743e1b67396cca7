import pytest

from ocrtune.errors import EvaluationError, TextError, TranscriptError
from ocrtune.evaluation import evaluate, read_side, write_predictions
from ocrtune.records import Page, Prediction
from ocrtune.sources import write_jsonl

HOCR = """<?xml version="1.0" encoding="UTF-8"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title></title>
<meta name="ocr-system" content="tesseract 5.3.0"/></head><body>
{pages}</body></html>"""
HOCR_PAGE = """<div class="ocr_page" id="page_{n}" title='image "{image}"; bbox 0 0 100 100; ppageno {n}'>
<div class="ocr_carea" id="b{n}" title="bbox 0 0 100 100"><p class="ocr_par" id="p{n}" title="bbox 0 0 100 100">
<span class="ocr_line" id="l{n}" title="bbox 0 0 100 20"><span class="ocrx_word" id="w{n}" title="bbox 0 0 9 9">{text}</span>
<span class="ocrx_word" id="v{n}" title="bbox 10 0 19 9">day</span></span>
</p></div></div>"""
ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>one.png</fileName></sourceImageInformation></Description><Layout>
<Page ID="p" WIDTH="99" HEIGHT="99" PHYSICAL_IMG_NR="1"><PrintSpace><TextBlock ID="b" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9">
<TextLine ID="l" HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"><String CONTENT="fine" HPOS="0" VPOS="0" WIDTH="4" HEIGHT="9"/><SP/>
<String CONTENT="day" HPOS="5" VPOS="0" WIDTH="4" HEIGHT="9"/></TextLine></TextBlock></PrintSpace></Page></Layout></alto>"""
PAGE_XML = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="one.png" imageWidth="99" imageHeight="99"><TextRegion id="r"><Coords points="0,0 9,0 9,9 0,9"/>
<TextLine id="l"><Coords points="0,0 9,0 9,9 0,9"/><TextEquiv><Unicode>fine day</Unicode></TextEquiv></TextLine>
</TextRegion></Page></PcGts>"""


def pages(*names: str) -> list[Page]:
    return [Page(name=name, images=(), text="fine day") for name in names]


def answers(path, *names: str) -> dict[str, str]:
    return {found.image: found.text for found in read_side(path).predictions_of(pages(*names))}


def test_a_folder_of_texts_belongs_to_pages_by_stem(tmp_path):
    (tmp_path / "one.txt").write_text("fine day\n")
    (tmp_path / "two.png.txt").write_text("other")
    (tmp_path / "three.gt.txt").write_text("third")
    assert answers(tmp_path, "images/one.png", "images/two.png", "three.jpg") == {
        "images/one.png": "fine day\n",
        "images/two.png": "other",
        "three.jpg": "third",
    }


def test_folders_tell_pages_of_the_same_stem_apart(tmp_path):
    for name in ("vol1", "vol2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "7.txt").write_text(name)
    assert answers(tmp_path, "scans/vol1/7.png", "scans/vol2/7.png") == {
        "scans/vol1/7.png": "vol1",
        "scans/vol2/7.png": "vol2",
    }
    with pytest.raises(EvaluationError, match=r"'7\.txt' may be of 2 pages"):
        answers(tmp_path / "vol1", "scans/vol1/7.png", "scans/vol2/7.png")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one.hocr", HOCR.format(pages=HOCR_PAGE.format(n=1, image="/tmp/x.png", text="fine"))),
        ("other.html", HOCR.format(pages=HOCR_PAGE.format(n=1, image="scans\\one.png", text="fine"))),
        ("one.xml", ALTO),
        ("one.xml", PAGE_XML),
    ],
)
def test_hocr_alto_and_page_are_read_without_their_images(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    assert answers(tmp_path, "images/one.png") == {"images/one.png": "fine day"}
    assert answers(tmp_path / name, "images/one.png") == {"images/one.png": "fine day"}


def test_a_file_of_several_pages_belongs_to_the_images_it_names(tmp_path):
    both = "".join(HOCR_PAGE.format(n=n, image=f"s/{n}.png", text=f"p{n}") for n in (1, 2))
    (tmp_path / "book.hocr").write_text(HOCR.format(pages=both))
    assert answers(tmp_path, "1.png", "2.png") == {"1.png": "p1 day", "2.png": "p2 day"}


def test_a_page_on_which_nothing_was_read_is_empty_and_not_missing(tmp_path):
    (tmp_path / "one.txt").write_text("")
    (tmp_path / "two.hocr").write_text(
        HOCR.format(pages="<div class='ocr_page' id='p' title='image \"two.png\"; bbox 0 0 9 9'></div>")
    )
    assert answers(tmp_path, "one.png", "two.png") == {"one.png": "", "two.png": ""}


def test_jsonl_is_matched_letter_by_letter_and_found_in_a_folder(tmp_path):
    write_predictions(
        tmp_path / "predictions.jsonl", [Prediction(image="a/one.png", text="x", truncated=True)]
    )
    side = read_side(tmp_path)
    assert side.name == tmp_path.name
    assert side.predictions_of(pages("one.png")) == [Prediction(image="a/one.png", text="x", truncated=True)]


def test_evaluate_takes_any_engine(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "images/one.png", "text": "fine day"}])
    (tmp_path / "read").mkdir()
    (tmp_path / "read" / "one.xml").write_text(ALTO)
    assert evaluate(tmp_path / "read", str(tmp_path / "m.jsonl")).scorecard.cer.micro == 0
    (tmp_path / "read" / "one.txt").write_text("fine day")
    with pytest.raises(EvaluationError, match=r"'images/one\.png' has two predictions"):
        evaluate(tmp_path / "read", str(tmp_path / "m.jsonl"))


def test_what_cannot_be_read_is_one_clear_error(tmp_path):
    with pytest.raises(EvaluationError, match="nothing that an engine read"):
        read_side(tmp_path)
    with pytest.raises(EvaluationError, match="no file"):
        read_side(tmp_path / "none")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(TextError, match="not UTF-8"):
        read_side(tmp_path)
    (tmp_path / "b.xml").write_text(ALTO[:-9])
    with pytest.raises(TranscriptError):
        read_side(tmp_path / "b.xml")
    (tmp_path / "c.png").write_bytes(b"png")
    with pytest.raises(EvaluationError, match="nothing that an engine read"):
        read_side(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("page", "file"),
    [("book.pdf#3", "book#3.txt"), ("vol 1/my scan.png", "vol_1/my_scan.txt"), ("a.tif#2", "a#2.md")],
)
def test_files_that_predict_writes_find_their_pages_again(page, file, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("read")
    found = read_side(tmp_path).predictions_of([Page(name=page, images=(), text="x")])
    assert [prediction.image for prediction in found] == [page]
