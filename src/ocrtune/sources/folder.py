"""A folder of images, each with a `.txt` of the same stem → pages."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ocrtune.errors import SourceError
from ocrtune.records import Page
from ocrtune.sources.images import IMAGE_SUFFIXES

_DIGITS = re.compile(r"(\d+)")


def read_folder(folder: Path, files: Sequence[Path]) -> list[Page]:
    """The pages of a folder and the folders in it, in natural order: `page2` before `page10`.

    A page is named by its path below `folder`. Its text is the `.txt` beside it without the line break at the
    end, or None where there is no such file. Pages of a folder in the folder are one document, named by
    that folder; a page right in `folder` is a document by itself. Hidden files are left alone.

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
    return [_page(image, folder) for image in images]


def read_image(path: Path) -> list[Page]:
    """One image as a page by itself, with the text beside it if there is one."""
    return [_page(path, path.parent)]


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
    found: Iterable[Path] = folder.rglob("*")
    visible = (path for path in found if not _is_hidden(path.relative_to(folder)) and path.is_file())
    return sorted(visible, key=lambda path: [natural_key(part) for part in path.relative_to(folder).parts])


def _images_of(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _page(image: Path, folder: Path) -> Page:
    below = image.relative_to(folder)
    document = below.with_suffix("") if below.parent == Path() else below.parent
    return Page(
        name=below.as_posix(),
        images=(image,),
        text=_text_beside(image),
        document=document.as_posix(),
        where=str(image),
    )


def _text_beside(image: Path) -> str | None:
    path = image.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"the text is not UTF-8 at byte {error.start}", where=str(path), hint="save it as UTF-8"
        ) from error
