"""PDFs of page images with an invisible text layer: what is seen is the scan, what is found and copied is the text.

The layer is set in a font without shapes. Its codes are numbers of our own, and a table in the file tells which letters
they are, so any script can be written, letters beyond 16 bits too.
"""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO
from unicodedata import bidirectional

from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from fontTools.ttLib.tables._g_l_y_f import Glyph  # type: ignore[import-untyped]
from PIL import Image

from ocrtune.sources.pdf.document import POINTS_PER_INCH
from ocrtune.sources.transcripts.layout import Line, rectangle
from ocrtune.transcription.answers import part_evenly, read_answer

UNITS_PER_EM = 1000
ADVANCE = 500
"""Of every sign of the font; lines are stretched to their boxes."""

GAP = 0.5
"""Widths of a sign left free behind a line: without it readers join neighbouring cells of a table to one word."""

MOST_LETTERS = 0xFFFE
JPEG_QUALITY = 88
DESCENT = 0.2
"""Share of a line's height below its letters' feet."""

_MOST_PER_TABLE = 100
"""Letters in a part of a ToUnicode table; the format allows no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLine:
    """A line of the text layer.

    Attributes:
        text: Without line breaks.
        box: Left, top, right and bottom in pixels of the image.
    """

    text: str
    box: tuple[float, float, float, float]


def place_lines(text: str, size: tuple[int, int]) -> list[PlacedLine]:
    """The lines of an answer: in their boxes, or spread over the height of the page where it tells no places.

    Args:
        text: With boxes or without.
        size: (width, height) of the upright image in pixels.
    """
    lines = []
    for region in read_answer(text, size).regions:
        found = region.lines or _spread(region.text or "", size)
        lines += [
            PlacedLine(
                text=line.text, box=(*line.polygon.min(axis=0).tolist(), *line.polygon.max(axis=0).tolist())
            )
            for line in found
            if line.text
        ]
    return lines


class PdfWriter:
    """Writes a PDF page by page; a page's image is in memory only while it is added.

    Args:
        file: To write to, from its begin.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: list[int] = []
        self._pages: list[int] = []
        self._codes: dict[str, int] = {}
        self._catalog, self._tree, self._font = (self._reserve() for _ in range(3))
        file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def add_page(self, image: Image.Image, lines: Sequence[PlacedLine], *, dpi: float) -> None:
        """A page of the image's size with its lines behind it.

        Args:
            image: Upright, of any mode.
            lines: In reading order.
            dpi: Pixels an inch, which tells how large the page is.
        """
        scale = POINTS_PER_INCH / dpi
        width, height = image.width * scale, image.height * scale
        picture = self._add_image(image)
        content = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /Im Do Q\n".encode()
        content += b"".join(self._show(line, scale, height) for line in lines)
        stream = self._add_stream(content, b"")
        page = (
            f"<< /Type /Page /Parent {self._tree} 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] "
            f"/Resources << /XObject << /Im {picture} 0 R >> /Font << /F {self._font} 0 R >> >> "
            f"/Contents {stream} 0 R >>"
        )
        self._pages.append(self._add(page.encode()))

    def close(self) -> None:
        """Write what belongs to all pages; the file itself stays open."""
        self._write_font()
        kids = " ".join(f"{page} 0 R" for page in self._pages)
        self._put(self._tree, f"<< /Type /Pages /Kids [{kids}] /Count {len(self._pages)} >>".encode())
        self._put(self._catalog, f"<< /Type /Catalog /Pages {self._tree} 0 R >>".encode())
        start = self._file.tell()
        rows = "".join(f"{offset:010d} 00000 n \n" for offset in self._offsets)
        count = len(self._offsets) + 1
        trailer = f"trailer\n<< /Size {count} /Root {self._catalog} 0 R >>\nstartxref\n{start}\n%%EOF\n"
        self._file.write(f"xref\n0 {count}\n0000000000 65535 f \n{rows}{trailer}".encode())

    def _show(self, line: PlacedLine, scale: float, page_height: float) -> bytes:
        """A line in invisible letters, as wide as its box."""
        left, top, right, bottom = (edge * scale for edge in line.box)
        size = max(bottom - top, 1.0)
        letters = in_visual_order(line.text)
        natural = (len(letters) + GAP) * size * ADVANCE / UNITS_PER_EM
        stretch = max(right - left, 0.1) / natural * 100
        y = page_height - bottom + DESCENT * size
        codes = "".join(f"{self._code(letter):04x}" for letter in letters)
        return (
            f"BT 3 Tr /F {size:.3f} Tf {stretch:.3f} Tz 1 0 0 1 {left:.3f} {y:.3f} Tm <{codes}> Tj ET\n"
        ).encode()

    def _code(self, letter: str) -> int:
        if letter not in self._codes and len(self._codes) >= MOST_LETTERS:
            return 0
        return self._codes.setdefault(letter, len(self._codes) + 1)

    def _add_image(self, image: Image.Image) -> int:
        picture = image if image.mode in {"L", "RGB"} else image.convert("RGB")
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=JPEG_QUALITY)
        space = "DeviceGray" if picture.mode == "L" else "DeviceRGB"
        facts = (
            f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} "
            f"/ColorSpace /{space} /BitsPerComponent 8 /Filter /DCTDecode "
        )
        return self._add(_stream(written.getvalue(), facts.encode()))

    def _write_font(self) -> None:
        font = glyphless_font()
        file = self._add_stream(font, f"/Length1 {len(font)} ".encode())
        descriptor = self._add(
            f"<< /Type /FontDescriptor /FontName /Glyphless /Flags 4 /FontBBox [0 -200 {ADVANCE} 800] "
            f"/ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 800 /StemV 80 /FontFile2 {file} 0 R >>".encode()
        )
        # All codes show the one sign of the font.
        glyphs = self._add_stream(b"\x00\x01" * (len(self._codes) + 1), b"")
        descendant = self._add(
            "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Glyphless "
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> "
            f"/DW {ADVANCE} /CIDToGIDMap {glyphs} 0 R /FontDescriptor {descriptor} 0 R >>".encode()
        )
        meanings = self._add_stream(_to_unicode(self._codes).encode(), b"")
        self._put(
            self._font,
            f"<< /Type /Font /Subtype /Type0 /BaseFont /Glyphless /Encoding /Identity-H "
            f"/DescendantFonts [{descendant} 0 R] /ToUnicode {meanings} 0 R >>".encode(),
        )

    def _add_stream(self, content: bytes, facts: bytes) -> int:
        return self._add(_stream(zlib.compress(content), facts + b"/Filter /FlateDecode "))

    def _add(self, content: bytes) -> int:
        number = self._reserve()
        self._put(number, content)
        return number

    def _reserve(self) -> int:
        self._offsets.append(0)
        return len(self._offsets)

    def _put(self, number: int, content: bytes) -> None:
        self._offsets[number - 1] = self._file.tell()
        self._file.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))


