"""Pages of a source, with targets or predictions → a folder of PAGE XML, ALTO or hOCR."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np

from ocrtune.data import gather_findings
from ocrtune.errors import ExportError, OcrtuneError
from ocrtune.evaluation import read_predictions
from ocrtune.progress import track
from ocrtune.records import Cut, Finding, ImageSource, Page, Part, PdfPage, TiffPage
from ocrtune.sources import image_size, read_source, write_text_atomically
from ocrtune.sources.naming import FileNames
from ocrtune.sources.transcripts.fitting import fit_to_image, look_into
from ocrtune.sources.transcripts.layout import Format, Layout, Line, Region, one_line
from ocrtune.sources.transcripts.reading import READERS
from ocrtune.sources.transcripts.xml import Element, recognise
from ocrtune.transcription.alto import build_alto
from ocrtune.transcription.answers import place_table, read_answer, text_alone, without_heading_mark
from ocrtune.transcription.hocr import build_hocr
from ocrtune.transcription.matching import match_predictions
from ocrtune.transcription.page_xml import build_page_xml
from ocrtune.transcription.rewriting import Rewriter, serialize
from ocrtune.transcription.writing import Build, Sheet, Writer, around, unwritable, writable

BUILDERS: Mapping[Format, Build] = MappingProxyType(
    {"page": build_page_xml, "alto": build_alto, "hocr": build_hocr}
)
"""Format → what writes a sheet in it."""

SUFFIXES: Mapping[Format, str] = MappingProxyType({"page": ".xml", "alto": ".xml", "hocr": ".hocr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export_pages` left in a folder.

    Attributes:
        folder: Where the files are.
        files: One for each scan, or for each file of the source that was written again.
        num_pages: Pages of the source whose text is in them.
        findings: What could not be written as it is; an error is a page that is left out.
    """

    folder: Path
    files: tuple[Path, ...]
    num_pages: int
    findings: tuple[Finding, ...]


def export_pages(
    uri: str, folder: Path, *, to: Format, predictions: Path | None = None, overwrite: bool = False
) -> Exported:
    """Write the texts of pages with their places.

    Lines and regions of PAGE XML, ALTO or hOCR become whole scans again; if `to` is the format they were read from,
    their files are written again with nothing but the texts changed. An answer with boxes becomes regions; text without
    any place is one region of the whole page.

    Args:
        uri: Whatever `read_source` takes.
        folder: Made if it is missing.
        to: `page` for PAGE XML of 2019-07-15, `alto` for ALTO 4, `hocr` for hOCR 1.2.
        predictions: JSONL with `image` and `text`, matched by the pages' names; None writes the targets.
        overwrite: Write into a folder that holds files already.

    Raises:
        ExportError: The folder is a file or holds files, or no page is left to write, or no prediction belongs to any page.
        EvaluationError: The predictions cannot be read.
        SourceError: The source cannot be read.
    """
    if any(path.exists() and not path.is_dir() for path in (folder, *folder.parents)):
        raise ExportError("it is a file, and a folder is needed", where=str(folder), hint="take another name")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise ExportError(
            "the folder holds files already", where=str(folder), hint="take another one, or --overwrite"
        )
    source = read_source(uri)
    findings = list(source.findings)
    pages = list(source.pages)
    answered: frozenset[str] = frozenset()
    if predictions is not None:
        read = read_predictions(predictions)
        pages, unmatched = match_predictions(pages, read)
        findings += unmatched
        answered = frozenset(answer.image for answer in read)
    exported = write_transcriptions(pages, folder, to=to, findings=findings, answered=answered)
    if not exported.files:
        told = "\n".join(f"  - {finding.message}" for finding in exported.findings[:5])
        raise ExportError(f"no page is left to write\n{told}", where=uri)
    return exported


