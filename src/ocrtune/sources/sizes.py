"""The size of an upright page from its file's header, so that lengths are known before pixels are decoded."""

from pathlib import Path

from PIL import ExifTags, Image

from ocrtune.records import Cut, EncodedImage, ImageSource, PdfPage, TiffPage
from ocrtune.sources.cutting import frame_of
from ocrtune.sources.images import open_file, open_image
from ocrtune.sources.pdf.pictures import page_size

_SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

_ORIENTATION_MARKS = (b"eXIf", b"exif", b"xmp")
"""One of these stands in a PNG that tells an orientation; its chunk may come after the pixels."""


def image_size(source: ImageSource) -> tuple[int, int]:
    """(width, height) of the image that `open_image` gives, without decoding or rendering it.

    Raises:
        ImageError: The file cannot be opened; a file that breaks only in its pixels is not noticed here.
    """
    if isinstance(source, Image.Image):
        return _upright_size(source)
    if isinstance(source, Cut):
        return frame_of(source, image_size(source.path)).size
    if isinstance(source, PdfPage):
        return page_size(source)
    try:
        with open_file(source) as image:
            return image.size if _tells_no_orientation(image, source) else _upright_size(image)
    except Exception:  # noqa: BLE001  # decoding it raises the error that says what is wrong with the file
        return open_image(source).size


def _tells_no_orientation(image: Image.Image, source: Path | EncodedImage | TiffPage) -> bool:
    # Pillow decodes the whole of a PNG before it answers whether there are EXIF data.
    if image.format != "PNG" or isinstance(source, TiffPage):
        return False
    content = source.read_bytes() if isinstance(source, Path) else source.read()
    return not any(mark in content for mark in _ORIENTATION_MARKS)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    # Pillow turns the size of a TIFF when it opens it, and the pixels when it loads them.
    if image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
        return height, width
    return width, height
