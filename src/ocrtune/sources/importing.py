"""Pages of any source → a folder of images with a manifest: nothing has to be cut or rendered again."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.progress import track
from ocrtune.records import EncodedImage, Finding, ImageSource, Page
from ocrtune.sources.archives import is_archive, top_folder, unpack
from ocrtune.sources.images import IMAGE_SUFFIXES, open_file, open_image
from ocrtune.sources.naming import FileNames
from ocrtune.sources.reading import MANIFEST_NAME, read_source
from ocrtune.sources.sizes import image_size
from ocrtune.sources.writing import write_bytes_atomically, write_jsonl

IMAGES = "images"
FINDINGS_NAME = "findings.jsonl"
UNPACKED = "unpacked"
_READ_PACKED = "webdataset:"

_URI = re.compile(r"(?P<kind>[a-z]{2,}:)?(?P<path>[^?]*)(?P<options>\?.*)?", re.DOTALL)
Files = Literal["copy", "link", "refer"]
"""What becomes of an image file: it is copied, gets a second name on the same disk, or is named where it lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What `import_pages` left in a folder.

    Attributes:
        manifest: A source of pages like any other.
        num_pages: Pages of the manifest.
        findings: What was odd about the sources; an error is a page, or a file of pages, that is left out.
    """

    manifest: Path
    num_pages: int
    findings: list[Finding]


def import_pages(uris: Sequence[str], folder: Path) -> Imported:
    """Write the pages of sources as images below `folder`, and last of all `manifest.jsonl`.

    Image files are copied as they are, also those inside something bigger; lines and regions are cut out and pages of PDFs
    rendered, as PNG. What could not be used is listed in `findings.jsonl`. A run that was cut off leaves no manifest and
    is done again.

    Args:
        uris: Whatever `read_source` takes; in place of a folder also a .zip, .tar, .tar.gz or .tgz.
        folder: Made if it is missing.

    Raises:
        SourceError: A source cannot be read, no page is left, or the folder has a manifest already.
        ArchiveError: An archive is broken or unsafe.
    """
    manifest = folder / MANIFEST_NAME
    require_new(manifest)
    writer = PageWriter(folder)
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for uri in uris:
        unpacked_uri, left_out = _unpacked(uri, folder / UNPACKED)
        source = read_source(unpacked_uri)
        findings += left_out + source.findings
        for page in track(source.pages, "writing pages"):
            try:
                rows.append(writer.write(page))
            except OcrtuneError as error:
                findings.append(page_left_out(page, error))
    write_jsonl(folder / FINDINGS_NAME, [finding.as_dict() for finding in findings])
    if not rows:
        raise SourceError(
            "no page is left to write", where=", ".join(uris), hint=f"see {folder / FINDINGS_NAME}"
        )
    write_jsonl(manifest, rows)
    return Imported(manifest=manifest, num_pages=len(rows), findings=findings)


def _unpacked(uri: str, folder: Path) -> tuple[str, list[Finding]]:
    """The uri with the folder that its archive was unpacked as, if it names one, and what was left out."""
    parts = _URI.fullmatch(uri)
    path = Path(parts["path"]) if parts else Path()
    # The tars of webdataset: are read as they are.
    if parts is None or parts["kind"] == _READ_PACKED or not is_archive(path):
        return uri, []
    target = folder / path.name
    findings = unpack(path, target)
    return f"{parts['kind'] or ''}{top_folder(target)}{parts['options'] or ''}", findings


def require_new(path: Path) -> None:
    """Refuse to write over a file of an earlier run.

    Raises:
        SourceError: It is there.
    """
    if path.exists():
        what = "a manifest" if path.suffix == ".jsonl" else "a file"
        raise SourceError(f"{what} lies there already", where=str(path), hint="write to another folder")


class PageWriter:
    """Writes the images of pages below a folder, and tells the rows of a manifest that lies in it.

    Args:
        folder: Made when the first image is written.
        files: What becomes of image files; a link across disks becomes a copy. Parts, rendered pages and images inside
            something bigger are always written.

    Attributes:
        num_outside: Image files that are named where they lie, outside the folder.
    """

    def __init__(self, folder: Path, files: Files = "copy") -> None:
        self.num_outside = 0
        self._folder = folder
        self._files = files
        self._names = FileNames()

    def write(self, page: Page) -> dict[str, object]:
        """Write the images of a page; its row.

        Raises:
            OcrtuneError: An image cannot be read.
        """
        images = [self._image(source, page, place) for place, source in enumerate(page.images)]
        row: dict[str, object] = {"image": images[0]} if len(images) == 1 else {"images": images}
        facts = {
            "text": page.text,
            "prompt": page.prompt,
            "document": page.document or None,
            "source": page.where,
        }
        return {**row, **{key: value for key, value in facts.items() if value is not None}}

    def _image(self, source: ImageSource, page: Page, place: int) -> str:
        """Write an image; its path, seen from the folder."""
        if isinstance(source, Path) and self._files != "copy":
            # The header is enough to know that the file is there; copies are looked at wholly, they are for good.
            image_size(source)
            is_below = _is_below(source, self._folder)
            if self._files == "refer" or is_below:
                self.num_outside += not is_below
                return Path(os.path.relpath(source.absolute(), self._folder.absolute())).as_posix()
        stem = page.name if not place else f"{page.name}-{place + 1}"
        if isinstance(source, Path) and self._files == "link":
            return self._link(source, stem)
        return self._write(stem, *_content(source))

    def _write(self, stem: str, suffix: str, content: bytes) -> str:
        # A file that an earlier run left before it was cut off is taken; any other file is left alone.
        name = self._free(stem, suffix, lambda path: path.read_bytes() == content)
        if not (self._folder / name).exists():
            write_bytes_atomically(self._folder / name, content)
        return name

    def _link(self, source: Path, stem: str) -> str:
        name = self._free(stem, source.suffix.lower(), source.samefile)
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            try:
                os.link(source.resolve(), path)
            except OSError:  # another disk, or one without links
                write_bytes_atomically(path, _content(source)[1])
        return name

    def _free(self, stem: str, suffix: str, is_same: Callable[[Path], bool]) -> str:
        """A name of which there is no file, or the same one."""
        while True:
            # Written by an earlier `ocrtune import`, the path has the folder's name already.
            name = f"{IMAGES}/{self._names.take(stem.removeprefix(f'{IMAGES}/'), suffix)}"
            path = self._folder / name
            if not os.path.lexists(path) or (path.is_file() and is_same(path)):
                return name


def page_left_out(page: Page, error: OcrtuneError) -> Finding:
    """The finding that stands for a page which cannot be written."""
    return Finding.of_error(error, where=page.where or page.name)


def _content(source: ImageSource) -> tuple[str, bytes]:
    """The suffix and the bytes of the file to be written."""
    # Opened all the same: a broken file is to be found now, and not in a run.
    image = open_image(source)
    if isinstance(source, Path):
        return source.suffix.lower(), source.read_bytes()
    suffix = _suffix(source) if isinstance(source, EncodedImage) else ""
    if isinstance(source, EncodedImage) and suffix:
        return suffix, source.read()
    png = BytesIO()
    image.save(png, "PNG")
    return ".png", png.getvalue()


def _suffix(source: EncodedImage) -> str:
    """By its content, for its name may be anything; empty for what is written as PNG."""
    with open_file(source) as image:
        name = (image.format or "").lower()
    suffix = ".jpg" if name in {"jpeg", "mpo"} else f".{name}"
    return suffix if suffix in IMAGE_SUFFIXES else ""


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.normpath(path.absolute())).is_relative_to(os.path.normpath(folder.absolute()))
