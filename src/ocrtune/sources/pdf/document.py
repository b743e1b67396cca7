"""A PDF → its pages: what stands where by the text layer, and the picture. Nothing else knows pypdfium2."""

import ctypes
import gzip
import math
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from ocrtune.errors import PdfError, PdfPageSize
from ocrtune.sources.limits import MAX_IMAGE_PIXELS, image_limits

POINTS_PER_INCH = 72

SOFT_HYPHEN = "\N{SOFT HYPHEN}"

MOST_INCHES = 200
"""Sides of a page; PDF itself knows no longer ones."""

MOST_GLYPHS = 100_000
"""A page of a newspaper has about 30,000 signs."""

MOST_BYTES = 2**30
"""Of a packed PDF, unpacked; others are never in memory as a whole."""

_GZIP_MAGIC = b"\x1f\x8b"
# PDFium gives a sign without ink a box of a thousandth of its size.
_LOWEST_INK = 0.01
_FIRST_HALVES = range(0xD800, 0xDC00)
_SECOND_HALVES = range(0xDC00, 0xE000)
_UNREADABLE = frozenset({"Cn", "Co", "Cs"})
_WHITE = 250
_LEAST_CONTRAST = 16
# Office programs write bullets with codes of the symbol fonts, which are of private use and always the same.
_SYMBOLS = {0xF0B7: "\N{BULLET}", 0xF0A7: "\N{BLACK SMALL SQUARE}"}


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
        is_drawn: False for one that is in the text layer alone, as programs put it under a scan.
        is_seen: False for one drawn in white, or in no colour, where the page shows nothing else.
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
    is_drawn: bool = True
    is_seen: bool = True


class PdfPages:
    """The pages of a PDF by number, from 1; a context manager.

    Args:
        path: The PDF, or a `.pdf.gz`; its content decides, not its name.
        dpi: Pixels an inch of everything that is measured or rendered.

    Raises:
        PdfError: There is no such file, it is no PDF, or it asks for a password.
    """

    def __init__(self, path: Path, *, dpi: int) -> None:
        self._document = _open(path)
        self._path = path
        self._scale = dpi / POINTS_PER_INCH

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the PDF's memory back."""
        self._document.close()

    def __len__(self) -> int:
        return len(self._document)

    def glyphs(self, number: int) -> list[Glyph]:
        """The signs of a page's text layer in the order of the file; none where it has no text.

        Spaces are those that the PDF itself holds, not those that a reader would guess. Ligatures are letters in one
        place each.

        Raises:
            PdfError: The page is broken, larger than any paper, or has more signs than any page.
        """
        with self._open_page(number) as page:
            self._size(page, number)
            text = page.get_textpage()
            try:
                if text.count_chars() > MOST_GLYPHS:
                    raise PdfError(
                        f"the page has {text.count_chars()} signs, more than {MOST_GLYPHS}",
                        where=f"{self._path}#{number}",
                    )
                return list(_glyphs(page, text, self._scale))
            finally:
                text.close()

    def render(self, number: int) -> Image.Image:
        """The page as it is shown, grey of 8 bits.

        Raises:
            PdfError: As `size`.
        """
        with self._open_page(number) as page:
            self._size(page, number)
            picture: Image.Image = page.render(scale=self._scale, grayscale=True).to_pil()
            # A copy: the bitmap's memory goes with the page.
            return picture.convert("L").copy()

    def size(self, number: int) -> tuple[int, int]:
        """(width, height) in pixels of what `render` gives, without rendering it.

        Raises:
            PdfError: There is no such page, it is broken, or too large to be rendered.
        """
        with self._open_page(number) as page:
            return self._size(page, number)

    @contextmanager
    def _open_page(self, number: int) -> Iterator[Any]:
        if not 1 <= number <= len(self):
            raise PdfError(f"the PDF has no page {number}, but {len(self)}", where=str(self._path))
        try:
            page = self._document[number - 1]
            try:
                yield page
            finally:
                page.close()
        except pypdfium2.PdfiumError as error:
            raise self._broken(number) from error

    def _size(self, page: Any, number: int) -> tuple[int, int]:
        points = page.get_size()
        inches = [side / POINTS_PER_INCH for side in points]
        width, height = pixels(points, self._scale)
        most_pixels = image_limits().most_pixels
        if not (min(inches) > 0 and max(inches) <= MOST_INCHES and width * height <= most_pixels):
            raise PdfPageSize(
                f"the page has {inches[0]:.4g} × {inches[1]:.4g} inches, which cannot be rendered as "
                f"{width} × {height} px",
                where=f"{self._path}#{number}",
                hint=f"sides may have up to {MOST_INCHES} inches; a smaller dpi makes smaller images, and "
                f"{MAX_IMAGE_PIXELS} allows larger ones",
            )
        return width, height

    def _broken(self, number: int) -> PdfError:
        return PdfError(
            f"page {number} of the PDF cannot be read",
            where=f"{self._path}#{number}",
            hint="leave it out by a range of pages, or save the PDF anew",
        )


def pixels(points: tuple[float, float], scale: float) -> tuple[int, int]:
    """(width, height) of a rendered page, rounded as PDFium's picture is."""
    return math.ceil(points[0] * scale), math.ceil(points[1] * scale)


