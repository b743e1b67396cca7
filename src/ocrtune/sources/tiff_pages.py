"""A TIFF of several pages beside one text → a page for each; form feeds part the text."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ocrtune.errors import ImageError
from ocrtune.records import Page, TiffPage
from ocrtune.sources.images import SUFFIXES_OF, frame_numbers

_FORM_FEED = "\f"


def part_tiff(page: Page, image: Path) -> Iterator[Page]:
    """The page itself, or, of a TIFF of several, one for each, named `scan.tif#2`; all are one document.

    A text must be parted by form feeds into as many as there are, else the TIFF is one page with its first frame. One
    form feed behind the text of a single page is none of it.
    """
    numbers = _frame_numbers(image)
    texts = _texts_of_frames(page.text, len(numbers))
    if len(texts) == len(numbers) == 1:
        yield replace(page, text=texts[0])
        return
    if len(texts) != len(numbers):
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
    if _FORM_FEED not in text:
        return [text]
    texts = [part.removesuffix("\n") for part in text.split(_FORM_FEED)]
    # Tesseract and pdftotext put one behind the last page, too.
    return texts[:-1] if len(texts) == num_frames + 1 and not texts[-1].strip() else texts
