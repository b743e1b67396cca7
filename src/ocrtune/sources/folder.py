"""A folder of images, each with a `.txt` of the same stem → pages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ocrtune.errors import ImageError, SourceError
from ocrtune.records import Finding, Page, TiffPage
from ocrtune.sources.image_paths import is_inside
from ocrtune.sources.images import IMAGE_SUFFIXES, SUFFIXES_OF, frame_numbers
from ocrtune.sources.walking import walk

_DIGITS = re.compile(r"(\d+)")
_FORM_FEED = "\f"


def read_folder(folder: Path, files: Sequence[Path]) -> list[Page]:
    """The pages of a folder and the folders in it, in natural order: `page2` before `page10`.

    A page is named by its path below `folder`. Its text is the `.txt` beside it without the line break at the
    end, or None where there is no such file. Pages of a folder in the folder are one document, named by
    that folder; a page right in `folder` is a document by itself. Hidden files are left alone.

    Each page of a TIFF of several is a page, named `scan.tif#2`, and all are one document; a text beside it must be
    parted by form feeds into as many, else the TIFF is one page with its first frame.

    Args:
        folder: What names are seen from.
        files: What `find_files` finds there.

    Raises:
        SourceError: There is no image, or a text is not UTF-8.
    """
    images = _images_of(files)
    if not images:
        raise SourceError(
            "the folder holds no images", where=str(folder), hint=f"known: {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return [page for image in images for page in _pages(image, folder)]


def read_image(path: Path) -> list[Page]:
    """One image as a page by itself, with the text beside it if there is one."""
    return list(_pages(path, path.parent))


def find_texts_without_image(folder: Path) -> list[Path]:
    """The `.txt` files that no image of the folder belongs to, in natural order."""
    files = find_files(folder)
    with_image = {path.with_suffix("") for path in _images_of(files)}
    return [path for path in files if path.suffix == ".txt" and path.with_suffix("") not in with_image]


def has_images(files: Sequence[Path]) -> bool:
    """Whether any of the files is an image."""
    return bool(_images_of(files))


def has_texts(files: Sequence[Path]) -> bool:
    """Whether any image of the files has a `.txt` beside it."""
    return any(path.with_suffix(".txt").is_file() for path in _images_of(files))


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A sorting key in which numbers count as numbers, before letters, and letters without case."""
    parts = (part for part in _DIGITS.split(text.casefold()) if part)
    return tuple((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts)


def find_files(folder: Path) -> list[Path]:
    """The files of a folder and the folders in it, in natural order, hidden ones left out."""
    return walk_folder(folder)[0]


def walk_folder(folder: Path) -> tuple[list[Path], list[Finding]]:
    """As `find_files`, with findings about links that lead out of the folder or nowhere: they are not followed."""
    files, findings = walk(folder)
    findings.sort(key=lambda finding: finding.where)
    return sorted(
        files, key=lambda path: [natural_key(part) for part in path.relative_to(folder).parts]
    ), findings


def _images_of(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def _pages(image: Path, folder: Path) -> Iterator[Page]:
    """The page of an image, or the pages of a TIFF of several."""
    page = _page(image, folder)
    numbers = _frame_numbers(image)
    texts = [page.text] if len(numbers) == 1 else _texts_of_frames(page.text, len(numbers))
    if len(texts) == 1 or len(texts) != len(numbers):
        yield page
        return
    for number, text in zip(numbers, texts, strict=True):
        yield replace(
            page,
            name=f"{page.name}#{number}",
            images=(TiffPage(path=image, number=number),),
            text=text,
            where=f"{image}#{number}",
        )


def _frame_numbers(image: Path) -> tuple[int, ...]:
    if image.suffix.lower() not in SUFFIXES_OF["TIFF"]:
        return (1,)
    try:
        return frame_numbers(image)
    except ImageError:  # told when the image is opened
        return (1,)


def _texts_of_frames(text: str | None, num_frames: int) -> Sequence[str | None]:
    if text is None:
        return [None] * num_frames
    texts = [part.removesuffix("\n") for part in text.split(_FORM_FEED)]
    # Tesseract and pdftotext put one behind the last page, too.
    return texts[:-1] if len(texts) == num_frames + 1 and not texts[-1].strip() else texts


def _page(image: Path, folder: Path) -> Page:
    below = image.relative_to(folder)
    document = below.with_suffix("") if below.parent == Path() else below.parent
    return Page(
        name=below.as_posix(),
        images=(image,),
        text=_text_beside(image, folder),
        document=document.as_posix(),
        where=str(image),
    )


def _text_beside(image: Path, folder: Path) -> str | None:
    path = image.with_suffix(".txt")
    if not path.is_file() or not is_inside(path, folder):  # a link out of the folder is found on the walk
        return None
    try:
        return path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"the text is not UTF-8 at byte {error.start}", where=str(path), hint="save it as UTF-8"
        ) from error
