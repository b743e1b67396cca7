"""Files of transcriptions → pages and findings; one broken file does not keep the others from being read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ocrtune.errors import OcrtuneError
from ocrtune.records import Finding, Page, TiffPage
from ocrtune.sources.folder import walk_folder
from ocrtune.sources.transcripts.alto import read_alto
from ocrtune.sources.transcripts.fitting import ImageFacts, fit_to_image, look_into
from ocrtune.sources.transcripts.frames import choose_frames
from ocrtune.sources.transcripts.hocr import read_hocr
from ocrtune.sources.transcripts.image_files import ImageFiles
from ocrtune.sources.transcripts.layout import Format, Layout
from ocrtune.sources.transcripts.names import UniqueNames
from ocrtune.sources.transcripts.options import Options, Request
from ocrtune.sources.transcripts.page_xml import read_page_xml
from ocrtune.sources.transcripts.pages import Origin, has_text, make_pages, needs_coordinates
from ocrtune.sources.transcripts.xml import recognise

TRANSCRIPT_SUFFIXES = frozenset({".xml", ".hocr", ".html", ".htm", ".xhtml"})
"""Suffixes of files that a folder is searched for, in lower case."""

READERS: Mapping[Format, Callable[[Path], list[Layout]]] = MappingProxyType(
    {"page": read_page_xml, "alto": read_alto, "hocr": read_hocr}
)
"""Format → what reads a file of it."""


def read_transcripts(request: Request) -> tuple[list[Page], list[Finding]]:
    """The pages of a file, or of all files below a folder in natural order, and everything that was odd.

    A page is named by its file below the folder, such as `vol1/0007.xml`, with `#` and the id of its region or line.
    Files of a folder in the folder are one document; a file right in the folder is one by itself, named by its
    image. Files that cannot be read become findings, and so do pages without their image.
    """
    is_folder = request.path.is_dir()
    root = request.path if is_folder else request.path.parent
    reader = _Reader(root, request.format, request.options)
    paths = [request.path]
    if is_folder:
        found = walk_folder(root)
        reader.findings = found.findings
        paths = [path for path in found.files if path.suffix.lower() in TRANSCRIPT_SUFFIXES]
    for path in paths:
        reader.read(path)
    return reader.pages, _turned_at_once(reader.findings)


def is_transcript(path: Path) -> bool:
    """Whether a file is PAGE XML, ALTO or hOCR by its suffix and its begin; one that cannot be read may be."""
    if path.suffix.lower() not in TRANSCRIPT_SUFFIXES:
        return False
    try:
        return recognise(path) is not None
    except OSError:  # told when it is read
        return True


class _Reader:
    """Pages and findings of the files read so far."""

    def __init__(self, root: Path, wanted: Format | None, options: Options) -> None:
        self.pages: list[Page] = []
        self.findings: list[Finding] = []
        self._root = root
        self._wanted = wanted
        self._options = options
        self._images = ImageFiles(root)

    def read(self, path: Path) -> None:
        """Read one file; whatever is wrong with it becomes a finding."""
        try:
            found = recognise(path)
            if found is None or self._wanted not in {None, found}:
                self.findings.append(self._left_out(path, found))
                return
            layouts = READERS[found](path)
        except OcrtuneError as error:
            self.findings.append(_of_file(error, str(path)))
            return
        except OSError as error:
            self.findings.append(
                Finding(
                    code="transcript",
                    severity="error",
                    message=f"the file cannot be read: {error}",
                    where=str(path),
                )
            )
            return
        self._read_layouts(layouts, path)

    def _read_layouts(self, layouts: list[Layout], path: Path) -> None:
        found: list[_Found] = []
        for place, layout in enumerate(_identified(layouts)):
            self.findings += _still_true(layout, path, self._options)
            image = self._image(layout, path)
            if image is not None:
                found.append(_Found(place=place, layout=layout, image=image))
        frames = _frames_of(found)
        taken: set[tuple[Path, int | None]] = set()
        for each in found:
            layout = each.layout
            where = f"{path}#{layout.id}" if len(layouts) > 1 else str(path)
            key = each.image.path, frames[each.place] or each.image.frames[0]
            if key in taken:
                self.findings.append(_same_image(each.image.path, where))
                continue
            taken.add(key)
            image = self._of_frame(each, frames[each.place], where)
            if image is None:
                continue
            origin = self._origin(layout, path, image, is_one_of_several=len(layouts) > 1)
            self._add(layout, replace(origin, page=each.place), where)

    def _of_frame(self, found: "_Found", frame: int | None, where: str) -> ImageFacts | None:
        """The facts of the frame that is meant; of the first one, with a finding, where nobody can tell."""
        image = found.image
        if len(image.frames) == 1:
            return image
        if frame is None:
            self.findings.append(_frame_unknown(image, found.layout.frame, where))
        return self._look_into(TiffPage(path=image.path, number=frame or image.frames[0]), where)

    def _add(self, layout: Layout, origin: Origin, where: str) -> None:
        if needs_coordinates(self._options):
            fitted, findings = fit_to_image(layout, origin.image, where)
            self.findings += findings
            if fitted is None:
                return
            layout = fitted
        pages, findings = make_pages(layout, origin, self._options)
        self.pages += pages
        self.findings += findings

    def _image(self, layout: Layout, path: Path) -> ImageFacts | None:
        found, findings = self._images.find(layout.image, path)
        self.findings += findings
        return None if found is None else self._look_into(found, str(path))

    def _look_into(self, image: Path | TiffPage, where: str) -> ImageFacts | None:
        try:
            return look_into(image)
        except OcrtuneError as error:
            self.findings.append(_of_file(error, where))
            return None

    def _origin(self, layout: Layout, path: Path, image: ImageFacts, *, is_one_of_several: bool) -> Origin:
        below = path.relative_to(self._root)
        alone = path.stem if is_one_of_several else image.path.stem
        return Origin(
            name=f"{below.as_posix()}#{layout.id}" if is_one_of_several else below.as_posix(),
            document=alone if below.parent == Path() else below.parent.as_posix(),
            where=str(path),
            image=image,
            file=below.as_posix(),
        )

    def _left_out(self, path: Path, found: Format | None) -> Finding:
        if found is not None:
            return Finding(
                code="format-other",
                severity="warning",
                message=f"the file is of format {found}, not {self._wanted}, and is left out",
                where=str(path),
                hint=f"read it as {found}:{self._root}",
            )
        if not path.stat().st_size:
            return Finding(
                code="transcript",
                severity="error",
                message="the file is empty",
                where=str(path),
                hint="export it once more",
            )
        return Finding(
            code="transcript-none",
            severity="note",
            message="the file is neither PAGE XML nor ALTO nor hOCR and is left out",
            where=str(path),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A page of a file, which place it has there, and its image, whatever the frame."""

    place: int
    layout: Layout
    image: ImageFacts


