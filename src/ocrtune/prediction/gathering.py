"""What the command line names → pages to read: images, folders, globs, PDFs with all their pages, manifests, shards."""

import glob
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ocrtune.errors import PdfError, PredictionError, SourceError
from ocrtune.progress import track
from ocrtune.records import Page, PdfPage
from ocrtune.sequences import Joined
from ocrtune.sources import IMAGE_SUFFIXES, natural_key, read_pages
from ocrtune.sources.folder import has_images, walk_folder
from ocrtune.sources.pdf.document import PdfPages
from ocrtune.sources.pdf.options import PdfRequest, parse_pdf_request
from ocrtune.sources.pdf.reading import is_pdf
from ocrtune.sources.reading import MANIFEST_NAME
from ocrtune.sources.transcripts.reading import is_transcript

STDIN = "-"
"""Stands for a list on stdin, one path or uri a line."""

_OF_GLOBS = frozenset("*?[")
_TIFFS = frozenset({".tif", ".tiff"})


def gather_pages(sources: Sequence[str]) -> Sequence[Page]:
    """The pages of several sources, one behind the other; texts beside them do not matter.

    One source is read as `read_pages` reads it, but for PDFs: all their pages are taken, those of scans too. Of
    several sources, images are named by their paths as given, and a page whose name another one has already gets its
    source before it: `more/0.png`.

    Args:
        sources: Paths, globs and uris as `read_pages` takes them; `-` for a list on stdin.

    Raises:
        SourceError: A source cannot be read, or nothing is there.
        PredictionError: A page is named twice.
    """
    named = list(_expand(sources))
    if not named:
        raise SourceError("nothing is named to be read", hint="give images, folders, PDFs or manifests")
    if len(named) == 1:
        return _read(named[0])
    return _named_apart((uri, _read_one_of_several(uri)) for uri in track(named, "finding pages"))


def _expand(sources: Iterable[str]) -> Iterator[str]:
    for source in sources:
        if source == STDIN:
            yield from _listed()
        elif _OF_GLOBS.isdisjoint(source) or Path(source).exists() or _is_of_kind(source):
            yield source
        else:
            yield from _matching(source)


def _listed() -> Iterator[str]:
    """The lines of stdin; names may begin or end with spaces, but nothing is named by spaces alone."""
    try:
        yield from (line.strip("\r\n") for line in sys.stdin if line.strip())
    except UnicodeDecodeError as error:
        raise SourceError("the list on stdin is not UTF-8", hint=str(error)) from error


def _is_of_kind(source: str) -> bool:
    """Whether a source is no bare path: `csv:pages.csv?image=scan` has signs of globs that are none."""
    kind, colon, _ = source.partition(":")
    return bool(colon) and kind.isalpha() and len(kind) > 1


def _matching(pattern: str) -> list[str]:
    # Not `Path.glob`: it takes no pattern with a root.
    found = sorted(glob.glob(pattern, recursive=True), key=natural_key)  # noqa: PTH207
    if not found:
        raise SourceError(
            f"nothing matches {pattern!r}", hint="look at the folder, and at the case of letters"
        )
    return found


def _read_one_of_several(uri: str) -> Sequence[Page]:
    path = Path(uri)
    suffix = path.suffix.lower()
    # Lists may name hundreds of thousands of images: none is opened before its turn.
    if suffix in IMAGE_SUFFIXES - _TIFFS and not _is_of_kind(uri):
        return [_image(path, uri)]
    if suffix not in _TIFFS:
        return _read(uri)
    try:
        pages = _read(uri)
    except SourceError:
        # As with other images: it says what is wrong at its turn, and stops the run or is skipped.
        return [_image(path, uri)]
    return [replace(page, name=(path.parent / page.name).as_posix()) for page in pages]


def _image(path: Path, uri: str) -> Page:
    return Page(name=path.as_posix(), images=(path,), document=path.with_suffix("").as_posix(), where=uri)


def _read(uri: str) -> Sequence[Page]:
    request = parse_pdf_request(uri)
    if request is not None and request.options.level == "page" and request.path.exists():
        return _pages_of_pdfs(request)
    path = Path(uri)
    if path.is_file() and is_pdf(path):
        return _pages_of_pdfs(PdfRequest(path=path))
    return _read_folder(path, uri) if path.is_dir() else read_pages(uri)


def _read_folder(path: Path, uri: str) -> Sequence[Page]:
    """The pages of a folder; its PDFs come behind its images."""
    if (path / MANIFEST_NAME).is_file():
        return read_pages(uri)
    files = walk_folder(path).files
    pdfs = PdfRequest(path=path)
    if not any(map(is_pdf, files)) or any(map(is_transcript, files)):
        return read_pages(uri)
    return Joined([read_pages(uri), _pages_of_pdfs(pdfs)]) if has_images(files) else _pages_of_pdfs(pdfs)


def _pages_of_pdfs(request: PdfRequest) -> list[Page]:
    """All pages of a PDF, or of those in a folder, with a text layer or without; named as `read_pages` names them.

    Raises:
        SourceError: There is no PDF, or the range of pages is not in it.
    """
    root = request.path if request.path.is_dir() else request.path.parent
    files = walk_folder(root).files if request.path.is_dir() else [request.path]
    pages = [page for file in files if is_pdf(file) for page in _pages_of_pdf(file, root, request)]
    if not pages:
        raise SourceError("there is no page of a PDF", where=str(request.path))
    return pages


def _pages_of_pdf(path: Path, root: Path, request: PdfRequest) -> Iterator[Page]:
    name, options = path.relative_to(root).as_posix(), request.options
    try:
        with PdfPages(path, dpi=options.dpi) as pdf:
            numbers = options.pages.of(len(pdf))
            num_pages = len(pdf)
    except PdfError:
        # Its first page says what is wrong when it is opened, and stops the run or is skipped.
        numbers, num_pages = range(1, 2), 1
    if numbers is None:
        raise SourceError(f"the PDF has {num_pages} pages, not the pages {options.pages}", where=str(path))
    for number in numbers:
        yield Page(
            name=f"{name}#{number}",
            images=(PdfPage(path=path, number=number, dpi=options.dpi),),
            document=_document(name, number, options.document_pages),
            where=f"{path}#{number}",
        )


def _document(name: str, number: int, length: int | None) -> str:
    if length is None:
        return name
    first = (number - 1) // length * length + 1
    return f"{name}#{first}-{first + length - 1}"


def _named_apart(sources: Iterable[tuple[str, Sequence[Page]]]) -> list[Page]:
    """The pages, each with a name of its own."""
    pages: dict[str, Page] = {}
    documents: set[str] = set()
    for uri, found in sources:
        apart = _documents_apart(uri, found, pages, documents)
        documents.update(page.document for page in found)
        for page in found:
            of_source = page.name in pages
            name = f"{uri}/{page.name}" if of_source else page.name
            if name in pages or (of_source and uri == page.name):
                raise PredictionError(
                    f"the page {page.name!r} is named twice",
                    where=uri,
                    hint="name each source and image once",
                )
            document = f"{uri}/{page.document}" if page.document in apart else page.document
            pages[name] = replace(page, name=name, document=document)
    return list(pages.values())


def _documents_apart(
    uri: str, found: Sequence[Page], names: Container[str], documents: Container[str]
) -> set[str]:
    """Documents of a source that are others than those of the same name before it.

    Two folders have folders of the same name in them; shards and parts of a PDF may have the same document.
    """
    is_folder = Path(uri).is_dir()
    return {
        page.document
        for page in found
        if page.document and (page.name in names or (is_folder and page.document in documents))
    }
