"""A book as a PDF → lines to learn from, to choose by and to be tested on, drawn from different pages of its body."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ocrtune.data import gather_findings
from ocrtune.demo.pdf_lines import Skip, cut_line, part_lines, why_skipped
from ocrtune.errors import SourceError
from ocrtune.progress import track
from ocrtune.records import Finding
from ocrtune.sources import write_jsonl, write_text_atomically
from ocrtune.sources.pdf.document import PdfPages
from ocrtune.sources.pdf.lines import LEADERS, Line, count_turned, find_lines

DPI = 150
"""Pixels an inch of the lines' pictures."""

LONGEST_LINE = 66
"""Letters of the longest lines the small model knows; longer ones are parted between words."""

MOST_LINES_PER_PAGE = 30
"""Lines drawn from one page: several pages tell more of a book than all lines of one."""

FEWEST_LINES_PER_PAGE = 5
FEWEST_PAGES = 3
FEWEST_LEADERS = 3

MANIFEST = "manifest.jsonl"
FINDINGS = "findings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many lines a demo takes.

    Attributes:
        train: To learn from.
        validation: To choose a checkpoint by.
        test: To score.
    """

    train: int = 180
    validation: int = 40
    test: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLine:
    """One line of print.

    Attributes:
        page: The number of its page in the PDF, from 1.
        number: Its place on the page, from 1.
        text: What it says.
        image: Its picture, grey.
    """

    page: int
    number: int
    text: str
    image: Image.Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What was drawn from a PDF; no page is in two of the three parts.

    Attributes:
        name: The file's name.
        train: Lines to learn from.
        validation: Lines to choose a checkpoint by.
        test: Lines to score, of later pages than the others.
        findings: Pages and lines that were passed over, counted by reason.
    """

    name: str
    train: tuple[BookLine, ...]
    validation: tuple[BookLine, ...]
    test: tuple[BookLine, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A page's lines: all of them, and the numbers of those that may be drawn."""

    number: int
    lines: list[Line]
    usable: list[int]


def draw_book(
    pdf: Path,
    script: str,
    *,
    seed: int,
    pages: range | None = None,
    wanted: Wanted | None = None,
    longest: int | None = LONGEST_LINE,
) -> Book:
    """Cut lines from a book's body: title, contents, and what stands before them, are passed over.

    Test lines come from the last quarter of the body, the others from before it. The same seed draws the same lines.

    Args:
        pdf: A PDF with a text layer, or a `.pdf.gz`.
        script: Lines are drawn whose letters Unicode names so, mostly, such as `CYRILLIC`.
        seed: Draws pages and lines.
        pages: Numbers of the pages to draw from, from 1; all without it.
        wanted: How many lines; there may be fewer in a short book.
        longest: Lines of more letters are parted; None parts none.

    Raises:
        SourceError: The PDF cannot be read, has no text layer, no such pages, or too few with lines of the script.
    """
    wanted = wanted or Wanted()
    with PdfPages(pdf, dpi=DPI) as document:
        numbers = _numbers(document, pages, pdf)
        drawer = _Drawer(document, script, random.Random(seed), longest)  # noqa: S311  # repeatable, not secret
        body = drawer.find_body(numbers, pdf)
        first_tested = len(body) - max(1, len(body) // 4)
        earlier, later = drawer.shuffled(body[:first_tested]), drawer.shuffled(body[first_tested:])
        most_validated = max(1, len(earlier) // 5)
        test, _ = drawer.take(later, wanted.test)
        validation, unused = drawer.take(earlier[:most_validated], wanted.validation)
        train, _ = drawer.take([*unused, *earlier[most_validated:]], wanted.train)
    if not (train and validation and test):
        raise _too_few_pages(pdf, 0)
    return Book(
        name=pdf.name,
        train=train,
        validation=validation,
        test=test,
        findings=tuple(drawer.findings),
    )


def write_book(book: Book, folder: Path) -> Path:
    """Write the lines as PNG files with a manifest, a document for each page, and what was passed over.

    Returns:
        The manifest, which is written last.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for line in sorted(
        (*book.train, *book.validation, *book.test), key=lambda line: (line.page, line.number)
    ):
        name = f"images/p{line.page:03d}_{line.number:03d}.png"
        line.image.save(folder / name)
        rows.append({"image": name, "text": line.text, "document": document_name(line.page)})
    told = [finding.as_dict() for finding in book.findings]
    write_text_atomically(folder / FINDINGS, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    write_jsonl(folder / MANIFEST, rows)
    return folder / MANIFEST


def document_name(page: int) -> str:
    """What the manifest calls a page."""
    return f"page {page}"


def page_numbers(lines: Iterable[BookLine]) -> list[int]:
    """The pages of the lines, in order."""
    return sorted({line.page for line in lines})


class _Drawer:
    """Reads pages, draws lines, and keeps account of what it passes over."""

    def __init__(self, document: PdfPages, script: str, rng: random.Random, longest: int | None) -> None:
        self._document = document
        self._script = script
        self._rng = rng
        self._longest = longest
        self._texts: set[str] = set()
        self._passed: Counter[tuple[str, str, int]] = Counter()

    @property
    def findings(self) -> list[Finding]:
        """What was passed over so far, gathered by reason."""
        return gather_findings(
            Finding(code=code, severity="note", message=message, where=document_name(number), count=count)
            for (code, message, number), count in self._passed.items()
        )

    def find_body(self, numbers: range, pdf: Path) -> list[_Text]:
        """The pages that are neither title nor contents, and have lines to draw."""
        texts = [self._read(number) for number in track(numbers, "reading pages")]
        if not any(text.lines for text in texts):
            raise SourceError(
                f"{_count(len(texts), 'page')} of the PDF, none with a text layer",
                where=str(pdf),
                hint="name a PDF that was typeset, not scanned: one in which text can be searched",
            )
        middle = numbers[len(numbers) // 2]
        contents = {text.number for text in texts if _is_contents(text)}
        front = max((number for number in contents if number < middle), default=0)
        body = [text for text in texts if self._belongs_to_body(text, contents, front)]
        if len(body) < FEWEST_PAGES:
            raise _too_few_pages(pdf, len(body))
        return body

    def shuffled(self, texts: Sequence[_Text]) -> list[_Text]:
        """The pages in a drawn order."""
        return self._rng.sample(texts, len(texts))

    def take(self, texts: Sequence[_Text], wanted: int) -> tuple[tuple[BookLine, ...], list[_Text]]:
        """Lines of the first pages, until there are enough; and the pages that were not needed."""
        taken: list[BookLine] = []
        for index, text in enumerate(texts):
            if len(taken) >= wanted:
                return tuple(taken), list(texts[index:])
            taken += self._cut(text, min(MOST_LINES_PER_PAGE, wanted - len(taken)))
        return tuple(taken), []

    def _read(self, number: int) -> _Text:
        glyphs = self._document.glyphs(number)
        lines = part_lines(find_lines(glyphs), self._longest)
        self._pass_lines(number, Skip.TURNED, count_turned(glyphs))
        usable = []
        for index, line in enumerate(lines):
            skip = why_skipped(line, self._script)
            if skip is None:
                usable.append(index)
            else:
                self._pass_lines(number, skip)
        return _Text(number, lines, usable)

    def _cut(self, text: _Text, most: int) -> list[BookLine]:
        """Some lines of a page, none of them with the text of an earlier one, as running heads have."""
        new = [index for index in text.usable if text.lines[index].text not in self._texts]
        self._pass_lines(text.number, "the same text is taken from another page", len(text.usable) - len(new))
        page = self._document.render(text.number)
        cut = []
        for index in sorted(self._rng.sample(new, min(most, len(new)))):
            line = text.lines[index]
            image = cut_line(page, line, text.lines)
            if image is None:
                self._pass_lines(text.number, Skip.BLANK)
            else:
                cut.append(BookLine(page=text.number, number=index + 1, text=line.text, image=image))
        self._texts.update(line.text for line in cut)
        return cut

    def _belongs_to_body(self, text: _Text, contents: set[int], front: int) -> bool:
        if not text.lines:
            reason = "no text"
        elif text.number in contents:
            reason = "table of contents"
        elif text.number < front:
            reason = "before the end of the contents"
        elif len(text.usable) < FEWEST_LINES_PER_PAGE:
            reason = f"fewer than {FEWEST_LINES_PER_PAGE} lines to draw from"
        else:
            return True
        self._passed["page-left-out", f"pages left out: {reason}", text.number] += 1
        return False

    def _pass_lines(self, number: int, reason: str, count: int = 1) -> None:
        if count:
            self._passed["line-left-out", f"lines left out: {reason}", number] += count


def _numbers(document: PdfPages, pages: range | None, pdf: Path) -> range:
    every = range(1, len(document) + 1)
    if pages is None:
        return every
    if not pages or pages[0] not in every or pages[-1] not in every:
        raise SourceError(
            f"the PDF has {_count(len(document), 'page')}, not the pages {pages.start}-{pages.stop - 1}",
            where=str(pdf),
            hint=f"name a range within 1-{len(document)} by --pages",
        )
    return pages


def _is_contents(text: _Text) -> bool:
    return sum(LEADERS.search(line.text) is not None for line in text.lines) >= FEWEST_LEADERS


def _too_few_pages(pdf: Path, found: int) -> SourceError:
    return SourceError(
        f"{_count(found, 'page')} of the PDF with lines to learn from; a demo needs {FEWEST_PAGES}",
        where=str(pdf),
        hint="widen --pages, or name a longer book in the demo's language",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
