import multiprocessing
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_pdfs import PAGE_SIZE, Print, book_pages, write_pdf

from ocrtune.data.checks import check_splits
from ocrtune.data.pictures import look_at
from ocrtune.data.splits import Splits
from ocrtune.errors import ImageError
from ocrtune.inputs import encode  # noqa: F401 - the layers above take the record as it is
from ocrtune.records import Cut, Page, PdfPage
from ocrtune.reports.pictures import data_uri
from ocrtune.sources import count_frames, image_size, open_image
from ocrtune.sources.pdf import pictures

PART = ((50.0, 50.0), (300.0, 50.0), (300.0, 120.0), (50.0, 120.0))


@pytest.fixture
def pdf(tmp_path):
    return write_pdf(tmp_path / "book.pdf", book_pages(4))


def page(pdf, number=3, dpi=100):
    return PdfPage(path=pdf, number=number, dpi=dpi)


@pytest.mark.parametrize("dpi", [50, 144, 200, 333])
@pytest.mark.parametrize("rotate", [0, 90])
def test_the_size_is_known_without_rendering(tmp_path, dpi, rotate):
    path = write_pdf(tmp_path / "a.pdf", book_pages(1), crop=(20.22, 40.7, 300.1, 550.3), rotate=rotate)
    image = open_image(page(path, dpi=dpi))
    assert image.mode == "RGB"
    assert image.size == image_size(page(path, dpi=dpi))
    assert (image.width > image.height) == bool(rotate)


def test_a_part_is_cut_out_of_the_page(pdf):
    cut = Cut(path=page(pdf), polygon=PART)
    assert image_size(cut) == open_image(cut).size == (250, 70)
    assert np.array_equal(open_image(cut), open_image(page(pdf)).crop((50, 50, 300, 120)))


def test_parts_of_a_page_render_it_once(pdf, monkeypatch):
    rendered = []
    render = pictures.PdfPages.render
    monkeypatch.setattr(
        pictures.PdfPages, "render", lambda self, number: rendered.append(number) or render(self, number)
    )
    for _ in range(3):
        open_image(Cut(path=page(pdf), polygon=PART))
    assert rendered == [3]


def test_whatever_takes_an_image_takes_a_page(pdf):
    for source in (page(pdf), Cut(path=page(pdf), polygon=PART)):
        assert count_frames(source) == 1
        assert look_at(source).num_frames == 1
        assert data_uri(source).startswith("data:image/")


def test_the_same_page_in_two_parts_is_a_leak_however_it_is_rendered(pdf):
    def splits(one, other):
        made = [Page(name=str(n), images=(image,), document=str(n)) for n, image in enumerate((one, other))]
        return Splits(train=[made[0]], validation=[], test=[made[1]])

    def codes(one, other):
        return [found.code for found in check_splits(splits(one, other)).findings]

    assert codes(page(pdf), page(pdf, dpi=300)) == ["image-leaked"]
    assert codes(page(pdf), page(pdf, number=4)) == []
    assert codes(Cut(path=page(pdf), polygon=PART), Cut(path=page(pdf), polygon=PART)) == ["image-leaked"]


def test_records_travel_to_other_processes(pdf):
    cut = Cut(path=page(pdf), polygon=PART)
    assert pickle.loads(pickle.dumps(cut)) == cut
    here = image_size(cut)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(image_size, [cut, cut]) == [here, here]


def test_threads_take_turns(pdf, monkeypatch):
    """PDFium knows of no threads, and ctypes lets others run while it works."""
    render, busy, most = pictures.PdfPages.render, [], []

    def watched(self, number):
        busy.append(number)
        most.append(len(busy))
        time.sleep(0.005)
        image = render(self, number)
        busy.remove(number)
        return image

    monkeypatch.setattr(pictures.PdfPages, "render", watched)
    pages = [page(pdf, number=1 + n % 6) for n in range(12)]
    with ThreadPoolExecutor(4) as threads:
        found = [image.tobytes() for image in threads.map(open_image, pages)]
    assert max(most) == 1
    assert found == [open_image(each).tobytes() for each in pages]


def test_few_pdfs_stay_open(tmp_path):
    for number in range(5):
        path = write_pdf(tmp_path / f"{number}.pdf", book_pages(1))
        open_image(page(path))
    assert len(pictures._DOCUMENTS._open) == pictures.MOST_OPEN


def test_a_pdf_that_was_changed_is_read_anew(pdf):
    before = open_image(Cut(path=page(pdf), polygon=PART))
    changed = [[Print(says="changed", x=50, y=PAGE_SIZE[1] - 60)]] * 6
    write_pdf(pdf, changed)
    assert not np.array_equal(before, open_image(Cut(path=page(pdf), polygon=PART)))


def test_what_cannot_be_rendered_is_an_image_error(tmp_path, pdf, monkeypatch):
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    for broken in (tmp_path / "broken.pdf", tmp_path / "missing.pdf"):
        for use in (open_image, image_size, lambda source: open_image(Cut(path=source, polygon=PART))):
            with pytest.raises(ImageError, match=r"PDF|image") as caught:
                use(page(broken))
            assert broken.name in caught.value.where
    with pytest.raises(ImageError, match="no page 7, but 6"):
        open_image(page(pdf, number=7))
    monkeypatch.setenv("OCRTUNE_MAX_IMAGE_PIXELS", "1000")
    with pytest.raises(ImageError, match="cannot be rendered as 584 × 827 px"):
        open_image(page(pdf))
