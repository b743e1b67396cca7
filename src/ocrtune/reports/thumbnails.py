"""Pictures of many pages within the size of one file."""

import base64
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from PIL import Image, ImageOps

from ocrtune.errors import ImageError
from ocrtune.progress import track
from ocrtune.records import ImageSource
from ocrtune.reports.records import ReportPage
from ocrtune.reports.wording import format_count
from ocrtune.sources import image_size, open_image

Images = Literal["thumbnails", "embed", "link"]

SAMPLE = 12
"""So many pictures are tried to foresee how large all of them will be."""


MAX_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How small pictures are made.

    Attributes:
        pixels: Most pixels of a picture: lines stay wide, pages become narrow.
        quality: Of lossy WebP; None for few grey levels without loss, a third of the bytes for letters on paper.
    """

    pixels: int
    quality: int | None = None


SIZES = (
    Size(900_000, 80),
    Size(480_000, 72),
    Size(480_000),
    Size(260_000),
    Size(130_000),
    Size(60_000),
    Size(24_000),
)
"""From good to bare."""

EMBEDDED = Size(6_000_000, 85)
"""A picture that is embedded in full."""

GREY_STEP = 85
"""Between four levels of grey: what letters need to be read."""

FEW_COLOURS = 256

MOST_SIDE_PX = 8_000
"""WebP holds no more than twice as much."""

Picture = tuple[str, tuple[int, int]]
"""A `data:` URI, and the size of the image it was made of."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of pages, as a report holds them.

    Attributes:
        sources: A `data:` URI or a relative link for each page; empty where there is none.
        sizes: (width, height) in pixels of the upright image of each page; (0, 0) where there is none.
        note: What is not as one would expect, in words; empty if nothing.
    """

    sources: list[str]
    sizes: list[tuple[int, int]]
    note: str = ""


def make_pictures(
    pages: Sequence[ReportPage], images: Images, *, beside: Path | None = None, most_bytes: int
) -> Pictures:
    """The pictures of pages, worst pages first where not all find room.

    Args:
        pages: Of a report.
        images: `thumbnails` keeps within `most_bytes`, `embed` takes each picture up to `EMBEDDED`, `link` points
            to files on disk; what is no file of its own, such as a page of a PDF, gets a thumbnail then.
        beside: The folder that links start from; None gives thumbnails for links.
        most_bytes: Room for thumbnails.
    """
    links = [_link(page.image, beside) if images == "link" else "" for page in pages]
    if images == "embed":
        return _choose(pages, _draw_all(pages, EMBEDDED, links), links, None)
    unlinked = [page for page, link in zip(pages, links, strict=True) if not link]
    return _choose(pages, _draw_all(pages, fitting_size(unlinked, most_bytes), links), links, most_bytes)


def fitting_size(pages: Sequence[ReportPage], most_bytes: int) -> Size:
    """The best of `SIZES` in which the pictures of all pages find room, judged by a sample; else the smallest."""
    pictured = [page.image for page in pages if page.image is not None]
    step = max(1, len(pictured) // SAMPLE)
    sample = [
        _shrunk(opened, SIZES[0])
        for image in pictured[::step][:SAMPLE]
        if (opened := _opened(image)) is not None
    ]
    for size in SIZES:
        mean = sum(len(_encoded(image, size)) for image in sample) / max(1, len(sample))
        if mean * len(pictured) <= most_bytes * 0.95:
            return size
    return SIZES[-1]


def _choose(
    pages: Sequence[ReportPage], drawn: list[Picture], links: Sequence[str], most_bytes: int | None
) -> Pictures:
    """Links where there are any, else the pictures of the worst pages that find room."""
    sources, left_out, broken, used = list(links), 0, 0, 0
    for number in sorted(range(len(pages)), key=lambda number: -_rate(pages[number])):
        picture = drawn[number][0]
        if sources[number] or pages[number].image is None:
            continue
        if not picture:
            broken += 1
        elif most_bytes is not None and used + len(picture) > most_bytes:
            left_out += 1
        else:
            sources[number] = picture
            used += len(picture)
    return Pictures(sources, [px for _, px in drawn], _note(len(pages), left_out, broken))


def _draw_all(pages: Sequence[ReportPage], size: Size, links: Sequence[str]) -> list[Picture]:
    """In the order of the source: parts of one page come one after the other, and its decoding is kept for them."""
    work = [(page.image, size, bool(link)) for page, link in zip(pages, links, strict=True)]
    if not all(isinstance(page.image, Path) for page in pages):  # PDFium knows one thread
        return [_draw(task) for task in track(work, "making pictures")]
    with ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1)) as workers:
        return list(track(workers.map(_draw, work), "making pictures", total=len(work)))


def _draw(work: tuple[ImageSource | None, Size, bool]) -> Picture:
    image, size, is_linked = work
    if image is None:
        return "", (0, 0)
    if is_linked:
        return "", _size_of(image)
    opened = _opened(image)
    return ("", (0, 0)) if opened is None else (_encoded(opened, size), opened.size)


def _rate(page: ReportPage) -> float:
    return page.readings[-1].cer if page.readings else 0.0


def _note(count: int, left_out: int, broken: int) -> str:
    parts = []
    if left_out:
        parts.append(
            f"The pictures of {format_count(left_out, 'page')} of {count:,}, the best read ones, are left out to keep "
            "this file small; `--images embed` keeps all, `--images link` points to the files."
        )
    if broken:
        parts.append(f"{format_count(broken, 'picture')} could not be read.")
    return " ".join(parts)


def _link(image: ImageSource | None, beside: Path | None) -> str:
    if (
        not isinstance(image, Path)
        or beside is None
        or image.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp", ".gif"}
        or not image.is_file()
    ):
        return ""
    try:
        return quote(Path(os.path.relpath(image.resolve(), beside.resolve())).as_posix(), safe="/")
    except ValueError:  # another drive of Windows
        return ""


def _size_of(image: ImageSource) -> tuple[int, int]:
    try:
        return image_size(image)
    except ImageError:
        return (0, 0)


def _opened(image: ImageSource) -> Image.Image | None:
    try:
        return open_image(image)
    except ImageError:
        return None


def _encoded(image: Image.Image, size: Size) -> str:
    """The picture as a `data:` URI."""
    small = _shrunk(image, size)
    if size.quality is None:
        # Faded ink on dark paper would else become one grey.
        grey = ImageOps.autocontrast(small.convert("L"), cutoff=1)
        content = _webp(grey.point(_four_levels), lossless=True, quality=20)
    else:
        content = _webp(small, quality=size.quality)
        # Scans in black and white are smaller without loss.
        if small is image and image.getcolors(FEW_COLOURS):
            content = min(content, _webp(image, lossless=True, quality=20), key=len)
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"


def _four_levels(value: int) -> int:
    return round(value / GREY_STEP) * GREY_STEP


def _webp(image: Image.Image, *, quality: int, lossless: bool = False) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=quality, lossless=lossless, method=1)
    return buffer.getvalue()


def _shrunk(image: Image.Image, size: Size) -> Image.Image:
    """The picture with no more pixels than `size` says."""
    most_side = MOST_SIDE_PX / max(image.width, image.height)
    factor = min(1.0, (size.pixels / (image.width * image.height)) ** 0.5, most_side)
    if factor == 1:
        return image
    small = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(small, Image.Resampling.BICUBIC, reducing_gap=1.5)
