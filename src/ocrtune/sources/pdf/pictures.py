"""A page of a PDF → its picture; PDFs stay open for a while, in each process its own."""

import atexit
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from PIL import Image

from ocrtune.errors import ImageError, PdfError
from ocrtune.records import PdfPage
from ocrtune.sources.pdf.document import PdfPages
from ocrtune.sources.versions import file_version

MOST_OPEN = 2
"""PDFs that stay open; each takes memory for what was read of it, a packed one for all of it."""

_Key = tuple[Path, tuple[int, int, int], int]


def render_page(page: PdfPage) -> Image.Image:
    """The page in RGB.

    Raises:
        ImageError: The PDF is missing or broken, or has no such page, or one that is too large.
    """
    with _naming_errors(page), _DOCUMENTS.of(page) as pages:
        return pages.render(page.number).convert("RGB")


def page_size(page: PdfPage) -> tuple[int, int]:
    """(width, height) in pixels of what `render_page` gives, without rendering it.

    Raises:
        ImageError: As `render_page`.
    """
    with _naming_errors(page), _DOCUMENTS.of(page) as pages:
        return pages.size(page.number)


class _Documents:
    """The PDFs used last; only one thread uses PDFium at a time, which knows of no threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[_Key, PdfPages] = OrderedDict()

    @contextmanager
    def of(self, page: PdfPage) -> Iterator[PdfPages]:
        """The PDF of a page, for the time of the context."""
        with self._lock:
            yield self._find((page.path, file_version(page.path), page.dpi))

    def close(self) -> None:
        """Close all; pypdfium2 complains of what is open when Python ends."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def forget(self) -> None:
        """Start anew, as after a fork: another process's thread may have held the lock."""
        self._lock = Lock()
        self._open = OrderedDict()

    def _find(self, key: _Key) -> PdfPages:
        pages = self._open.pop(key, None) or PdfPages(key[0], dpi=key[2])
        self._open[key] = pages
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return pages


_DOCUMENTS = _Documents()

atexit.register(_DOCUMENTS.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_DOCUMENTS.forget)


@contextmanager
def _naming_errors(page: PdfPage) -> Iterator[None]:
    try:
        yield
    except PdfError as error:
        raise ImageError(error.message, where=error.where or str(page), hint=error.hint) from error
    except FileNotFoundError as error:
        raise ImageError("the PDF does not exist", where=str(page)) from error
    except OSError as error:
        raise ImageError(
            f"the PDF cannot be read: {(error.strerror or 'unknown').lower()}", where=str(page)
        ) from error
