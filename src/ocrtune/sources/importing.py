"""Pages of any source → a folder of images with a manifest: nothing has to be cut or rendered again."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ocrtune.errors import OcrtuneError, SourceError
from ocrtune.progress import track
from ocrtune.records import Finding, ImageSource, Page
from ocrtune.sources.archives import is_archive, top_folder, unpack
from ocrtune.sources.images import open_image
from ocrtune.sources.reading import MANIFEST_NAME, read_source
from ocrtune.sources.writing import write_jsonl

IMAGES = "images"
FINDINGS_NAME = "findings.jsonl"
UNPACKED = "unpacked"
_READ_PACKED = "webdataset:"

_URI = re.compile(r"(?P<kind>[a-z]{2,}:)?(?P<path>[^?]*)(?P<options>\?.*)?", re.DOTALL)
_UNSAFE = re.compile(r"[^\w.~-]+")
_MOST_LETTERS = 120


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

    Image files are copied as they are; lines and regions are cut out and pages of PDFs rendered, as PNG. What could not
    be used is listed in `findings.jsonl`. A run that was cut off leaves no manifest and is done again.

    Args:
        uris: Whatever `read_source` takes; in place of a folder also a .zip, .tar, .tar.gz or .tgz.
        folder: Made if it is missing.

    Raises:
        SourceError: A source cannot be read, no page is left, or the folder has a manifest already.
        ArchiveError: An archive is broken or unsafe.
    """
    manifest = folder / MANIFEST_NAME
    if manifest.exists():
        raise SourceError(
            "a manifest lies there already", where=str(manifest), hint="write to another folder"
        )
    writer = _Writer(folder)
    findings: list[Finding] = []
    for uri in uris:
        unpacked_uri, left_out = _unpacked(uri, folder / UNPACKED)
        source = read_source(unpacked_uri)
        findings += left_out + source.findings
        for page in track(source.pages, "writing pages"):
            try:
                writer.write(page)
            except OcrtuneError as error:
                findings.append(_left_out(page, error))
    write_jsonl(folder / FINDINGS_NAME, [finding.as_dict() for finding in findings])
    if not writer.rows:
        raise SourceError(
            "no page is left to write", where=", ".join(uris), hint=f"see {folder / FINDINGS_NAME}"
        )
    write_jsonl(manifest, writer.rows)
    return Imported(manifest=manifest, num_pages=len(writer.rows), findings=findings)


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


class _Writer:
    """Writes images and keeps the rows of the manifest."""

    def __init__(self, folder: Path) -> None:
        self.rows: list[dict[str, object]] = []
        self._folder = folder
        self._names: dict[str, int] = {}

    def write(self, page: Page) -> None:
        images = [self._image(source, page, place) for place, source in enumerate(page.images)]
        row: dict[str, object] = {"image": images[0]} if len(images) == 1 else {"images": images}
        facts = {
            "text": page.text,
            "prompt": page.prompt,
            "document": page.document or None,
            "source": page.where,
        }
        self.rows.append({**row, **{key: value for key, value in facts.items() if value is not None}})

    def _image(self, source: ImageSource, page: Page, place: int) -> str:
        """Write an image; its path in the folder."""
        stem = page.name if not place else f"{page.name}-{place + 1}"
        name = self._name(stem, source.suffix.lower() if isinstance(source, Path) else ".png")
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            # Opened all the same: a broken file is to be found now, and not in a run.
            open_image(source)
            shutil.copyfile(source, path)
        else:
            open_image(source).save(path)
        return name

    def _name(self, name: str, suffix: str) -> str:
        """A path below the folder that no other image has, on disks that know no case either."""
        parts = [_UNSAFE.sub("_", part).strip(".")[-_MOST_LETTERS:] for part in PurePosixPath(name).parts]
        stem = "/".join(filter(None, parts)).removesuffix(suffix) or "page"
        count = self._names[stem.casefold()] = self._names.get(stem.casefold(), 0) + 1
        return f"{IMAGES}/{stem}{suffix}" if count == 1 else f"{IMAGES}/{stem}~{count}{suffix}"


def _left_out(page: Page, error: OcrtuneError) -> Finding:
    return Finding(
        code=error.code,
        severity="error",
        message=error.message,
        where=error.where or page.where or page.name,
        hint=error.hint,
    )