@cache
def glyphless_font() -> bytes:
    """A TrueType font of one sign without ink."""
    builder = FontBuilder(UNITS_PER_EM, isTTF=True)
    names = [".notdef", "empty"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(" "): "empty"})
    builder.setupGlyf(dict.fromkeys(names, _stroke()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (ADVANCE, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Glyphless", "styleName": "Regular", "psName": "Glyphless"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    written = io.BytesIO()
    builder.save(written)
    return written.getvalue()


def _stroke() -> Glyph:
    """A line without breadth from corner to corner: PDFium leaves out a text of one sign that has no extent."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, -200))
    pen.lineTo((ADVANCE, 800))
    pen.closePath()
    return pen.glyph()


def _stream(content: bytes, facts: bytes) -> bytes:
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (facts, len(content), content)


def _to_unicode(codes: dict[str, int]) -> str:
    """The table that tells which letter a code is."""
    rows = [f"<{code:04x}> <{letter.encode('utf-16-be').hex()}>" for letter, code in codes.items()]
    parts = [rows[start : start + _MOST_PER_TABLE] for start in range(0, len(rows), _MOST_PER_TABLE)]
    tables = "".join(f"{len(part)} beginbfchar\n" + "\n".join(part) + "\nendbfchar\n" for part in parts)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n"
        f"{tables}endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    )


def in_visual_order(text: str) -> str:
    """Letters from left to right as they are seen: readers of PDFs turn what runs leftwards back.

    A simple form of the Unicode rules: one level of embedding, and signs without a direction go with what is around them.
    """
    runs = _runs(text)
    if not any(leftwards for leftwards, _ in runs):
        return text
    seen = [
        "".join(reversed(letters)).translate(_MIRRORED) if leftwards else "".join(letters)
        for leftwards, letters in runs
    ]
    return "".join(reversed(seen) if runs[0][0] else seen)


_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
"""What opens a bracket looks as if it closed one where text runs leftwards."""


def _runs(text: str) -> list[tuple[bool, list[str]]]:
    """Parts of one direction: whether it runs leftwards, and its letters."""
    directions = [_direction(letter) for letter in text]
    first = next((found for found in directions if found is not None), False)
    current = first
    runs: list[tuple[bool, list[str]]] = []
    for letter, own, following in zip(text, directions, _following(directions, first), strict=True):
        # A neutral sign between two parts belongs to the line, one inside a part to the part.
        current = own if own is not None else (current if following == current else first)
        if not runs or runs[-1][0] != current:
            runs.append((current, []))
        runs[-1][1].append(letter)
    return runs


def _following(directions: Sequence[bool | None], last: bool) -> list[bool]:
    """The next direction that each place has at or behind it; `last` behind all of them."""
    following = []
    for own in reversed(directions):
        last = last if own is None else own
        following.append(last)
    return following[::-1]


def _direction(letter: str) -> bool | None:
    """Whether a letter runs leftwards; None for one that goes with the others."""
    kind = bidirectional(letter)
    if kind in {"R", "AL"}:
        return True
    return False if kind in {"L", "EN", "AN"} else None


def _spread(text: str, size: tuple[int, int]) -> tuple[Line, ...]:
    return part_evenly(text, rectangle(0, 0, *size))
