"""How large images and archives may be; read from the environment each time, which worker processes inherit."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from PIL import Image

from ocrtune.errors import SourceError

MAX_IMAGE_PIXELS = "OCRTUNE_MAX_IMAGE_PIXELS"
MAX_IMAGE_BYTES = "OCRTUNE_MAX_IMAGE_BYTES"
MAX_ARCHIVE_BYTES = "OCRTUNE_MAX_ARCHIVE_BYTES"
MAX_ARCHIVE_FILES = "OCRTUNE_MAX_ARCHIVE_FILES"
MAX_ARCHIVE_RATIO = "OCRTUNE_MAX_ARCHIVE_RATIO"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What is beyond is refused before pixels are decoded.

    Attributes:
        most_pixels: Of one image or rendered page. The default takes A0 at 300 dpi and A2 at 600; decoded it is
            600 MB.
        most_bytes: Of an image file.
    """

    most_pixels: int = 200_000_000
    most_bytes: int = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What is beyond is refused, and nothing of the archive is left on disk.

    Attributes:
        most_bytes: Of all files together, unpacked.
        most_files: Files, folders and links in it.
        most_ratio: How many times larger than the archive its files may be.
    """

    most_bytes: int = 2**35
    most_files: int = 1_000_000
    most_ratio: int = 200


def image_limits() -> ImageLimits:
    """The limits that `OCRTUNE_MAX_IMAGE_PIXELS` and `OCRTUNE_MAX_IMAGE_BYTES` set, else the defaults.

    Raises:
        SourceError: One of them is no whole number above 0.
    """
    usual = ImageLimits()
    return ImageLimits(
        most_pixels=_setting(MAX_IMAGE_PIXELS, usual.most_pixels),
        most_bytes=_setting(MAX_IMAGE_BYTES, usual.most_bytes),
    )


def set_image_limits(limits: ImageLimits) -> None:
    """Set the limits for this process and those it starts from now on, by its environment."""
    os.environ[MAX_IMAGE_PIXELS] = str(limits.most_pixels)
    os.environ[MAX_IMAGE_BYTES] = str(limits.most_bytes)


def archive_limits() -> ArchiveLimits:
    """The limits that `OCRTUNE_MAX_ARCHIVE_BYTES`, `…_FILES` and `…_RATIO` set, else the defaults.

    Raises:
        SourceError: One of them is no whole number above 0.
    """
    usual = ArchiveLimits()
    return ArchiveLimits(
        most_bytes=_setting(MAX_ARCHIVE_BYTES, usual.most_bytes),
        most_files=_setting(MAX_ARCHIVE_FILES, usual.most_files),
        most_ratio=_setting(MAX_ARCHIVE_RATIO, usual.most_ratio),
    )


@contextmanager
def pillow_obeys(most_pixels: int) -> Iterator[None]:
    """Pillow refuses what has more than `most_pixels`, and warns of nothing, for the time of the context.

    Pillow has one limit for the whole process. It is needed for what Pillow allocates before anybody sees the size of
    an image: the canvas of a WebP, the tile of a TIFF. Contexts of several threads may overlap: the largest of their
    limits holds for all, and the process's own comes back after the last.
    """
    _PILLOW.enter(most_pixels)
    try:
        yield
    finally:
        _PILLOW.leave(most_pixels)


class _Exact(int):
    """A limit that Pillow keeps to: it warns above its number and refuses above twice that, which is here no more."""

    def __rmul__(self, _factor: int) -> int:
        return int(self)

    __mul__ = __rmul__


class _Pillow:
    """Pillow's limit, and those of the contexts that hold it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: list[int] = []
        self._theirs: int | None = None

    def enter(self, most_pixels: int) -> None:
        with self._lock:
            if not self._held:
                self._theirs = Image.MAX_IMAGE_PIXELS
            self._held.append(most_pixels)
            Image.MAX_IMAGE_PIXELS = _Exact(max(self._held))

    def leave(self, most_pixels: int) -> None:
        with self._lock:
            self._held.remove(most_pixels)
            Image.MAX_IMAGE_PIXELS = _Exact(max(self._held)) if self._held else self._theirs

    def forget(self) -> None:
        """After a fork: threads of the other process, which hold the lock or the limit, are not in this one."""
        self._lock = Lock()
        if self._held:
            self._held = []
            Image.MAX_IMAGE_PIXELS = self._theirs


_PILLOW = _Pillow()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_PILLOW.forget)


def _setting(name: str, usual: int) -> int:
    written = os.environ.get(name, "").strip().replace("_", "")
    if not written:
        return usual
    if not (written.isascii() and written.isdecimal() and len(written) < 20 and int(written)):  # noqa: PLR2004
        raise SourceError(
            f"{name} must be a whole number above 0, found {os.environ[name]!r}",
            where="the environment",
            hint=f"unset it for the usual {usual}",
        )
    return int(written)