def write_transcriptions(
    pages: Sequence[Page],
    folder: Path,
    *,
    to: Format,
    findings: Sequence[Finding] = (),
    answered: frozenset[str] = frozenset(),
) -> Exported:
    """Write the texts of pages as `export_pages` does, whatever lies in the folder.

    Args:
        pages: With the texts that are to be written.
        folder: Made if it is missing.
        to: The format.
        findings: Those there are already; what could not be written comes behind them.
        answered: Names of the pages whose text is a prediction.
    """
    exporter = _Exporter(folder, to)
    exporter.findings += findings
    exporter.answered = answered
    exporter.sources = frozenset(page.part.file.resolve() for page in pages if page.part is not None)
    for group in track(_group(pages, to), "writing files"):
        exporter.write(group)
    return Exported(
        folder=folder,
        files=tuple(exporter.files),
        num_pages=exporter.num_pages,
        findings=tuple(gather_findings(exporter.findings)),
    )


def _group(pages: Sequence[Page], to: Format) -> list[list[Page]]:
    """Pages that become one file, in the order of their first ones."""
    groups: dict[object, list[Page]] = {}
    formats: dict[Path, Format | None] = {}
    for place, page in enumerate(pages):
        groups.setdefault(_key(page, place, to, formats), []).append(page)
    return list(groups.values())


def _key(page: Page, place: int, to: Format, formats: dict[Path, Format | None]) -> object:
    if page.part is not None:
        if page.part.file not in formats:
            formats[page.part.file] = recognise(page.part.file)
        # Written again as one file, however many pages it has.
        return page.part.file if formats[page.part.file] == to else (page.part.file, page.part.page)
    image = page.images[0] if len(page.images) == 1 else None
    return image.path if isinstance(image, Cut) else place


