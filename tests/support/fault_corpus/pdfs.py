"""PDFs that are locked, broken, without text, without size or without end."""

from collections.abc import Callable
from pathlib import Path

from tiny_pdfs import Print, write_pdf

from fault_corpus.case import BAD_TEXT, TEXTS, Case, bad, good

_PDFS = "pdfs"
_MANY = 100_001


def cases() -> list[Case]:
    """All of PDFs."""
    page = [[Print(says=BAD_TEXT, size=24)]]
    return [
        good(_PDFS, "right", _with(lambda path: write_pdf(path, page))),
        bad(_PDFS, "locked", _with(lambda path: write_pdf(path, page, encrypt=True)), "pdf"),
        bad(_PDFS, "zero-bytes", _with(b""), "pdf"),
        bad(_PDFS, "text-named-pdf", _with(b"I am no PDF.\n"), "pdf"),
        bad(_PDFS, "cut-off", _with(_cut_off), "pdf"),
        bad(_PDFS, "gzip-cut-off", _with(b"\x1f\x8b\x08\x00\x00", name="bad.pdf.gz"), "pdf"),
        good(_PDFS, "no-text-layer", _with(lambda path: write_pdf(path, [[]])), "pdf-page-without-text", pages=6),
        bad(
            _PDFS,
            "private-use-letters",
            _with(lambda path: write_pdf(path, [[Print(says="\ue001\ue002\ue003", size=24)]])),
            "pdf-glyphs-unknown",
        ),
        bad(_PDFS, "no-pages", _with(_tree("", 0)), "pdf"),
        good(
            _PDFS, "page-without-size", _with(lambda path: write_pdf(path, page, size=(0.001, 0.001))),
            "pdf-page-without-text", "pdf-text-outside", pages=6,
        ),
        bad(_PDFS, "page-too-large", _with(_tree("[0 0 14400000 14400000]", 1)), "pdf-page-size"),
        bad(_PDFS, "pages-without-end", _with(_tree("[0 0 240 64]", _MANY)), "pdf-pages"),
    ]  # fmt: skip


def _with(bad_file: bytes | Callable[[Path], object], *, name: str = "bad.pdf") -> Callable[[Path], str]:
    """A folder of PDFs of one page each, and one more file."""

    def make(folder: Path) -> str:
        for number, text in enumerate(TEXTS, start=1):
            write_pdf(folder / f"page{number}.pdf", [[Print(says=text, size=24)]])
        if isinstance(bad_file, bytes):
            (folder / name).write_bytes(bad_file)
        else:
            bad_file(folder / name)
        return f"pdf:{folder}?dpi=72"

    return make


def _cut_off(path: Path) -> None:
    content = write_pdf(path, [[Print(says=BAD_TEXT)]]).read_bytes()
    path.write_bytes(content[:40])


def _tree(box: str, count: int) -> bytes:
    """A PDF that says it has so many pages, all of them one object, of one size."""
    kids = "3 0 R " * min(count, _MANY)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box or '[0 0 9 9]'} >>",
    ]
    content, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n".encode()
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 4\n0000000000 65535 f \n{rows}trailer << /Size 4 /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    return content + end.encode()
