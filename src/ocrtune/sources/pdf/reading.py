"""PDFs → pages and findings; a broken file, or page, does not keep the others from being read."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ocrtune.errors import ImageError, OcrtuneError, PdfError
from ocrtune.progress import track
from ocrtune.records import Corners, Cut, Finding, Page, PdfPage, Severity
from ocrtune.sources.folder import walk_folder
from ocrtune.sources.pdf.columns import find_columns, join_initials
from ocrtune.sources.pdf.document import Glyph, PdfPages
from ocrtune.sources.pdf.lines import Line, count_turned, find_rows, is_turned, part_at_gaps
from ocrtune.sources.pdf.options import Options, PdfRequest
from ocrtune.sources.pdf.pictures import page_size
from ocrtune.sources.pdf.targets import Box, Row, as_row, find_usual, write_markdown, write_plain

PDF_SUFFIXES = (".pdf", ".pdf.gz")

LAYOUT_DPI = 150
"""What is measured in: texts must not depend on how large pages are rendered."""

MOST_PAGES = 20_000
"""Pages that are read of one PDF."""

LEAST_WRITTEN = 0.5
FEWEST_SIGNS = 5
"""Of so many signs and more, at least that share are letters and digits, unless a font tells wrong ones."""

MOST_UNKNOWN = 0.01
"""Share of a page's signs of which the PDF may not tell the letter."""

MOST_TURNED = 0.5
MOST_INVISIBLE = 0.5
MOST_COVERED = 0.35
"""Lines set close share a little of their boxes; parts of a formula share much."""

_INK_MARGIN = 1.0


def read_pdfs(request: PdfRequest) -> tuple[list[Page], list[Finding]]:
    """The pages of a PDF, or of all PDFs below a folder in natural order, and everything that was odd.

    A page is named by its file below the folder and its number, such as `vol1/book.pdf#12`, a line also by its place,
    such as `vol1/book.pdf#12-3`. A PDF is a document, or so many pages of it as the options say, such as
    `vol1/book.pdf#1-20`. What cannot be read becomes findings.
    """
    is_folder = request.path.is_dir()
    root = request.path if is_folder else request.path.parent
    paths = [request.path]
    pages: list[Page] = []
    findings: list[Finding] = []
    if is_folder:
        found = walk_folder(root)
        findings = found.findings
        paths = [path for path in found.files if is_pdf(path)]
    if not paths:
        message = "the folder holds no PDFs"
        findings.append(Finding(code=PdfError.code, severity="error", message=message, where=str(root)))
    for path in track(paths, "reading PDFs") if is_folder else paths:
        # One bar at a time: over the files, or over the pages of the only one.
        reader = _Reader(path, path.relative_to(root).as_posix(), request.options, tells=not is_folder)
        pages += reader.read()
        findings += reader.findings
    return pages, findings


