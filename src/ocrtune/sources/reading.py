"""A uri → pages, whatever kind of source it names."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ocrtune.errors import SourceError
from ocrtune.progress import say
from ocrtune.records import Finding, Page
from ocrtune.sources.archives import is_archive
from ocrtune.sources.folder import (
    FoundFiles,
    find_stray_texts,
    has_images,
    has_texts,
    read_folder,
    read_image,
    walk_folder,
)
from ocrtune.sources.folder_options import FolderRequest, parse_folder_request
from ocrtune.sources.hub.options import parse_hub_request
from ocrtune.sources.hub.reading import read_hub
from ocrtune.sources.images import IMAGE_SUFFIXES
from ocrtune.sources.manifest import ManifestPages, broken_lines, read_manifest
from ocrtune.sources.pdf.options import PdfRequest, parse_pdf_request
from ocrtune.sources.pdf.reading import is_pdf, read_pdfs
from ocrtune.sources.shards.files import SUFFIXES
from ocrtune.sources.shards.options import ShardRequest, parse_shard_request
from ocrtune.sources.shards.reading import read_shards
from ocrtune.sources.tables.chats import is_chat
from ocrtune.sources.tables.options import TableRequest, parse_table_request
from ocrtune.sources.tables.reading import read_table
from ocrtune.sources.transcripts.options import Request, parse_request
from ocrtune.sources.transcripts.reading import is_transcript, read_transcripts

BUILTIN = "builtin"
"""The uri of the sample lines that come with the package."""

SYNTH = "synth:"
"""What the uri of synthetic pages begins with: a stream without end, which `read_pages` cannot give."""

SAMPLES = ("vicksburg_lines", "vicksburg_pages")
"""The sample data that come with the package; `samples/README.md` tells where they are from."""

MANIFEST_NAME = "manifest.jsonl"
MANIFEST_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
PARQUET_SUFFIXES = frozenset(SUFFIXES["parquet"])


MOST_FINDINGS_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePages:
    """What reading a source gave.

    Attributes:
        pages: In the order of the source; of large ones each is read when it is asked for.
        findings: What was odd about it; an error is a page, or a file of pages, that is left out.
    """

    pages: Sequence[Page]
    findings: list[Finding]


def read_pages(uri: str) -> Sequence[Page]:
    """The pages of a source, in its order; nothing is opened but the texts, and the headers of images for some.

    What is left out because of errors is counted aloud; `read_source` tells each of them. Only a manifest, which is
    written for ocrtune, must be without them.

    Args:
        uri: `builtin` for the sample lines; a JSONL manifest; a folder with a `manifest.jsonl` in it, or of
            images with a `.txt`, `.md`, `.json` or `.gt.txt` of the same stem each, also as
            `folder:PATH?text=md&document=file`; one image; a file of PAGE XML, ALTO or hOCR, or a folder of
            them, also as `page:PATH?level=line&target=plain&margin=4&untranscribed=skip`, `alto:…` or `hocr:…`;
            a table as `csv:PATH?image=COLUMN&text=COLUMN` or `jsonl:…`, or a `.csv` or `.tsv`; chats of other trainers
            as `chat:PATH?root=FOLDER`, or a file of JSON whose rows have `messages` or `conversations`;
            a PDF with a text layer, or a folder of them, also as
            `pdf:PATH?level=page&dpi=200&pages=9-60&target=plain&margin=4`; shards, as `webdataset:shards/{000..099}.tar` or
            `parquet:PATH?image=COLUMN&text=COLUMN`, or a `.parquet`; a data set of a hub, or one in a
            folder, as `hub:NAME?split=train&image=COLUMN&text=COLUMN`.

    Raises:
        SourceError: There is nothing of that name, or nothing in it that can be read.
        ManifestError: Lines of the manifest are broken.
    """
    source = read_source(uri)
    errors = sum(finding.severity == "error" for finding in source.findings)
    if errors and isinstance(source.pages, ManifestPages):
        raise broken_lines(source.findings, source.pages.path)
    if errors:
        say(f"{uri}: {errors} errors, their pages are left out; `ocrtune check` with the same uri lists them")
    return source.pages


def read_source(uri: str) -> SourcePages:
    """The pages of a source as `read_pages` gives them, with findings about what is left out.

    Raises:
        SourceError: As `read_pages`.
    """
    if uri == BUILTIN:
        return _read_manifest(sample_path("vicksburg_lines") / MANIFEST_NAME)
    if uri.startswith(SYNTH):
        raise SourceError(
            f"{uri!r} is a stream of synthetic pages without end",
            hint=f"write some as files: `ocrtune synth {uri.removeprefix(SYNTH)} -o pages/`",
        )
    return _read_named_kind(uri) or _read_path(Path(uri), uri)


def _read_named_kind(uri: str) -> SourcePages | None:
    """The pages of a uri that begins with the name of a kind; None for a plain path."""
    hub, shards = parse_hub_request(uri), parse_shard_request(uri)
    if hub is not None:
        return _usable(*read_hub(hub), "data set", uri)
    if shards is not None:
        return _usable(*read_shards(shards), "shards", uri)
    request = (
        parse_pdf_request(uri) or parse_request(uri) or parse_table_request(uri) or parse_folder_request(uri)
    )
    if request is None:
        return None
    _require(request.path, uri)
    if isinstance(request, TableRequest):
        return _read_table(request, uri)
    return _read_images(request, uri) if isinstance(request, FolderRequest) else _read_request(request, uri)


def _read_path(path: Path, uri: str) -> SourcePages:
    _require(path, uri)
    return _read_folder(path, uri) if path.is_dir() else _read_file(path, uri)


def _read_folder(path: Path, uri: str) -> SourcePages:
    if (path / MANIFEST_NAME).is_file():
        return _read_file(path / MANIFEST_NAME, uri)
    # Walked once: a folder may hold millions of files.
    found = walk_folder(path)
    transcripts = _transcripts_of(found)
    pdfs = [file for file in found.files if is_pdf(file)]
    if pdfs and not transcripts and not has_images(found.files):
        return _read_request(PdfRequest(path=path), uri)
    if transcripts and not has_texts(found.files):
        beside = [*find_stray_texts(found.files), *map(_pdf_left_out, pdfs)]
        return _with_findings(_read_request(Request(path=path), uri), beside)
    return _folder_pages(FolderRequest(path=path), found, transcripts, uri)


def _read_images(request: FolderRequest, uri: str) -> SourcePages:
    if request.path.is_dir():
        found = walk_folder(request.path)
        return _folder_pages(request, found, _transcripts_of(found), uri)
    if request.path.suffix.lower() not in IMAGE_SUFFIXES:
        raise SourceError(f"{str(request.path)!r} is neither a folder nor an image", where=uri)
    return _usable(*read_image(request), "folder", uri)


def _folder_pages(
    request: FolderRequest, found: FoundFiles, transcripts: Sequence[Path], uri: str
) -> SourcePages:
    """The images of a folder as pages; what else could have been pages is told."""
    if found.findings and not has_images(found.files):
        return _usable([], found.findings, "folder", uri)
    pages, findings = read_folder(request, found.files)
    left_out = [*map(_pdf_left_out, filter(is_pdf, found.files)), *map(_transcripts_left_out, transcripts)]
    manifest = request.path / MANIFEST_NAME
    if manifest.is_file():
        left_out.append(_manifest_left_out(manifest))
    return _usable(pages, [*found.findings, *findings, *left_out], "folder", uri)


def _transcripts_of(found: FoundFiles) -> list[Path]:
    return [file for file in found.files if is_transcript(file)]


def _read_file(path: Path, uri: str) -> SourcePages:
    if path.suffix.lower() in TABLE_SUFFIXES | PARQUET_SUFFIXES:
        return _read_table_file(path, uri)
    if path.suffix.lower() in MANIFEST_SUFFIXES:
        if is_chat(path):
            return _read_table(TableRequest(path=path, kind="chat"), uri)
        return _read_manifest(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _usable(*read_image(FolderRequest(path=path)), "folder", uri)
    if is_pdf(path):
        return _read_request(PdfRequest(path=path), uri)
    if is_transcript(path):
        return _read_request(Request(path=path), uri)
    _refuse_archive(path, uri)
    raise SourceError(
        f"a file with the suffix {path.suffix!r} is no source of pages",
        where=uri,
        hint="give a JSONL manifest, a table or chats, a folder of images with texts beside them, one image, PAGE XML, ALTO, hOCR, a PDF, or builtin",
    )


def _read_table_file(path: Path, uri: str) -> SourcePages:
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return _usable(*read_shards(ShardRequest(path=path, kind="parquet")), "table", uri)
    return _read_table(TableRequest(path=path, kind="csv"), uri)


def _read_request(request: Request | PdfRequest, uri: str) -> SourcePages:
    _refuse_archive(request.path, uri)
    if isinstance(request, PdfRequest):
        return _usable(*read_pdfs(request), "PDF", uri)
    return _usable(*read_transcripts(request), "transcriptions", uri)


def _read_table(request: TableRequest, uri: str) -> SourcePages:
    return _usable(*read_table(request), "chats" if request.kind == "chat" else "table", uri)


def _usable(pages: Sequence[Page], findings: list[Finding], what: str, uri: str) -> SourcePages:
    """Pages and findings, if there are any pages; else the findings are the error."""
    if not pages:
        reasons = [finding for finding in findings if finding.severity != "note"]
        # Which columns were taken is no reason: then there are no rows.
        reasons = reasons or [finding for finding in findings if finding.code != "columns-recognised"]
        # What is told first, and whose hint is given, is what keeps pages from being read.
        reasons = sorted(reasons, key=lambda finding: finding.severity != "error")
        told = [f"  - {finding.message} ({finding.where})" for finding in reasons[:MOST_FINDINGS_TOLD]]
        more = [f"  - and {len(reasons) - len(told)} more"] if len(reasons) > len(told) else []
        raise SourceError(
            "\n".join([f"no page of the {what} can be used", *(told or ["  - there are none in it"]), *more]),
            where=uri,
            hint=next((finding.hint for finding in reasons if finding.hint), ""),
        )
    return SourcePages(pages=pages, findings=findings)


def _read_manifest(path: Path) -> SourcePages:
    pages, findings = read_manifest(path)
    return SourcePages(pages=pages, findings=findings)


def _with_findings(source: SourcePages, findings: list[Finding]) -> SourcePages:
    return SourcePages(pages=source.pages, findings=[*source.findings, *findings])


def _transcripts_left_out(path: Path) -> Finding:
    return Finding(
        code="transcript-beside-text",
        severity="note",
        message="images are read with the texts beside them, so the transcription in XML is left out",
        where=str(path),
        hint="read it by a uri such as page:FOLDER, alto:FOLDER or hocr:FOLDER",
    )


def _pdf_left_out(path: Path) -> Finding:
    return Finding(
        code="pdf-beside-images",
        severity="note",
        message="the folder holds images, so the PDF is left out",
        where=str(path),
        hint="read it by a uri such as pdf:FOLDER",
    )


def _refuse_archive(path: Path, uri: str) -> None:
    if is_archive(path) and path.is_file():
        kind = uri.partition(":")[0] if not uri.startswith(str(path)) else "auto"
        raise SourceError(
            f"{path.name!r} is an archive, and pages are read from folders",
            where=uri,
            hint=f"unpack it, and look at it, by: ocrtune import {kind} {path} -o FOLDER",
        )


def _manifest_left_out(path: Path) -> Finding:
    return Finding(
        code="manifest-beside-images",
        severity="note",
        message="the folder's images are read, so the manifest is left out",
        where=str(path),
        hint="give the folder's path without folder: to read the manifest",
    )


def _require(path: Path, uri: str) -> None:
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"there is no file or folder {uri!r}", hint=_nearest(path))


def sample_path(name: str) -> Path:
    """The folder of sample data `name` in the package: `vicksburg_lines` or `vicksburg_pages`.

    Raises:
        SourceError: There are no such data.
    """
    if name not in SAMPLES:
        raise SourceError(f"there are no sample data {name!r}", hint=f"known: {', '.join(SAMPLES)}")
    return Path(__file__).parent / "samples" / name


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r} either"
    names = [found.name for found in path.parent.iterdir()] + [BUILTIN]
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"looked in {str(path.parent.resolve())!r}"
