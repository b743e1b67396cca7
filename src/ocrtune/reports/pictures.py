"""Pictures that travel in the file itself."""

import base64
from io import BytesIO

from PIL import Image

from ocrtune.records import ImageSource
from ocrtune.sources import open_image

MAX_WIDTH_PX = 1200
_JPEG_ABOVE_PIXELS = 400_000
_JPEG_QUALITY = 82


def data_uri(source: ImageSource, *, max_width_px: int = MAX_WIDTH_PX) -> str:
    """The picture as a `data:` URI, scaled down to `max_width_px` if it is wider.

    Lines and small pictures stay lossless; whole pages become JPEG, which is a fifth of the size.

    Raises:
        ImageError: It cannot be read.
    """
    image = open_image(source)
    if image.width > max_width_px:
        height = max(1, round(image.height * max_width_px / image.width))
        image = image.resize((max_width_px, height), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    if image.width * image.height > _JPEG_ABOVE_PIXELS:
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
        kind = "jpeg"
    else:
        _without_colour(image).save(buffer, "PNG", optimize=True)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _without_colour(image: Image.Image) -> Image.Image:
    """The picture in grey, a third of the bytes, if it has no colour."""
    grey = image.convert("L")
    return grey if grey.convert("RGB").tobytes() == image.tobytes() else image