def is_pdf(path: Path) -> bool:
    """Whether a file is a PDF by its suffix."""
    return path.name.lower().endswith(PDF_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """What stands on a page, columns in reading order, in pixels of `LAYOUT_DPI`."""

    number: int
    size: tuple[int, int]
    columns: list[list[Row]]


class _Reader:
    """Pages and findings of one PDF."""

    def __init__(self, path: Path, name: str, options: Options, *, tells: bool) -> None:
        self.findings: list[Finding] = []
        self._path = path
        self._name = name
        self._options = options
        self._tells = tells

    def read(self) -> list[Page]:
        """The pages; whatever is wrong with the PDF or a page of it becomes a finding."""
        try:
            with PdfPages(self._path, dpi=LAYOUT_DPI) as document:
                # One sheet after the other: the rows of all of them take hundreds of megabytes.
                return list(self._pages(self._sheets(document)))
        except (PdfError, OSError) as error:
            self._note_error(error, str(self._path))
            return []

    def _pages(self, sheets: Iterator[_Sheet]) -> Iterator[Page]:
        if self._options.level == "line":
            for sheet in sheets:
                yield from self._lines(sheet)
        elif self._options.target == "markdown":
            every = list(sheets)
            usual = find_usual(row for sheet in every for column in sheet.columns for row in column)
            for sheet in every:
                yield from self._whole(sheet, write_markdown(sheet.columns, usual))
        else:
            for sheet in sheets:
                yield from self._whole(sheet, write_plain(sheet.columns))

    def _sheets(self, document: PdfPages) -> Iterator[_Sheet]:
        numbers = self._numbers(len(document))
        for number in track(numbers, f"reading {self._path.name}") if self._tells else numbers:
            try:
                sheet = self._sheet(document, number)
                if sheet is not None:
                    # A page that cannot be rendered as large as wanted is told now, not when it is asked for.
                    page_size(self._picture(number))
                    yield sheet
            except (PdfError, ImageError) as error:
                self._note_error(error, f"{self._path}#{number}")

    def _numbers(self, num_pages: int) -> range:
        wanted = self._options.pages
        if num_pages == 0:
            self._note("pdf-pages", "error", "the PDF has no pages", hint="export it once more")
            return range(0)
        numbers = wanted.of(num_pages)
        if numbers is None:
            message = f"the PDF has {_count(num_pages, 'page')}, not the pages {wanted}"
            self._note("pdf-pages", "error", message, hint=f"name a range within 1-{num_pages}")
            return range(0)
        if len(numbers) > MOST_PAGES:
            message = f"the PDF has {len(numbers)} pages to read, more than {MOST_PAGES}"
            hint = f"name a part of them, such as pages={numbers[0]}-{numbers[MOST_PAGES - 1]}"
            self._note("pdf-pages", "error", message, hint=hint)
            return range(0)
        return numbers

    def _sheet(self, document: PdfPages, number: int) -> _Sheet | None:
        size = document.size(number)
        glyphs = self._usable(document.glyphs(number), size, number)
        if glyphs is None:
            return None
        if not glyphs:
            self._note_nothing_readable(number)
            return None
        rows = find_rows(glyphs)
        if self._options.level == "line":
            parts = [list(self._known(column, number)) for column in find_columns(rows)]
        else:
            parts = find_columns(join_initials(rows))
        return _Sheet(number=number, size=size, columns=[[as_row(line) for line in part] for part in parts])

    def _usable(self, glyphs: Sequence[Glyph], size: tuple[int, int], number: int) -> list[Glyph] | None:
        """The signs to read; None where the page is left out, which is told."""
        letters = [glyph for glyph in glyphs if glyph.text != " "]
        if not letters:
            self._note(
                "pdf-page-without-text", "note", "the page has no text layer and is left out", number,
                hint="a scan: render it as an image to predict it, or transcribe it",
            )  # fmt: skip
            return None
        problem = self._why_left_out(letters)
        if problem is not None:
            code, message, hint = problem
            self._note(code, "error", f"{message}, so the page is left out", number, hint=hint)
            return None
        return self._readable(glyphs, size, number)

    def _why_left_out(self, letters: Sequence[Glyph]) -> tuple[str, str, str] | None:
        """Code, message and hint of what keeps a page from being read."""
        if _share(is_turned(glyph) for glyph in letters) > MOST_TURNED:
            return "pdf-page-turned", "most text is turned", "turn the page upright in the PDF"
        if any(_is_leftwards(glyph.text or "") for glyph in letters):
            return "pdf-text-leftwards", "text runs from right to left, which is not read yet", ""
        unknown = _share(glyph.text is None for glyph in letters)
        if unknown > MOST_UNKNOWN and self._options.level == "page":
            message = f"the PDF does not tell the letters of {unknown:.0%} of the signs"
            return "pdf-glyphs-unknown", message, "export the PDF with Unicode mappings of its fonts"
        return None

    def _readable(self, glyphs: Sequence[Glyph], size: tuple[int, int], number: int) -> list[Glyph]:
        """The signs that can be seen and read; a finding for each kind that is left out."""
        on_page = [glyph for glyph in glyphs if _is_on_page(glyph, size)]
        self._note_signs("pdf-text-outside", "note", "outside the page", len(glyphs) - len(on_page), number)
        seen = [glyph for glyph in on_page if glyph.is_seen]
        self._note_signs("pdf-text-invisible", "warning", "white on white", len(on_page) - len(seen), number)
        if _share(not glyph.is_drawn for glyph in seen) > MOST_INVISIBLE:
            self._note(
                "pdf-text-invisible", "warning", "the text layer is invisible: a program may have read it off a scan",
                number, hint="look whether its texts are right before a model learns them",
            )  # fmt: skip
            drawn = seen
        else:
            drawn = [glyph for glyph in seen if glyph.is_drawn]
            self._note_signs("pdf-text-invisible", "warning", "invisible", len(seen) - len(drawn), number)
        if _is_unlikely(drawn):
            self._note(
                "pdf-text-unlikely", "warning", "most signs of the text are no letters: a font may tell wrong ones",
                number, hint="look whether the text is what the page shows",
            )  # fmt: skip
        turned = count_turned(drawn)
        if turned:
            self._note("pdf-text-turned", "warning", "a turned line is left out", number, count=turned)
        if self._options.level == "line":
            return drawn
        known = [glyph for glyph in drawn if glyph.text is not None]
        self._note_signs(
            "pdf-glyphs-unknown", "warning", "of unknown meaning", len(drawn) - len(known), number
        )
        return known

    def _known(self, column: Sequence[Line], number: int) -> Iterator[Line]:
        """The column's lines, parts that stand apart by themselves, of which the PDF tells all letters."""
        unknown = 0
        for line in (part for row in column for part in part_at_gaps(row)):
            if any(glyph.text is None for glyph in line.glyphs):
                unknown += 1
            elif line.text:
                yield line
        if unknown:
            message = "the PDF does not tell all letters of a line, so it is left out"
            self._note("pdf-glyphs-unknown", "warning", message, number, count=unknown)

    def _whole(self, sheet: _Sheet, text: str) -> Iterator[Page]:
        if text:
            yield self._page(sheet.number, "", self._picture(sheet.number), text)
        else:
            self._note_nothing_readable(sheet.number)

    def _lines(self, sheet: _Sheet) -> Iterator[Page]:
        picture = self._picture(sheet.number)
        size = page_size(picture)
        scale = (size[0] / sheet.size[0], size[1] / sheet.size[1])
        rows = [row for column in sheet.columns for row in column]
        apart = _find_apart([row.box for row in rows])
        if len(apart) < len(rows):
            message = "a line lies over another, as in a formula, and is left out"
            self._note("pdf-lines-overlap", "warning", message, sheet.number, count=len(rows) - len(apart))
        for index in apart:
            cut = Cut(path=picture, polygon=_corners(rows[index].box, scale), margin_px=self._options.margin)
            yield self._page(sheet.number, f"-{index + 1}", cut, rows[index].text)

    def _page(self, number: int, place: str, image: PdfPage | Cut, text: str) -> Page:
        return Page(
            name=f"{self._name}#{number}{place}",
            images=(image,),
            text=text,
            document=self._document(number),
            where=f"{self._path}#{number}{place}",
        )

    def _document(self, number: int) -> str:
        length = self._options.document_pages
        if length is None:
            return self._name
        first = (number - 1) // length * length + 1
        return f"{self._name}#{first}-{first + length - 1}"

    def _picture(self, number: int) -> PdfPage:
        return PdfPage(path=self._path, number=number, dpi=self._options.dpi)

    def _note_nothing_readable(self, number: int) -> None:
        message = "nothing of the text can be read, so the page is left out"
        self._note("pdf-page-without-text", "warning", message, number)

    def _note_signs(self, code: str, severity: Severity, kind: str, count: int, number: int) -> None:
        if count:
            self._note(code, severity, f"signs {kind} are left out", number, count=count)

    def _note_error(self, error: OcrtuneError | OSError, where: str) -> None:
        if isinstance(error, OcrtuneError):
            code = error.code if isinstance(error, PdfError) else PdfError.code
            told = Finding(code=code, severity="error", message=error.message, where=where, hint=error.hint)
        else:
            message = f"the file cannot be read: {(error.strerror or 'unknown').lower()}"
            told = Finding(code=PdfError.code, severity="error", message=message, where=where)
        self.findings.append(told)

    def _note(
        self, code: str, severity: Severity, message: str, number: int = 0, *, hint: str = "", count: int = 1
    ) -> None:
        where = f"{self._path}#{number}" if number else str(self._path)
        self.findings.append(
            Finding(code=code, severity=severity, message=message, where=where, hint=hint, count=count)
        )


def _find_apart(boxes: Sequence[Box]) -> list[int]:
    """Indices of the boxes of which no other one covers, or is covered by, much."""
    found = []
    edges = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    areas = np.prod(edges[:, 2:] - edges[:, :2], axis=1)
    for index, box in enumerate(edges):
        sides = np.minimum(edges[:, 2:], box[2:]) - np.maximum(edges[:, :2], box[:2])
        shared = np.prod(sides.clip(min=0), axis=1) > MOST_COVERED * np.minimum(areas, areas[index])
        shared[index] = False
        if not shared.any():
            found.append(index)
    return found


def _is_on_page(glyph: Glyph, size: tuple[int, int]) -> bool:
    x, y = (glyph.left + glyph.right) / 2, (glyph.top + glyph.bottom) / 2
    is_measured = math.isfinite(glyph.baseline) and math.isfinite(glyph.size)
    return is_measured and 0 <= x <= size[0] and 0 <= y <= size[1]


def _is_unlikely(glyphs: Iterable[Glyph]) -> bool:
    """Whether hardly anything is a letter or digit; a subset of a font without names counts its glyphs from `!`."""
    # Tables of contents have rows of dots.
    signs = [glyph.text for glyph in glyphs if glyph.text and glyph.text not in {" ", "."}]
    return (
        len(signs) >= FEWEST_SIGNS
        and _share(unicodedata.category(sign[0])[0] in "LMN" for sign in signs) < LEAST_WRITTEN
    )


def _is_leftwards(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text)


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def _corners(box: Box, scale: tuple[float, float]) -> Corners:
    """The box in pixels of the rendered page, with the grey that letters have around them."""
    left, top, right, bottom = box
    xs = left * scale[0] - _INK_MARGIN, right * scale[0] + _INK_MARGIN
    ys = top * scale[1] - _INK_MARGIN, bottom * scale[1] + _INK_MARGIN
    return (xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
