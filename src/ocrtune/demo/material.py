"""What a demo learns from and is tested on, and how its report tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ocrtune.config import Config
from ocrtune.demo.pdf_book import DPI, Book, document_name, page_numbers, write_book
from ocrtune.records import Finding

SCRIPT = "CYRILLIC"
"""The script, as Unicode names it, of the lines that are learned from a PDF."""

SAMPLE_TITLE = "A small DeepSeek-OCR, fine-tuned on lines of a book of 1885"
SAMPLE_SUMMARY = (
    "Scanned lines of “The Siege of Vicksburg”: learned from the {train} lines of pages 1–4, the best checkpoint "
    "chosen on page 5, scored on the {test} lines of page 6, from which nothing was learned. Before, the model had seen rendered lines alone."
)
BOOK_TITLE = "A small DeepSeek-OCR, fine-tuned on typeset Russian lines of {name}"
BOOK_SUMMARY = (
    "Lines of a PDF, rendered at {dpi} dpi, with the texts of its text layer: learned from {{train}} lines of "
    "{train_pages}, the best checkpoint chosen on {validation_pages}, scored on {{test}} lines of {test_pages}, from "
    "which nothing was learned. Before, the model had not seen this book."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Lines of print, and words about them.

    Attributes:
        config: The recipe, with the lines and their split named.
        title: Of the report.
        summary: Under it, with `{train}` and `{test}` for the numbers of lines.
        findings: What was passed over when the lines were made.
    """

    config: Config
    title: str
    summary: str
    findings: tuple[Finding, ...] = ()


def sample_material(config: Config) -> Material:
    """The scanned lines that come with the package, as the recipe names them."""
    return Material(config=config, title=SAMPLE_TITLE, summary=SAMPLE_SUMMARY)


def book_material(config: Config, book: Book, folder: Path) -> Material:
    """The lines of a PDF, written to `folder`."""
    manifest = write_book(book, folder)
    validation, test = page_numbers(book.validation), page_numbers(book.test)
    data = config.data.model_copy(
        update={
            "uri": str(manifest),
            "validation_documents": tuple(map(document_name, validation)),
            "test_documents": tuple(map(document_name, test)),
        }
    )
    return Material(
        config=config.model_copy(update={"data": data}),
        title=BOOK_TITLE.format(name=book.name),
        summary=BOOK_SUMMARY.format(
            dpi=DPI,
            train_pages=_name_pages(page_numbers(book.train)),
            validation_pages=_name_pages(validation),
            test_pages=_name_pages(test),
        ),
        findings=book.findings,
    )


def _name_pages(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"page {numbers[0]}"
    return f"pages {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
