"""Small PDFs of which a test knows every sign: what it says, where it stands, how it is drawn."""

from dataclasses import dataclass
from pathlib import Path

PAGE_SIZE = (420, 595)

UNSEEN = "\N{ZERO WIDTH SPACE}"
"""The one letter that is drawn without ink."""


@dataclass(frozen=True, kw_only=True)
class Print:
    """Text on a page.

    What it says is what its text layer says; drawn are letters of Helvetica, whatever they mean.

    Attributes:
        says: The letters.
        x: Points from the left.
        y: Points from the bottom to the baseline.
        size: Of the type, in points.
        turn: The four numbers of a text matrix, `1 0 0 1` for an upright line.
        white: In white in place of black.
        drawn: Without it the text is there and cannot be seen.
        font: Its name; Helvetica, or Courier, whose letters are 0.6 of the size wide.
    """

    says: str
    x: float = 50
    y: float = 500
    size: float = 12
    turn: str = "1 0 0 1"
    white: bool = False
    drawn: bool = True
    font: str = "Helvetica"


def write_pdf(
    path: Path,
    pages: list[list[Print]],
    *,
    size: tuple[float, float] = PAGE_SIZE,
    crop: tuple[float, float, float, float] | None = None,
    rotate: int = 0,
    encrypt: bool = False,
) -> Path:
    """A PDF of these pages, `size` wide and high; `crop` is the left, bottom, right and top of what is shown of each."""
    crop = crop or (0, 0, *size)
    # Helvetica has signs for all codes from 33 to 126 and most from 161.
    letters = sorted({letter for page in pages for text in page for letter in text.says} - {" ", UNSEEN})
    codes = {" ": 32, UNSEEN: 160, **dict(zip(letters, [*range(33, 127), *range(161, 190)], strict=False))}
    assert len(codes) == len(letters) + 2, "too many letters for one font"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{6 + 2 * i} 0 R' for i in range(len(pages)))}] >>".encode(),
        _font("Helvetica"),
        _stream(_meanings(codes)),
        _font("Courier"),
    ]
    for number, page in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]} {size[1]}]"
            f" /CropBox [{' '.join(map(str, crop))}] /Rotate {rotate}"
            f" /Resources << /Font << /Helvetica 3 0 R /Courier 5 0 R >> >> /Contents {7 + 2 * number} 0 R >>".encode()
        )
        objects.append(_stream("\n".join(_shown(text, codes) for text in page)))
    path.write_bytes(_file(objects, encrypt=encrypt))
    return path


def book_pages(num_pages: int, *, head: str = "Глава первая") -> list[list[Print]]:
    """Pages of a book: a title, a table of contents, then `num_pages` with a running head and ten lines each."""
    title = [Print(says="Книга о буквах", size=24)]
    contents = [
        Print(says=f"Раздел {'абв'[row]} . . . . . . . . {row}", y=500 - 20 * row) for row in range(3)
    ]
    return [title, contents, *(_body_page(number, head) for number in range(num_pages))]


def _body_page(number: int, head: str) -> list[Print]:
    name = "".join("абвгдежзик"[int(digit)] for digit in str(number))
    lines = [
        Print(says=f"Строка {'абвгдежзик'[row]} на странице {name}", y=480 - 20 * row) for row in range(10)
    ]
    return [Print(says=head, y=550), *lines, Print(says=str(number), x=200, y=40)]


def _font(name: str) -> bytes:
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding /ToUnicode 4 0 R >>".encode()


def _shown(text: Print, codes: dict[str, int]) -> str:
    codes_in_hex = "".join(f"{codes[letter]:02x}" for letter in text.says)
    mode = 0 if text.drawn else 3
    return f"{int(text.white)} g BT /{text.font} {text.size} Tf {mode} Tr {text.turn} {text.x} {text.y} Tm <{codes_in_hex}> Tj ET"


def _meanings(codes: dict[str, int]) -> str:
    rows = [f"<{code:02x}> <{letter.encode('utf-16-be').hex()}>\n" for letter, code in codes.items()]
    return (
        "/CIDInit /ProcSet findresource begin begincmap /CMapName /M def /CMapType 2 def\n"
        "1 begincodespacerange <00> <ff> endcodespacerange\n"
        f"{len(rows)} beginbfchar\n{''.join(rows)}endbfchar\nendcmap end"
    )


def _stream(content: str) -> bytes:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream".encode()


def _file(objects: list[bytes], *, encrypt: bool) -> bytes:
    content = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(content))
        content += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    nobody = "00" * 32
    locked = (
        f"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <{nobody}> /U <{nobody}> /P -4 >>"
        if encrypt
        else ""
    )
    trailer = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R {locked} >>\nstartxref\n{len(content)}\n%%EOF\n"
    )
    return content + trailer.encode()