def _identified(layouts: list[Layout]) -> list[Layout]:
    """Pages of a file with ids of their own, for these are a part of their names."""
    if len(layouts) == 1:
        return layouts
    names = UniqueNames()
    return [
        replace(layout, id=names.take(layout.id or f"page_{place}"))
        for place, layout in enumerate(layouts, start=1)
    ]


def _frames_of(found: list[_Found]) -> dict[int, int | None]:
    """Place of a page → the frame of its image, or None where nobody can tell."""
    by_image: dict[Path, list[_Found]] = {}
    for each in found:
        by_image.setdefault(each.image.path, []).append(each)
    frames: dict[int, int | None] = {}
    for pages in by_image.values():
        written = [each.layout.frame for each in pages]
        several = pages[0].image.frames
        chosen = (
            choose_frames(written, several, pages[0].layout.format)
            if len(several) > 1
            else [None] * len(pages)
        )
        frames |= {each.place: frame for each, frame in zip(pages, chosen, strict=True)}
    return frames


def _still_true(layout: Layout, path: Path, options: Options) -> list[Finding]:
    """The findings of a layout, but for lines without text that are kept: by themselves, or in what has no text at all."""
    if options.untranscribed == "skip":
        return list(layout.findings)
    written = [region for region in layout.regions if has_text(region)]
    if options.level == "page" and written:
        written = list(layout.regions)
    left_out = {f"{path}#{line.id}" for region in written for line in region.lines}
    return [
        finding
        for finding in layout.findings
        if finding.code != "line-empty" or (options.level != "line" and finding.where in left_out)
    ]


def _turned_at_once(findings: list[Finding]) -> list[Finding]:
    """The findings, with one for all lines that look turned."""
    turned = [finding for finding in findings if finding.code == "line-turned"]
    others = [finding for finding in findings if finding.code != "line-turned"]
    return [*others, *(replace(finding, count=len(turned)) for finding in turned[:1])]


def _frame_unknown(image: ImageFacts, written: int | None, where: str) -> Finding:
    told = (
        "tells not which one is meant" if written is None else f"means number {written}, which cannot be told"
    )
    return Finding(
        code="image-frame-unknown",
        severity="warning",
        message=f"the image {image.path.name!r} holds {len(image.frames)} frames, and the file {told}; the first is used",
        where=where,
        hint="save each frame of a TIFF as an image of its own, and name it in the file",
    )


def _same_image(image: Path, where: str) -> Finding:
    return Finding(
        code="image-of-several-pages",
        severity="error",
        message=f"an earlier page of the file has the image {image.name!r} too, so this one is left out",
        where=where,
        hint="save each frame of a TIFF as an image of its own, and name it in the file",
    )


def _of_file(error: OcrtuneError, where: str) -> Finding:
    told = (
        error.where if error.where.startswith(where) else f"{error.where} ({where})" if error.where else where
    )
    return replace(Finding.of_error(error), where=told)