def _open(path: Path) -> Any:
    try:
        return pypdfium2.PdfDocument(_content(path))
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise PdfError(
                "the PDF asks for a password", where=str(path), hint="save a copy without one"
            ) from error
        raise PdfError(
            "the file is no PDF that can be read",
            where=str(path),
            hint="it may be cut off; fetch or export it once more",
        ) from error


def _content(path: Path) -> bytes | Path:
    """The bytes of a packed PDF; another one stays on disk, where PDFium reads what it needs."""
    if not path.is_file():
        raise PdfError(f"there is no file {str(path)!r}", hint="name a PDF with a text layer")
    with path.open("rb") as file:
        if file.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
            return path
    try:
        with gzip.open(path) as packed:
            content = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise PdfError(
            "the file cannot be unpacked", where=str(path), hint="it may be cut off; fetch it once more"
        ) from error
    if len(content) > MOST_BYTES:
        raise PdfError(
            f"the PDF has more than {MOST_BYTES} bytes", where=str(path), hint="split it into several"
        )
    return content


def _glyphs(page: Any, text: Any, scale: float) -> Iterator[Glyph]:
    where, picture = _Coordinates(page, scale), _Picture(page, scale)
    is_before_seen = True
    for index in range(text.count_chars()):
        if pdfium.FPDFText_IsGenerated(text, index) or _is_second_half(text, index):
            continue
        letters = _letters(text, index)
        glyph = where.place(text, index, letters or None)
        # A control character that can be seen is a letter with a wrong name.
        if letters != "" or glyph.bottom - glyph.top > _LOWEST_INK * glyph.size:
            if glyph.is_drawn and _is_pale(text, index):
                # A space has nothing to be seen, and goes with what is before it.
                is_seen = is_before_seen if letters == " " else picture.shows(glyph)
                glyph = replace(glyph, is_seen=is_seen)
            is_before_seen = glyph.is_seen
            yield glyph


def _code(text: Any, index: int) -> int:
    """The number of a sign's letter, 0 where there is none; letters beyond 16 bits take two places of PDFium's."""
    code: int = pdfium.FPDFText_GetUnicode(text, index)
    if code in _FIRST_HALVES and index + 1 < text.count_chars():
        other: int = pdfium.FPDFText_GetUnicode(text, index + 1)
        if other in _SECOND_HALVES:
            return 0x10000 + (code - _FIRST_HALVES[0]) * 0x400 + other - _SECOND_HALVES[0]
    return code


def _is_second_half(text: Any, index: int) -> bool:
    code = pdfium.FPDFText_GetUnicode(text, index)
    return code in _SECOND_HALVES and index > 0 and _code(text, index - 1) > _SECOND_HALVES[-1]


def _letters(text: Any, index: int) -> str | None:
    """What a sign says: nothing for control characters, None if only the font knows."""
    # PDFium gives hyphens that part a word at a line's end a code of its own.
    if pdfium.FPDFText_IsHyphen(text, index):
        return "-"
    code = _code(text, index)
    if code == 0 or pdfium.FPDFText_HasUnicodeMapError(text, index):
        return None
    letter = _SYMBOLS.get(code) or chr(code)
    category = unicodedata.category(letter)
    if category in _UNREADABLE or letter == "\N{REPLACEMENT CHARACTER}":
        return None
    if category.startswith("Z") or letter == "\t":
        return " "
    if category in {"Cc", "Cf"} and letter != SOFT_HYPHEN:
        return ""
    return letter


def _is_drawn(text: Any, index: int) -> bool:
    mode = pdfium.FPDFTextObj_GetTextRenderMode(pdfium.FPDFText_GetTextObject(text, index))
    return bool(mode != pdfium.FPDF_TEXTRENDERMODE_INVISIBLE)


def _is_pale(text: Any, index: int) -> bool:
    """Whether a sign is drawn in white, or in a colour that everything shines through."""
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    is_told = pdfium.FPDFText_GetFillColor(text, index, red, green, blue, alpha)
    return bool(is_told) and (not alpha.value or min(red.value, green.value, blue.value) >= _WHITE)


class _Picture:
    """What a page shows, rendered when the first sign asks for it."""

    def __init__(self, page: Any, scale: float) -> None:
        self._page = page
        self._scale = scale

    def shows(self, glyph: Glyph) -> bool:
        """Whether there is anything but one colour where a sign stands."""
        left, top = (max(int(place) - 1, 0) for place in (glyph.left, glyph.top))
        pixels = self._pixels[top : max(int(glyph.bottom) + 2, 0), left : max(int(glyph.right) + 2, 0)]
        return bool(pixels.size) and int(np.ptp(pixels)) > _LEAST_CONTRAST

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        return np.array(self._page.render(scale=self._scale, grayscale=True).to_pil().convert("L"))


class _Coordinates:
    """Points of a PDF page → pixels of its picture, which may be turned and cut."""

    def __init__(self, page: Any, scale: float) -> None:
        convert = pypdfium2.PdfPosConv(page, (0, 0, *pixels(page.get_size(), scale), 0)).to_bitmap
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
            is_drawn=_is_drawn(text, index),
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
