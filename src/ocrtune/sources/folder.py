"""A folder of images, each with a text of the same stem → pages."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ocrtune.errors import SeveralTexts, SourceError, TextError
from ocrtune.records import Finding, Page
from ocrtune.sources.folder_options import FolderRequest
from ocrtune.sources.image_paths import is_inside
from ocrtune.sources.images import IMAGE_SUFFIXES
from ocrtune.sources.side_texts import (
    SideText,
    SideTexts,
    read_side_text,
    text_kind,
    texts_beside,
    without_variant,
)
from ocrtune.sources.tiff_pages import part_tiff
from ocrtune.sources.walking import walk

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """What lies in a folder and the folders in it.

    Attributes:
        files: In natural order, hidden ones left out.
        findings: Of folders that could not be looked into, and of links out of the folder or nowhere.
    """

    files: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_folder(request: FolderRequest, files: Sequence[Path]) -> tuple[list[Page], list[Finding]]:
    """The pages of a folder and the folders in it, in natural order: `page2` before `page10`.

    A page is named by its path below the folder. Its text is the file beside it that has its stem, without the line
    break at the end, or None where there is none. Pages of a folder in the folder are one document, named
    by that folder; a page right in it is a document by itself. Hidden files are left alone. Each page of a TIFF of
    several is a page, as `part_tiff` tells.

    Args:
        request: The folder, and which texts are taken.
        files: What `walk_folder` finds there.

    Returns:
        Pages, and what was odd: a page whose text is broken, or that has several, is left out.

    Raises:
        SourceError: There is no image.
    """
    images = _images_of(files)
    if not images:
        raise SourceError(
            "the folder holds no images",
            where=str(request.path),
            hint=f"known: {' '.join(sorted(IMAGE_SUFFIXES))}",
        )
    texts = SideTexts(files)
    maker = _PageMaker(request, request.path, texts.beside)
    pages = [page for image in images for page in maker.pages(image)]
    findings = [*maker.findings, *maker.mixed_kinds(), *_shared_texts(texts)]
    # With `text=none` texts are left aside because somebody said so.
    return pages, findings if request.text == "none" else [*findings, *_stray_texts(texts.strays())]


def read_image(request: FolderRequest) -> tuple[list[Page], list[Finding]]:
    """One image as a page by itself, with the text beside it if there is one, and what was odd about that."""
    folder = request.path.parent
    maker = _PageMaker(
        request, folder, lambda image: [text for text in texts_beside(image) if is_inside(text, folder)]
    )
    return list(maker.pages(request.path)), maker.findings


def find_stray_texts(files: Sequence[Path]) -> list[Finding]:
    """A warning for each text that no image of the files belongs to."""
    texts = SideTexts(files)
    for image in _images_of(files):
        texts.beside(image)
    return list(_stray_texts(texts.strays()))


def has_images(files: Sequence[Path]) -> bool:
    """Whether any of the files is an image."""
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in files)


def has_texts(files: Sequence[Path]) -> bool:
    """Whether any image of the files has a text beside it; JSON, which may be about anything, does not count."""
    texts = SideTexts(path for path in files if text_kind(path) != "json")
    return any(texts.beside(image) for image in _images_of(files))


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A sorting key in which numbers count as numbers, before letters, and letters without case."""
    parts = (part for part in _DIGITS.split(text.casefold()) if part)
    return tuple((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts)


def find_files(folder: Path) -> list[Path]:
    """The files of a folder and the folders in it, in natural order, hidden ones left out."""
    return walk_folder(folder).files


def walk_folder(folder: Path) -> FoundFiles:
    """The files of a folder and the folders in it, and what lies there and could not be read or must not be."""
    files, findings = walk(folder)
    # Names that differ in case alone, or in zeros, come in the same order on every disk.
    files.sort(key=lambda path: [(natural_key(part), part) for part in path.relative_to(folder).parts])
    return FoundFiles(files=files, findings=sorted(findings, key=lambda finding: finding.where))


def _images_of(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


class _PageMaker:
    """Makes pages of images and gathers what was odd about their texts."""

    def __init__(
        self, request: FolderRequest, folder: Path, beside: Callable[[Path], Sequence[Path]]
    ) -> None:
        self.findings: list[Finding] = []
        self._request = request
        self._folder = folder
        self._beside = beside
        self._num_of_kinds: Counter[str] = Counter()

    def pages(self, image: Path) -> Iterator[Page]:
        """The page of an image, or none where its text cannot be told."""
        try:
            said = self._text(image)
        except TextError as error:
            self.findings.append(Finding.of_error(error))
            return
        yield from part_tiff(self._page(image, said), image)

    def mixed_kinds(self) -> Iterator[Finding]:
        """A warning where texts of several kinds were taken, each from an image of its own."""
        if len(self._num_of_kinds) > 1:
            counts = ", ".join(f"{count} .{kind}" for kind, count in self._num_of_kinds.most_common())
            yield Finding(
                code="texts-mixed",
                severity="warning",
                message=f"the images have texts of several kinds: {counts}",
                where=str(self._folder),
                hint=_choice_hint(self._folder),
            )

    def _page(self, image: Path, said: SideText | None) -> Page:
        below = image.relative_to(self._folder)
        return Page(
            name=below.as_posix(),
            images=(image,),
            text=said.text if said else None,
            prompt=said.prompt if said else None,
            document=(said.document if said else "") or self._document(below),
            where=str(image),
        )

    def _document(self, below: Path) -> str:
        if self._request.document == "folder" and below.parent != Path():
            return below.parent.as_posix()
        # Two images of one line, binarised and in grey, are never parted.
        return without_variant(below.with_suffix("").as_posix())

    def _text(self, image: Path) -> SideText | None:
        beside = self._beside(image)
        wanted = self._request.text
        found = beside if wanted is None else [path for path in beside if text_kind(path) == wanted]
        if not found:
            return None
        if len(found) > 1:
            raise _several(image, found, self._folder)
        self._num_of_kinds[text_kind(found[0]) or ""] += 1
        return read_side_text(found[0])


def _several(image: Path, texts: Sequence[Path], folder: Path) -> SeveralTexts:
    kinds = " and ".join(sorted(f".{text_kind(path)}" for path in texts))
    return SeveralTexts(
        f"the image has several texts: {kinds}",
        where=f"{image}: {', '.join(path.name for path in texts)}",
        hint=_choice_hint(folder),
    )


def _choice_hint(folder: Path) -> str:
    return f"say which is meant, as in folder:{folder}?text=md; there are txt, md, json, gt.txt and none"


def _shared_texts(texts: SideTexts) -> Iterator[Finding]:
    for path in texts.shared():
        yield Finding(
            code="text-shared",
            severity="note",
            message="the text belongs to several images, and each is a page with it",
            where=str(path),
        )


def _stray_texts(paths: Iterable[Path]) -> Iterator[Finding]:
    for path in paths:
        yield Finding(
            code="text-without-image",
            severity="warning",
            message="the text belongs to no image and is left out",
            where=str(path),
            hint="its image must lie beside it and have the same stem",
        )
