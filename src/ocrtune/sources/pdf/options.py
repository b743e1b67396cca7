"""`pdf:books?level=line&dpi=300` → what is to be read, and how."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ocrtune.sources.uris import OptionParsers, one_of, read_options, split_uri, whole_number

Level = Literal["page", "line"]
Target = Literal["plain", "markdown"]

SCHEME = "pdf"
LOWEST_DPI = 50
HIGHEST_DPI = 600
MOST_MARGIN_PX = 200
MOST_DOCUMENT_PAGES = 10_000

_RANGE = re.compile(r"(\d{1,6})?(-)?(\d{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRange:
    """Which pages of a PDF are read.

    Attributes:
        first: From 1.
        last: The last one, or None for the PDF's own last.
    """

    first: int = 1
    last: int | None = None

    def of(self, num_pages: int) -> range | None:
        """The numbers in a PDF of so many pages; None where it does not have them all."""
        last = num_pages if self.last is None else self.last
        return range(self.first, last + 1) if self.first <= last <= num_pages else None

    def __str__(self) -> str:
        return f"{self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a PDF becomes pages.

    Attributes:
        level: What is one page for the model: a whole page or a line.
        dpi: Pixels an inch.
        pages: Which pages are read.
        target: `plain` for lines as printed, `markdown` for headings and whole paragraphs.
        margin: Pixels of paper left around a line.
        document_pages: So many pages of a PDF are a document; None for all of them.
    """

    level: Level = "page"
    dpi: int = 200
    pages: PageRange = PageRange()
    target: Target = "plain"
    margin: int = 4
    document_pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfRequest:
    """What a uri asks for.

    Attributes:
        path: A file or folder.
        options: How it becomes pages.
    """

    path: Path
    options: Options = Options()


def parse_pdf_request(uri: str) -> PdfRequest | None:
    """The request of a uri that begins with `pdf:`; None for any other.

    Raises:
        SourceError: An option is unknown or has a value it cannot have; all mistakes are told.
    """
    split = split_uri(uri, (SCHEME,))
    if split is None:
        return None
    _, path, values = split
    example = "pdf:books?level=page&dpi=200&pages=9-60"
    return PdfRequest(path=path, options=Options(**read_options(uri, values, _PARSERS, example=example)))


def _range(value: str) -> PageRange:
    found = _RANGE.fullmatch(value)
    first, dash, last = found.groups() if found else (None, None, None)
    if first is None and last is None:
        raise ValueError(f"must be a number or a range such as 9-60, 9- or -60, found {value!r}")
    begin = int(first or 1)
    end = int(last) if last else None if dash else begin
    if begin < 1 or (end is not None and end < begin):
        raise ValueError(f"must go upwards from 1, found {value!r}")
    return PageRange(first=begin, last=end)


_PARSERS: OptionParsers = {
    "level": one_of(get_args(Level)),
    "dpi": whole_number(LOWEST_DPI, HIGHEST_DPI),
    "pages": _range,
    "target": one_of(get_args(Target)),
    "margin": whole_number(0, MOST_MARGIN_PX),
    "document_pages": whole_number(1, MOST_DOCUMENT_PAGES),
}
