"""Pages → findings: what would cost a run its quality, told before it starts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from ocrtune.data.examples import build_example
from ocrtune.data.gathering import gather_findings
from ocrtune.data.pictures import Picture, check_images
from ocrtune.data.splits import Splits
from ocrtune.data.texts import check_text
from ocrtune.errors import OcrtuneError
from ocrtune.families import FAMILIES, Family
from ocrtune.progress import track
from ocrtune.records import Cut, EncodedImage, Finding, ImageSource, Page, PdfPage, TiffPage
from ocrtune.text import Normalization, normalize

FEWEST_REPEATS = 5
MOST_REPEATED_SHARE = 0.05
"""A text on more than this share of the pages, and on at least FEWEST_REPEATS, is repeated too often."""


def check_dataset(
    pages: Sequence[Page],
    family: Family | None = None,
    *,
    prompt: str | None = None,
    normalization: Normalization | None = None,
    open_images: bool = True,
) -> list[Finding]:
    """Everything that is wrong with the pages, gathered by kind, errors first.

    Args:
        pages: What was read.
        family: The family to be trained; without it what depends on a family is not checked: prompts and
            the number of images of a page.
        prompt: The run's prompt, as for `build_examples`.
        normalization: The run's, in which texts are compared; the default one for None.
        open_images: Open every image, which takes about as long as reading them all; False to leave them aside.
    """
    normalization = normalization or Normalization()
    findings: list[Finding] = []
    texts_of_pictures: dict[tuple[bytes, ...], list[Page]] = defaultdict(list)
    for page in track(pages, "checking"):
        pictures, found = check_images(page) if open_images else ([], [])
        findings += found
        findings += _check_contents(page, family, prompt, normalization)
        if pictures:
            texts_of_pictures[_digests(pictures)].append(page)
    findings += _check_same_pictures(texts_of_pictures.values(), normalization)
    findings += _check_repeated_texts(pages, normalization)
    return gather_findings(findings)


def check_page(
    page: Page,
    family: Family | None = None,
    *,
    prompt: str | None = None,
    normalization: Normalization | None = None,
    open_images: bool = True,
) -> list[Finding]:
    """What is wrong with one page by itself; the arguments are those of `check_dataset`."""
    _, findings = check_images(page) if open_images else ([], [])
    return [*findings, *_check_contents(page, family, prompt, normalization or Normalization())]


def check_splits(splits: Splits) -> list[Finding]:
    """What held-out pages share with the pages that are learned from: files, documents.

    Files are compared by content and not opened; one that cannot be read is left to `check_dataset`.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    seen_images: dict[bytes, tuple[str, str]] = {}
    seen_documents: dict[str, str] = {}
    findings: list[Finding] = []
    for part, pages in parts.items():
        for page in pages:
            findings += _check_leak(page, part, seen_images)
        for document in dict.fromkeys(page.document for page in pages):
            first = seen_documents.setdefault(document, part)
            if first != part and document:
                findings.append(_shared_document(document, first, part))
    return gather_findings(findings)


def _check_contents(
    page: Page, family: Family | None, prompt: str | None, normalization: Normalization
) -> Iterator[Finding]:
    yield from check_text(page, [family] if family else list(FAMILIES.values()))
    yield from _check_example(page, family, prompt, normalization)


def _check_example(
    page: Page, family: Family | None, prompt: str | None, normalization: Normalization
) -> Iterator[Finding]:
    """What building the example would raise, apart from the text, which has checks of its own."""
    if family is None:
        return
    try:
        build_example(page, family, prompt=prompt, normalization=normalization, with_targets=False)
    except OcrtuneError as error:
        yield Finding(
            code="prompt" if error.code == "inputs" else error.code,
            severity="error",
            message=error.message,
            where=page.where,
            hint=error.hint,
        )


def _digests(pictures: Iterable[Picture]) -> tuple[bytes, ...]:
    return tuple(picture.digest for picture in pictures)


def _check_same_pictures(groups: Iterable[Sequence[Page]], normalization: Normalization) -> Iterator[Finding]:
    for pages in groups:
        if len(pages) == 1:
            continue
        answers: Mapping[str | None, set[str]] = defaultdict(set)
        for page in pages:
            if page.text is not None:
                answers[page.prompt].add(normalize(page.text, normalization))
        where = " = ".join(page.where or page.name for page in pages)
        if any(len(texts) > 1 for texts in answers.values()):
            yield Finding(
                code="image-texts-differ",
                severity="warning",
                message="the same image has different texts under the same prompt",
                where=where,
                hint="keep the right one: the model cannot learn both",
            )
        else:
            yield Finding(
                code="image-repeated",
                severity="note",
                message="the same image is there several times",
                where=where,
                hint="it counts more than others, and splits may part it",
            )


def _check_repeated_texts(pages: Sequence[Page], normalization: Normalization) -> Iterator[Finding]:
    texts = Counter(normalize(page.text, normalization) for page in pages if page.text)
    del texts[""]
    for text, count in texts.items():
        if count >= FEWEST_REPEATS and count > MOST_REPEATED_SHARE * len(pages):
            shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 - as much as fits a line
            yield Finding(
                code="text-repeated",
                severity="warning",
                message=f"{count} of {len(pages)} pages have the text {shown!r}",
                hint="the model learns to answer it without looking; keep a few of these pages",
                count=count,
            )


def _check_leak(page: Page, part: str, seen: dict[bytes, tuple[str, str]]) -> Iterator[Finding]:
    for source in page.images:
        content = image_digest(source)
        if content is None:
            continue
        first_part, first_where = seen.setdefault(content, (part, page.where or page.name))
        if first_part != part:
            yield Finding(
                code="image-leaked",
                severity="error",
                message=f"the same image is in {first_part} and {part}: scores would praise memory",
                where=f"{first_where} = {page.where or page.name}",
                hint="take it out of one of them, or give both pages the same `document`",
            )


def image_digest(source: ImageSource) -> bytes | None:
    """A digest of a file's bytes, or of an image's pixels; None for a missing file.

    Of a page of a PDF or TIFF its number counts too, not how large it is rendered; of a part its outline.
    """
    if isinstance(source, Path):
        return _file_content(source, source.stat().st_mtime_ns) if source.is_file() else None
    if isinstance(source, PdfPage | TiffPage | Cut):
        file = image_digest(source.path)
        place = source.polygon if isinstance(source, Cut) else source.number
        return file and blake2b(file + repr(place).encode(), digest_size=16).digest()
    if isinstance(source, EncodedImage):
        return blake2b(source.read(), digest_size=16).digest()
    return blake2b(repr((source.mode, source.size)).encode() + source.tobytes(), digest_size=16).digest()


@lru_cache(maxsize=1)
def _file_content(path: Path, changed_ns: int) -> bytes:  # noqa: ARG001 - a changed file has another content
    return blake2b(path.read_bytes(), digest_size=16).digest()


def _shared_document(document: str, first: str, part: str) -> Finding:
    return Finding(
        code="document-shared",
        severity="warning",
        message=f"documents of the same name are in {first} and {part}",
        where=f"document {document!r}",
        hint="if they are the same, move one; if not, name them apart",
    )
