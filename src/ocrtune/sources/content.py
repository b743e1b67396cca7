"""Images by their content: equal keys are equal pixels, wherever an image lies and whatever it is called."""

from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path

from PIL import Image

from ocrtune.errors import SourceError
from ocrtune.records import Cut, EncodedImage, ImageSource, PdfPage, TiffPage
from ocrtune.sources.images import open_image
from ocrtune.sources.versions import file_version

FILES_REMEMBERED = 200_000
"""Files whose digest is kept while they do not change; each takes some 300 bytes of memory."""

_DIGEST_BYTES = 16


def content_key(source: ImageSource) -> str:
    """A digest of everything the pixels of `open_image(source)` depend on; empty where that cannot be read.

    Of a file that is its bytes, read again only when its size or a time of change is another one; of a page its number
    and resolution too, of a part its outline, margin and turn; of an image in memory its upright pixels.
    """
    try:
        return _key(source)
    except (OSError, SourceError):
        return ""  # whoever opens the image is told why


def still_has_key(source: ImageSource, key: str) -> bool:
    """Whether a file that was opened since it had this key has it still; what is in memory or packed always does."""
    return isinstance(source, Image.Image | EncodedImage) or content_key(source) == key


def _key(source: ImageSource) -> str:
    if isinstance(source, Image.Image):
        image = open_image(source)
        return _digest("pixels", image.size, content=image.tobytes())
    if isinstance(source, Cut):
        return _digest(
            "cut",
            _key(source.path),
            source.polygon,
            source.baseline,
            source.margin_px,
            source.quarter_turns,
        )
    if isinstance(source, PdfPage):
        return _digest("pdf", _file_key(source.path), source.number, source.dpi)
    if isinstance(source, TiffPage):
        return _digest("tiff", _file_key(source.path), source.number)
    if isinstance(source, EncodedImage):
        return blake2b(source.read(), digest_size=_DIGEST_BYTES).hexdigest()
    return _file_key(source)


def _digest(*parts: object, content: bytes = b"") -> str:
    digest = blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES)
    digest.update(content)
    return digest.hexdigest()


def _file_key(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(path)  # reading a pipe would wait for ever
    return _file_content(path, file_version(path))


@lru_cache(maxsize=FILES_REMEMBERED)
def _file_content(path: Path, version: tuple[int, int, int]) -> str:  # noqa: ARG001 - a changed file is another one
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=_DIGEST_BYTES)).hexdigest()
