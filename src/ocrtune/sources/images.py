"""Any image a scanner or a web page makes → upright RGB."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, ImageSequence, UnidentifiedImageError

from ocrtune.errors import ImageError
from ocrtune.records import Cut, EncodedImage, ImageSource, PdfPage
from ocrtune.sources.cutting import cut_out
from ocrtune.sources.pdf.pictures import render_page

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
"""Suffixes by which a folder's images are known, in lower case."""

PAGES_KEPT = 2
"""Pages that are kept decoded while parts are cut out of them."""

_UPRIGHT = 1
_WHITE = (255, 255, 255)
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_GREY_RANGES = (255.0, 65535.0, 2.0**31 - 1)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError)


def open_image(source: ImageSource) -> Image.Image:
    """The image, turned as its EXIF data say, in mode RGB; an upright RGB image is returned as it is.

    Transparency is laid over white. Grey of more than 8 bits is scaled by the range it is stored in: `I;16`
    by 65535; `I` and `F`, which tell no range, by the smallest of 1 (`F` alone), 255, 65535 and 2³¹-1
    that holds the brightest pixel. Of a file with several frames it is the first.

    Of a `Cut` it is the part along its polygon, upright, with the paper's colour around; the page it is cut out
    of stays decoded for the next one. A `PdfPage` is rendered.

    Args:
        source: A path, an image in memory, which is never changed, a page of a PDF, a part of an image on disk or
            of such a page, or an image file inside something bigger.

    Raises:
        ImageError: The file is missing, empty, broken, no image or too large to open safely, or the image has
            no pixels, or grey values below 0.
    """
    if isinstance(source, Image.Image):
        return _upright_rgb(source, where="an image in memory")
    if isinstance(source, Cut):
        return cut_out(_kept_page(source.path, _changed_ns(source.path)), source)
    if isinstance(source, PdfPage):
        return render_page(source)
    with _naming_errors(source), open_file(source) as image:
        image.load()
        return _upright_rgb(image, where=str(source))


def count_frames(source: ImageSource) -> int:
    """Pages of a TIFF or frames of an animation, also of one that a part is cut out of; 1 for any other image.

    Raises:
        ImageError: As `open_image`.
    """
    path = source.path if isinstance(source, Cut) else source
    if isinstance(path, Image.Image | PdfPage):
        return 1
    with _naming_errors(path), open_file(path) as image:
        return sum(1 for _ in ImageSequence.Iterator(image))


def open_file(source: Path | EncodedImage) -> Image.Image:
    """The image file as Pillow opens it: the header is read, the pixels are not."""
    return Image.open(source if isinstance(source, Path) else BytesIO(source.read()))


@lru_cache(maxsize=PAGES_KEPT)
def _kept_page(
    page: Path | PdfPage,
    changed_ns: int,  # noqa: ARG001 - a changed file is another page
) -> Image.Image:
    return open_image(page)


def _changed_ns(page: Path | PdfPage) -> int:
    path = page.path if isinstance(page, PdfPage) else page
    with _naming_errors(path):
        return path.stat().st_mtime_ns


@contextmanager
def _naming_errors(path: Path | EncodedImage) -> Iterator[None]:
    """Whatever Pillow raises about a file, as an ImageError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(
            "the image does not exist",
            where=str(path),
            hint="a manifest's paths are relative to the manifest's own folder",
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            "the image has too many pixels to be opened safely",
            where=str(path),
            hint="scale it down, or cut it into pages",
        ) from error
    except UnidentifiedImageError as error:
        raise _unidentified(path) from error
    except _BROKEN as error:
        raise ImageError(
            f"the image cannot be read: {_in_one_line(error)}",
            where=str(path),
            hint="the file may be cut off; fetch or export it once more",
        ) from error


def _upright_rgb(image: Image.Image, *, where: str) -> Image.Image:
    if 0 in image.size:
        raise ImageError(f"the image has no pixels: {image.width} × {image.height}", where=where)
    if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
        image = ImageOps.exif_transpose(image)
    return _to_rgb(image, where=where)


def _to_rgb(image: Image.Image, *, where: str) -> Image.Image:
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    if image.mode == "RGB":
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = _grey_of_8_bits(image, where=where)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    paper = Image.new("RGB", image.size, _WHITE)
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def _grey_of_8_bits(image: Image.Image, *, where: str) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ImageError(
            f"grey values of mode {image.mode} are below 0 or not finite",
            where=where,
            hint="save it with 8 bits a channel",
        )
    scaled = np.rint(values * (255 / _brightest(image.mode, values)))
    return Image.fromarray(scaled.astype(np.uint8))


def _brightest(mode: str, values: NDArray[np.float64]) -> float:
    """The value that stands for white."""
    if mode.startswith("I;16"):
        return 65535.0
    ranges = (1.0, *_GREY_RANGES) if mode == "F" else _GREY_RANGES
    brightest = float(values.max())
    return next((white for white in ranges if brightest <= white), brightest)


def _unidentified(path: Path | EncodedImage) -> ImageError:
    if not (path.stat().st_size if isinstance(path, Path) else path.read()):
        return ImageError("the image file is empty", where=str(path), hint="fetch or export it once more")
    return ImageError(
        "the file is not an image that can be read",
        where=str(path),
        hint=f"known suffixes: {' '.join(sorted(IMAGE_SUFFIXES))}; the content decides, not the suffix",
    )


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
