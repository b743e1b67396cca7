"""A PDF → its pages: what stands where by the text layer, and the picture. Nothing else knows pypdfium2."""

import ctypes
import gzip
import math
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]
from PIL import Image

from ocrtune.errors import SourceError

DPI = 150
POINTS_PER_INCH = 72

SOFT_HYPHEN = "\N{SOFT HYPHEN}"

_SCALE = DPI / POINTS_PER_INCH
_GZIP_MAGIC = b"\x1f\x8b"
# PDFium gives a sign without ink a box of a thousandth of its size.
_LOWEST_INK = 0.01
_UNREADABLE = frozenset({"Cn", "Co", "Cs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyph:
    """One sign of the text layer, in pixels of the rendered page: x to the right, y down.

    Attributes:
        text: Its letters, mostly one; a space for a space; None where the PDF does not say which letter it is.
        left: Of its ink.
        top: Of its ink.
        right: Of its ink.
        bottom: Of its ink.
        start: Where its width begins, along x.
        end: Where its width ends.
        baseline: Of an upright one y of the line it stands on; else how far that line passes from the page's corner.
        size: Height of the type.
        turn: Degrees, clockwise, by which its line is turned.
    """

    text: str | None
    left: float
    top: float
    right: float
    bottom: float
    start: float
    end: float
    baseline: float
    size: float
    turn: float = 0.0


class PdfPages:
    """The pages of a PDF by number, from 1; a context manager.

    Args:
        path: The PDF, or a `.pdf.gz`; its content decides, not its name.

    Raises:
        SourceError: There is no such file, it is no PDF, or it asks for a password.
    """

    def __init__(self, path: Path) -> None:
        self._document = _open(path)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._document.close()

    def __len__(self) -> int:
        return len(self._document)

    def glyphs(self, number: int) -> list[Glyph]:
        """The signs of a page's text layer in the order of the file; none where it has no text.

        Spaces are those that the PDF itself holds, not those that a reader would guess. Ligatures are letters in one
        place each.
        """
        page = self._page(number)
        text = page.get_textpage()
        try:
            return list(_glyphs(page, text))
        finally:
            text.close()
            page.close()

    def render(self, number: int) -> Image.Image:
        """The page at `DPI`, grey of 8 bits."""
        page = self._page(number)
        try:
            picture: Image.Image = page.render(scale=_SCALE, grayscale=True).to_pil()
            # A copy: the bitmap's memory goes with the page.
            return picture.convert("L").copy()
        except pypdfium2.PdfiumError as error:
            raise self._broken(number) from error
        finally:
            page.close()

    def _page(self, number: int) -> Any:
        try:
            return self._document[number - 1]
        except pypdfium2.PdfiumError as error:
            raise self._broken(number) from error

    def _broken(self, number: int) -> SourceError:
        return SourceError(
            f"page {number} of the PDF cannot be read",
            where=str(self._path),
            hint="leave it out by a range of pages, or save the PDF anew",
        )


def _open(path: Path) -> Any:
    try:
        return pypdfium2.PdfDocument(_content(path))
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise SourceError(
                "the PDF asks for a password", where=str(path), hint="save a copy without one"
            ) from error
        raise SourceError(
            "the file is no PDF that can be read",
            where=str(path),
            hint="it may be cut off; fetch or export it once more",
        ) from error


def _content(path: Path) -> bytes:
    """The bytes of the PDF, unpacked."""
    if not path.is_file():
        raise SourceError(f"there is no file {str(path)!r}", hint="name a PDF with a text layer by --pdf")
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(
            "the file cannot be unpacked", where=str(path), hint="it may be cut off; fetch it once more"
        ) from error


def _glyphs(page: Any, text: Any) -> Iterator[Glyph]:
    where = _Coordinates(page)
    for index in range(text.count_chars()):
        if pdfium.FPDFText_IsGenerated(text, index):
            continue
        letters = _letters(text, index)
        glyph = where.place(text, index, letters or None)
        # A control character that can be seen is a letter with a wrong name.
        if letters != "" or glyph.bottom - glyph.top > _LOWEST_INK * glyph.size:
            yield glyph


def _letters(text: Any, index: int) -> str | None:
    """What a sign says: nothing for control characters, None if only the font knows."""
    # PDFium gives hyphens that part a word at a line's end a code of its own.
    if pdfium.FPDFText_IsHyphen(text, index):
        return "-"
    code = pdfium.FPDFText_GetUnicode(text, index)
    if code == 0 or pdfium.FPDFText_HasUnicodeMapError(text, index):
        return None
    letter = chr(code)
    category = unicodedata.category(letter)
    if category in _UNREADABLE or letter == "\N{REPLACEMENT CHARACTER}":
        return None
    if category.startswith("Z") or letter == "\t":
        return " "
    if category in {"Cc", "Cf"} and letter != SOFT_HYPHEN:
        return ""
    return letter


class _Coordinates:
    """Points of a PDF page → pixels of its picture, which may be turned and cut."""

    def __init__(self, page: Any) -> None:
        # As `render` rounds them.
        sides = [math.ceil(side * _SCALE) for side in page.get_size()]
        convert = pypdfium2.PdfPosConv(page, (0, 0, *sides, 0)).to_bitmap
        # PDFium answers in whole pixels: points far from each other tell the scale well.
        far = 100 * POINTS_PER_INCH
        (self._x0, self._y0), (xa, ya), (xb, yb) = convert(0, 0), convert(far, 0), convert(0, far)
        self._along = ((xa - self._x0) / far, (ya - self._y0) / far)
        self._up = ((xb - self._x0) / far, (yb - self._y0) / far)

    def place(self, text: Any, index: int, letters: str | None) -> Glyph:
        """The sign of number `index`, with the place it has in the picture."""
        left, top, right, bottom = self._box(text.get_charbox(index))
        start, _, end, _ = self._box(text.get_charbox(index, loose=True))
        matrix = pdfium.FS_MATRIX()
        pdfium.FPDFText_GetMatrix(text, index, matrix)
        direction = self._vector(matrix.a, matrix.b)
        upwards = self._vector(matrix.c, matrix.d)
        length = math.hypot(*direction) or 1.0
        cosine, sine = direction[0] / length, direction[1] / length
        x, y = self._origin(text, index)
        return Glyph(
            text=letters,
            left=left,
            top=top,
            right=right,
            bottom=bottom,
            start=start,
            end=end,
            baseline=y * cosine - x * sine,
            size=abs(cosine * upwards[1] - sine * upwards[0]) * pdfium.FPDFText_GetFontSize(text, index),
            turn=math.degrees(math.atan2(sine, cosine)),
        )

    def _origin(self, text: Any, index: int) -> tuple[float, float]:
        x, y = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(text, index, x, y)
        return self._point(x.value, y.value)

    def _box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the page as left, top, right, bottom of the picture."""
        (xa, ya), (xb, yb) = self._point(*box[:2]), self._point(*box[2:])
        return min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        dx, dy = self._vector(x, y)
        return self._x0 + dx, self._y0 + dy

    def _vector(self, x: float, y: float) -> tuple[float, float]:
        return x * self._along[0] + y * self._up[0], x * self._along[1] + y * self._up[1]
