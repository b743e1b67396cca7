import gzip

import pytest
from PIL import Image
from tiny_pdfs import PAGE_SIZE, Print, book_pages, write_pdf

from ocrtune.errors import PdfError
from ocrtune.sources.pdf.document import POINTS_PER_INCH, PdfPages

DPI = 150
PX = DPI / POINTS_PER_INCH


def test_a_packed_pdf_is_read_as_it_is(tmp_path):
    path = write_pdf(tmp_path / "book.pdf", book_pages(1))
    packed = tmp_path / "book.pdf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with PdfPages(path, dpi=DPI) as pages, PdfPages(packed, dpi=DPI) as unpacked:
        assert len(pages) == len(unpacked) == 3
        assert pages.glyphs(3) == unpacked.glyphs(3)


def test_a_scan_has_no_signs(tmp_path):
    Image.new("L", (300, 400), 255).save(tmp_path / "scan.pdf")
    with PdfPages(tmp_path / "scan.pdf", dpi=DPI) as pages:
        assert pages.glyphs(1) == []


def test_a_file_that_cannot_be_read_is_told_with_a_hint(tmp_path):
    whole = gzip.compress(write_pdf(tmp_path / "whole.pdf", book_pages(1)).read_bytes())
    broken = {"empty.pdf": b"", "letter.pdf": b"Dear reader", "cut.pdf.gz": whole[: len(whole) // 2]}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    locked = write_pdf(tmp_path / "locked.pdf", book_pages(1), encrypt=True)
    told = {"missing.pdf": "no file", locked.name: "password", "cut.pdf.gz": "unpacked"}
    for name in [*broken, "missing.pdf", locked.name]:
        with pytest.raises(PdfError, match=told.get(name, "no PDF")) as caught:
            PdfPages(tmp_path / name, dpi=DPI)
        assert caught.value.hint


def test_a_glyph_knows_where_it_stands(read):
    (glyph,), _ = read(Print(says="ж", x=72, y=PAGE_SIZE[1] - 144, size=24))
    assert glyph.start == pytest.approx(72 * PX, abs=2)
    assert glyph.baseline == pytest.approx(144 * PX, abs=2)
    assert glyph.size == pytest.approx(24 * PX, rel=0.01)
    assert glyph.turn == 0


def test_white_signs_are_seen_over_black_ones_alone(read):
    over = [Print(says="M", y=100, x=50, size=300), Print(says="x y", y=120, x=80, size=20, white=True)]
    glyphs, _ = read(*over, Print(says="z", y=500, white=True))
    assert {glyph.text: glyph.is_seen for glyph in glyphs} == {
        "M": True,
        "x": True,
        " ": True,
        "y": True,
        "z": False,
    }
