"""A page's image → bytes for the browser, small enough to come at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import Literal

from PIL import Image

from ocrtune.errors import ImageError
from ocrtune.records import Page
from ocrtune.sources import image_size, open_image

Detail = Literal["view", "full"]
"""`view` for a page that fits the window; `full` for one that is zoomed into."""

LONGEST_SIDE_PX: Mapping[Detail, int] = {"view": 2000, "full": 6000}
"""Larger images are scaled down to it."""

PICTURES_KEPT = 48

_LOSSLESS_BELOW_PIXELS = 500_000
_QUALITY = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image as the browser gets it.

    Attributes:
        media_type: `image/png` for lines and small images, `image/webp` for whole pages.
        content: The file.
    """

    media_type: str
    content: bytes


class Pictures:
    """The images of pages, by the names of the pages; the last ones stay ready.

    Args:
        pages: Name → page.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._opening = Lock()
        self._kept = lru_cache(maxsize=PICTURES_KEPT)(self._draw)

    def sizes(self, name: str) -> list[tuple[int, int] | None]:
        """(width, height) of each image of a page; None for one that cannot be opened."""
        return [self._size(name, place) for place in range(len(self._pages[name].images))]

    def draw(self, name: str, place: int, detail: Detail) -> Picture:
        """One image of a page.

        Raises:
            ImageError: There is none, or it cannot be read.
        """
        if not 0 <= place < len(self._pages[name].images):
            raise ImageError(f"the page has no image {place}", where=name)
        return self._kept(name, place, detail)

    def _size(self, name: str, place: int) -> tuple[int, int] | None:
        try:
            with self._opening:
                return image_size(self._pages[name].images[place])
        except ImageError:
            return None

    def _draw(self, name: str, place: int, detail: Detail) -> Picture:
        # One at a time: limits of Pillow are set for the process, and PDFs are not rendered by two threads.
        with self._opening:
            image = open_image(self._pages[name].images[place])
        image = _scaled(image, LONGEST_SIDE_PX[detail])
        buffer = BytesIO()
        if image.width * image.height < _LOSSLESS_BELOW_PIXELS:
            image.save(buffer, "PNG")
            return Picture(media_type="image/png", content=buffer.getvalue())
        image.save(buffer, "WEBP", quality=_QUALITY, method=2)
        return Picture(media_type="image/webp", content=buffer.getvalue())


def _scaled(image: Image.Image, longest_px: int) -> Image.Image:
    scale = longest_px / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