class _Exporter:
    """Files and findings so far."""

    def __init__(self, folder: Path, to: Format) -> None:
        self.files: list[Path] = []
        self.findings: list[Finding] = []
        self.num_pages = 0
        self.answered: frozenset[str] = frozenset()
        self.sources: frozenset[Path] = frozenset()
        self._folder = folder
        self._to = to
        self._names = FileNames()

    def write(self, pages: Sequence[Page]) -> None:
        """Write one file; what keeps it from being written is a finding."""
        try:
            self._write([self._writable(page) for page in pages])
        except OcrtuneError as error:
            found = Finding.of_error(error, where=pages[0].name)
            self.findings.append(replace(found, count=len(pages)))

    def _writable(self, page: Page) -> Page:
        """A page without signs that XML cannot hold: before anything takes some of them for spaces."""
        text, count = writable(page.text or "")
        if not count:
            return page
        self.findings.append(unwritable(count, page.name))
        return replace(page, text=text)

    def _write(self, pages: Sequence[Page]) -> None:
        part = pages[0].part
        if part is not None:
            self._write_parts(pages, part)
            return
        sheet = self._sheet(pages)
        if sheet is not None:
            self._save(sheet.name, self._build(sheet), pages)

    def _write_parts(self, pages: Sequence[Page], part: Part) -> None:
        """Write the file that the pages were read from again, or its pages in another format."""
        found = recognise(part.file)
        assert found is not None  # pages were read from it
        layouts = READERS[found](part.file)
        if found == self._to and self._rewrite(layouts, pages, part):
            return
        for place in dict.fromkeys(page.part.page for page in pages if page.part is not None):
            own = [page for page in pages if page.part is not None and page.part.page == place]
            sheet = self._sheet_of_layout(layouts[place], own)
            name = part.name if len(layouts) == 1 else f"{part.name}#{layouts[place].id}"
            self._save(name, self._build(replace(sheet, name=name)), own)

    def _rewrite(self, layouts: Sequence[Layout], pages: Sequence[Page], part: Part) -> bool:
        rewriter = Rewriter(self._to, str(part.file))
        num_findings = len(self.findings)
        changed = [(layout, self._with_texts(layout, pages, place)) for place, layout in enumerate(layouts)]
        for old, new in changed:
            if not rewriter.put(old, new):
                del self.findings[num_findings:]  # written anew, it finds them once more
                self.findings.append(
                    Finding(
                        code="file-rebuilt",
                        severity="warning",
                        message="answers have other lines than their regions, so the file is not written again but anew",
                        where=str(part.file),
                        hint="predict line by line: level=line",
                    )
                )
                return False
        self.findings += rewriter.findings
        self._save(part.name, serialize(_root(layouts)), pages)
        return True

    def _sheet_of_layout(self, layout: Layout, pages: Sequence[Page]) -> Sheet:
        (image,) = pages[0].images
        assert isinstance(image, Cut)
        assert not isinstance(image.path, PdfPage)
        part = pages[0].part
        assert part is not None
        facts = look_into(image.path)
        fitted, findings = fit_to_image(layout, facts, str(part.file))
        if fitted is None:
            raise ExportError(findings[0].message, where=findings[0].where, hint=findings[0].hint)
        new = self._with_texts(fitted, pages, part.page)
        return Sheet(
            name=part.name, image=facts.path.name, size=facts.size, regions=new.regions, frame=facts.frame
        )

    def _with_texts(self, layout: Layout, pages: Sequence[Page], place: int) -> Layout:
        """A layout with the answers about its parts; a page's own text stands there already, better than in the page."""
        regions = list(layout.regions)
        for page in pages:
            part = page.part
            if part is None or part.page != place or page.name not in self.answered:
                continue
            region = regions[part.region]
            if part.line is None:
                regions[part.region] = self._with_text_of_region(region, page)
            else:
                line = region.lines[part.line]
                lines = list(region.lines)
                lines[part.line] = replace(line, text=self._text_of_line(region, page))
                regions[part.region] = replace(region, lines=tuple(lines))
        return replace(layout, regions=tuple(regions))

    def _text_of_line(self, region: Region, page: Page) -> str:
        text = text_alone(page.text or "")
        if region.kind == "heading":
            text = without_heading_mark(text)
        joined = one_line(text) or ""
        if len(text.strip().splitlines()) > 1:
            message = "the text of one line has several; they are joined by spaces"
            self.findings.append(
                Finding(code="line-of-several", severity="note", message=message, where=page.name)
            )
        return joined

    def _with_text_of_region(self, region: Region, page: Page) -> Region:
        """A region with the lines of an answer, if there are as many, else with its text alone."""
        answered = read_answer(page.text or "", (1, 1)).regions if region.kind == "table" else ()
        table = next((each for each in answered if each.cells), None)
        if table is not None and region.cells:
            text = "\n".join(line.text or "" for each in answered for line in each.lines)
        else:
            text = text_alone(page.text or "")
        if region.kind == "heading":
            text = without_heading_mark(text)
        texts = [part for line in text.splitlines() if (part := line.strip())]
        written = [place for place, line in enumerate(region.lines) if line.text]
        if len(texts) != len(written):
            written = list(range(len(region.lines)))  # an answer has the lines too that nobody transcribed
        if len(texts) == len(written):
            lines = list(region.lines)
            for place, part in zip(written, texts, strict=True):
                lines[place] = replace(lines[place], text=part)
            return replace(region, lines=tuple(lines), text=None)
        if region.lines or region.cells:
            self.findings.append(
                Finding(
                    code="lines-differ",
                    severity="warning",
                    message="the text has another number of lines than its region, whose lines stay without text",
                    where=page.name,
                )
            )
        return _with_other_lines(region, texts, table)

    def _sheet(self, pages: Sequence[Page]) -> Sheet | None:
        """The sheet of one whole page, or of the parts of one image that no transcription is behind."""
        page = pages[0]
        if len(page.images) != 1:
            count = len(page.images)
            raise ExportError(f"the page has {count} images; a file is about one", where=page.name)
        (image,) = page.images
        if isinstance(image, Cut):
            return self._sheet_of_cuts(image, pages)
        if page.text is None:
            message = "the page has no text and is left out"
            self.findings.append(
                Finding(code="text-missing", severity="warning", message=message, where=page.name)
            )
            return None
        size = image_size(image)
        return Sheet(
            name=page.name,
            image=self._image_name(image, page),
            size=size,
            regions=self._regions_of_answer(page, size),
            frame=image.number if isinstance(image, TiffPage) else None,
        )

    def _regions_of_answer(self, page: Page, size: tuple[int, int]) -> tuple[Region, ...]:
        answer = read_answer(page.text or "", size)
        if answer.num_unplaced:
            self.findings.append(
                Finding(
                    code="box-broken",
                    severity="warning",
                    message="pieces of the text have no box, or a broken one; they are regions of the whole page",
                    where=page.name,
                    count=answer.num_unplaced,
                )
            )
        return answer.regions

    def _sheet_of_cuts(self, image: Cut, pages: Sequence[Page]) -> Sheet:
        lines = []
        for place, page in enumerate(pages, start=1):
            (cut,) = page.images
            assert isinstance(cut, Cut)
            baseline = None if cut.baseline is None else np.asarray(cut.baseline, dtype=np.float64)
            text = None if page.text is None else self._text_of_line(_LOOSE, page)
            polygon = np.asarray(cut.polygon, dtype=np.float64)
            lines.append(Line(id=f"r1l{place}", text=text, polygon=polygon, baseline=baseline))
        bounds = around([line.polygon for line in lines])
        file = pages[0].name.partition("#")[0]
        return Sheet(
            name=file if isinstance(image.path, Path) else f"{file}#{image.path.number}",
            image=self._image_name(image.path, pages[0]),
            size=image_size(image.path),
            regions=(Region(id="r1", kind="paragraph", polygon=bounds, lines=tuple(lines)),),
        )

    def _image_name(self, image: ImageSource, page: Page) -> str:
        if isinstance(image, Path):
            return image.name
        if isinstance(image, TiffPage):
            return image.path.name
        if isinstance(image, PdfPage):
            message = "the image is a page of a PDF: it is named by the PDF and its number"
            self.findings.append(
                Finding(code="image-of-pdf", severity="note", message=message, where=page.name)
            )
            return f"{image.path.name}#{image.number}"
        return PurePosixPath(page.name).name

    def _build(self, sheet: Sheet) -> str:
        writer = Writer(sheet=sheet)
        text = BUILDERS[self._to](writer)
        self.findings += writer.findings
        return text

    def _free(self, name: str, part: Part | None) -> Path:
        """A path that nothing was written to yet, and no other file of the source, which is still to be read."""
        others = self.sources - {part.file.resolve()} if part is not None else self.sources
        while (path := self._folder / self._names.take(name, SUFFIXES[self._to])).resolve() in others:
            pass
        return path

    def _save(self, name: str, text: str, pages: Sequence[Page]) -> None:
        path = self._free(name, pages[0].part)
        write_text_atomically(path, text)
        self.files.append(path)
        self.num_pages += sum(page.text is not None for page in pages)


def _with_other_lines(region: Region, texts: Sequence[str], table: Region | None) -> Region:
    """A region with a text of its own, or with the cells of a table that was answered; its lines stay without text."""
    if table is not None and len(region.polygon):
        placed = place_table(list(table.cells), region.polygon, region.id)
        return replace(region, lines=placed.lines, cells=placed.cells, text=None)
    if not texts and region.lines:
        return replace(region, lines=tuple(replace(line, text="") for line in region.lines), text=None)
    bare = tuple(replace(line, text=None) for line in region.lines)
    return replace(region, lines=bare, cells=(), text="\n".join(texts))


_LOOSE = Region(id="", kind="", polygon=np.empty((0, 2)))


def _root(layouts: Iterable[Layout]) -> Element:
    element = next(region.element for layout in layouts for region in layout.regions)
    return element.getroottree().getroot()
