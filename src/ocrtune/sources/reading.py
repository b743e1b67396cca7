"""A uri → pages, whatever kind of source it names."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ocrtune.errors import SourceError
from ocrtune.progress import say
from ocrtune.records import Finding, Page
from ocrtune.sources.folder import (
    find_files,
    find_texts_without_image,
    has_images,
    has_texts,
    read_folder,
    read_image,
)
from ocrtune.sources.images import IMAGE_SUFFIXES
from ocrtune.sources.manifest import read_manifest
from ocrtune.sources.pdf.options import PdfRequest, parse_pdf_request
from ocrtune.sources.pdf.reading import is_pdf, read_pdfs
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

    What is left out because of errors is counted aloud; `read_source` tells each of them.

    Args:
        uri: `builtin` for the sample lines; a JSONL manifest; a folder with a `manifest.jsonl` in it, or of
            images with a `.txt` of the same stem each; one image; a file of PAGE XML, ALTO or hOCR, or a folder of
            them, also as `page:PATH?level=line&target=plain&margin=4&family=deepseek_ocr`, `alto:…` or `hocr:…`;
            a table as `csv:PATH?image=COLUMN&text=COLUMN` or `jsonl:…`, or a `.csv` or `.tsv`; chats of other trainers
            as `chat:PATH?root=FOLDER`, or a file of JSON whose rows have `messages` or `conversations`;
            a PDF with a text layer, or a folder of them, also as
            `pdf:PATH?level=page&dpi=200&pages=9-60&target=plain&margin=4`.

    Raises:
        SourceError: There is nothing of that name, or nothing in it that can be read.
        ManifestError: Lines of the manifest are broken.
    """
    source = read_source(uri)
    errors = sum(finding.severity == "error" for finding in source.findings)
    if errors:
        say(f"{uri}: {errors} errors, their pages are left out; `ocrtune check` with the same uri lists them")
    return source.pages


def read_source(uri: str) -> SourcePages:
    """The pages of a source as `read_pages` gives them, with findings about what is left out.

    Raises:
        SourceError: As `read_pages`.
    """
    request = parse_pdf_request(uri) or parse_request(uri)
    if request is not None:
        _require(request.path, uri)
        return _read_request(request, uri)
    table = parse_table_request(uri)
    if table is not None:
        _require(table.path, uri)
        return _read_table(table, uri)
    if uri == BUILTIN:
        return _without_findings(read_manifest(sample_path("vicksburg_lines") / MANIFEST_NAME))
    if uri.startswith(SYNTH):
        raise SourceError(
            f"{uri!r} is a stream of synthetic pages without end",
            hint=f"write some as files: `ocrtune synth {uri.removeprefix(SYNTH)} -o pages/`",
        )
    path = Path(uri)
    _require(path, uri)
    return _read_folder(path, uri) if path.is_dir() else _read_file(path, uri)


def _read_folder(path: Path, uri: str) -> SourcePages:
    if not _is_folder_of_images(path):
        return _read_file(path / MANIFEST_NAME, uri)
    # Walked once: a folder may hold millions of files.
    files = find_files(path)
    transcripts = [found for found in files if is_transcript(found)]
    pdfs = [found for found in files if is_pdf(found)]
    if pdfs and not transcripts and not has_images(files):
        return _read_request(PdfRequest(path=path), uri)
    left_out = [_pdf_left_out(found) for found in pdfs]
    if transcripts and not has_texts(files):
        source = _read_request(Request(path=path), uri)
        return SourcePages(pages=source.pages, findings=[*source.findings, *left_out])
    left_out += [_transcripts_left_out(found) for found in transcripts]
    return SourcePages(pages=read_folder(path, files), findings=left_out)


def _read_file(path: Path, uri: str) -> SourcePages:
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _read_table(TableRequest(path=path, kind="csv"), uri)
    if path.suffix.lower() in MANIFEST_SUFFIXES:
        if is_chat(path):
            return _read_table(TableRequest(path=path, kind="chat"), uri)
        return _without_findings(read_manifest(path))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _without_findings(read_image(path))
    if is_pdf(path):
        return _read_request(PdfRequest(path=path), uri)
    if is_transcript(path):
        return _read_request(Request(path=path), uri)
    raise SourceError(
        f"a file with the suffix {path.suffix!r} is no source of pages",
        where=uri,
        hint="give a JSONL manifest, a table or chats, a folder of images with .txt files, one image, PAGE XML, ALTO, hOCR, a PDF, or builtin",
    )


def _read_request(request: Request | PdfRequest, uri: str) -> SourcePages:
    if isinstance(request, PdfRequest):
        return _usable(*read_pdfs(request), "PDF", uri)
    return _usable(*read_transcripts(request), "transcriptions", uri)


def _read_table(request: TableRequest, uri: str) -> SourcePages:
    return _usable(*read_table(request), "chats" if request.kind == "chat" else "table", uri)


def _usable(pages: Sequence[Page], findings: list[Finding], what: str, uri: str) -> SourcePages:
    """Pages and findings, if there are any pages; else the findings are the error."""
    if not pages:
        reasons = [finding for finding in findings if finding.severity != "note"] or findings
        # What is told first, and whose hint is given, is what keeps pages from being read.
        reasons = sorted(reasons, key=lambda finding: finding.severity != "error")
        told = [f"  - {finding.message} ({finding.where})" for finding in reasons[:MOST_FINDINGS_TOLD]]
        more = [f"  - and {len(reasons) - len(told)} more"] if len(reasons) > len(told) else []
        raise SourceError(
            "\n".join([f"no page of the {what} can be used", *told, *more]),
            where=uri,
            hint=next((finding.hint for finding in reasons if finding.hint), ""),
        )
    return SourcePages(pages=pages, findings=findings)


def _without_findings(pages: Sequence[Page]) -> SourcePages:
    return SourcePages(pages=pages, findings=[])


def _transcripts_left_out(path: Path) -> Finding:
    return Finding(
        code="transcript-beside-text",
        severity="note",
        message="images have .txt files, so the transcription in XML is left out",
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


def _require(path: Path, uri: str) -> None:
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"there is no file or folder {uri!r}", hint=_nearest(path))


def find_stray_texts(uri: str) -> list[Path]:
    """The `.txt` files that `read_pages(uri)` leaves out because no image beside them has their stem."""
    path = Path(uri)
    is_folder = uri != BUILTIN and _is_folder_of_images(path)
    return find_texts_without_image(path) if is_folder else []


def sample_path(name: str) -> Path:
    """The folder of sample data `name` in the package: `vicksburg_lines` or `vicksburg_pages`.

    Raises:
        SourceError: There are no such data.
    """
    if name not in SAMPLES:
        raise SourceError(f"there are no sample data {name!r}", hint=f"known: {', '.join(SAMPLES)}")
    return Path(__file__).parent / "samples" / name


def _is_folder_of_images(path: Path) -> bool:
    return path.is_dir() and not (path / MANIFEST_NAME).is_file()


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r} either"
    names = [found.name for found in path.parent.iterdir()] + [BUILTIN]
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"looked in {str(path.parent.resolve())!r}"
