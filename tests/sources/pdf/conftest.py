import pytest
from tiny_pdfs import write_pdf

from ocrtune.sources.pdf.document import PdfPages

DPI = 150


@pytest.fixture
def read(tmp_path):
    """Prints → glyphs and picture of their page."""

    def read(*prints, **options):
        path = write_pdf(tmp_path / "page.pdf", [list(prints)], **options)
        with PdfPages(path, dpi=DPI) as pages:
            return pages.glyphs(1), pages.render(1)

    return read
