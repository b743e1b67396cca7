"""Predictions → files people read: text, Markdown, JSON, PAGE, ALTO, hOCR or a searchable PDF of each document."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from PIL import Image, ImageChops

from ocrtune.data import gather_findings
from ocrtune.errors import OcrtuneError
from ocrtune.evaluation import read_predictions
from ocrtune.prediction.drawing import draw_predictions
from ocrtune.prediction.searchable_pdf import PdfWriter, place_lines
from ocrtune.progress import track
from ocrtune.records import Finding, ImageSource, Page, PdfPage, Prediction
from ocrtune.sources import open_image, write_text_atomically
from ocrtune.sources.naming import FileNames
from ocrtune.sources.writing import open_atomically
from ocrtune.transcription import write_transcriptions
from ocrtune.transcription.answers import text_alone

OutputFormat = Literal["jsonl", "txt", "md", "json", "page", "alto", "hocr", "pdf"]

PAGE_BREAK = "\f"
"""Between the pages of a `.txt`, as pdftotext and Tesseract put it."""

USUAL_DPI = 200
LOWEST_DPI, HIGHEST_DPI = 50, 1200
"""An image that tells less or more tells nonsense."""

Predicted = tuple[Page, Prediction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What is written beside the JSONL of predictions.

    Attributes:
        format: `jsonl` for nothing; else a file for each document, or for each page of `page`, `alto` and `hocr`.
        folder: Where these files go; needed for all formats but `jsonl`.
        draw: Folder for pages with their boxes; None for none.
    """

    format: OutputFormat = "jsonl"
    folder: Path | None = None
    draw: Path | None = None


JSONL_ALONE = Outputs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What was written.

    Attributes:
        files: One for each document or page.
        drawn: Pages with boxes.
        findings: What could not be written as it is; an error is a page that is left out.
    """

    files: tuple[Path, ...] = ()
    drawn: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()


def write_outputs(pages: Sequence[Page], predictions: Path, outputs: Outputs) -> Documents:
    """Write what is asked for; files of the same names are replaced.

    Args:
        pages: All that were to be read, in their order.
        predictions: The JSONL of their predictions; a page without one was skipped.
        outputs: What is asked for.
    """
    if outputs.format == "jsonl" and outputs.draw is None:
        return Documents()
    rows = {row.image: row for row in read_predictions(predictions)}
    predicted = [(page, rows[page.name]) for page in pages if page.name in rows]
    drawn = draw_predictions(predicted, outputs.draw) if outputs.draw else ()
    if outputs.format == "jsonl" or outputs.folder is None:
        return Documents(drawn=drawn)
    missing = [_missing(page) for page in pages if page.name not in rows]
    files, findings = _WRITERS[outputs.format](predicted, outputs.folder)
    return Documents(files=files, drawn=drawn, findings=tuple(gather_findings([*missing, *findings])))


def _missing(page: Page) -> Finding:
    return Finding(
        code="prediction-missing",
        severity="warning",
        message="the page was skipped and is missing in its document",
        where=page.name,
    )


Written = tuple[tuple[Path, ...], Sequence[Finding]]


def _by_document(predicted: Sequence[Predicted]) -> Iterator[tuple[str, list[Predicted]]]:
    """Documents in the order of their first pages; a page without document is one by itself."""
    documents: dict[str, list[Predicted]] = {}
    for page, prediction in predicted:
        documents.setdefault(page.document or page.name, []).append((page, prediction))
    yield from documents.items()


def _joined(suffix: str, join: Callable[[str, list[Predicted]], str]) -> Callable[..., Written]:
    """Writes each document as one file of text."""

    def write(predicted: Sequence[Predicted], folder: Path) -> Written:
        names, files = FileNames(), []
        for document, found in track(list(_by_document(predicted)), "writing documents"):
            path = folder / names.take(document, suffix)
            write_text_atomically(path, join(document, found))
            files.append(path)
        return tuple(files), ()

    return write


def _as_text(_document: str, predicted: list[Predicted]) -> str:
    return PAGE_BREAK.join(f"{text_alone(row.text).strip()}\n" for _, row in predicted)


def _as_markdown(_document: str, predicted: list[Predicted]) -> str:
    return "\n".join(f"{text_alone(row.text).strip()}\n" for _, row in predicted)


def _as_json(document: str, predicted: list[Predicted]) -> str:
    rows = [row.as_dict() for _, row in predicted]
    return json.dumps({"document": document, "pages": rows}, ensure_ascii=False, indent=1) + "\n"


def _transcribed(to: Literal["page", "alto", "hocr"]) -> Callable[..., Written]:
    def write(predicted: Sequence[Predicted], folder: Path) -> Written:
        pages = [replace(page, text=row.text) for page, row in predicted]
        answered = frozenset(page.name for page in pages)
        exported = write_transcriptions(pages, folder, to=to, answered=answered)
        return exported.files, exported.findings

    return write


def _write_pdfs(predicted: Sequence[Predicted], folder: Path) -> Written:
    names, files, findings = FileNames(), [], []
    for document, found in track(list(_by_document(predicted)), "writing PDFs"):
        if not any(page.images for page, _ in found):
            findings.append(_pictureless(document))
            continue
        path = folder / names.take(document, ".pdf")
        try:
            with open_atomically(path) as file:
                _write_pdf(PdfWriter(file), found)
        except OcrtuneError as error:
            findings.append(
                Finding(
                    code=error.code, severity="error", message=error.message, where=error.where or document
                )
            )
        else:
            files.append(path)
    return tuple(files), findings


def _pictureless(document: str) -> Finding:
    return Finding(
        code="document-without-image",
        severity="error",
        message="there is no image to make a PDF of",
        where=document,
        hint="take --format txt or md",
    )


def _write_pdf(writer: PdfWriter, predicted: list[Predicted]) -> None:
    for page, prediction in predicted:
        # What was read from several pages at once cannot be told apart: it lies on the first of them.
        for place, source in enumerate(page.images):
            image = open_image(source)
            lines = [] if place else place_lines(prediction.text, image.size)
            writer.add_page(_grey(image), lines, dpi=_dpi(source))
    writer.close()


def _grey(image: Image.Image) -> Image.Image:
    """A third of the bytes for pages without colour."""
    red, green, blue = image.split()
    has_colour = any(ImageChops.difference(red, other).getextrema() != (0, 0) for other in (green, blue))
    return image if has_colour else red


def _dpi(source: ImageSource) -> float:
    """Pixels an inch: as a PDF was rendered, as an image says, or the usual."""
    if isinstance(source, PdfPage):
        return source.dpi
    told = _told_dpi(source) if isinstance(source, Path) else USUAL_DPI
    return told if LOWEST_DPI <= told <= HIGHEST_DPI else USUAL_DPI


def _told_dpi(path: Path) -> float:
    with Image.open(path) as image:
        return float(image.info.get("dpi", (USUAL_DPI, USUAL_DPI))[0])


_WRITERS: Mapping[str, Callable[[Sequence[Predicted], Path], Written]] = MappingProxyType(
    {
        "txt": _joined(".txt", _as_text),
        "md": _joined(".md", _as_markdown),
        "json": _joined(".json", _as_json),
        "page": _transcribed("page"),
        "alto": _transcribed("alto"),
        "hocr": _transcribed("hocr"),
        "pdf": _write_pdfs,
    }
)
