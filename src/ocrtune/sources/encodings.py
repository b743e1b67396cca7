"""In which encoding a file of rows is: as its byte order mark says, else as somebody says, else UTF-8."""

import codecs
from pathlib import Path
from typing import BinaryIO

UTF_8 = "utf-8"

_MARKS = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order mark → encoding; the mark of UTF-16 begins that of UTF-32, so it is looked for after it."""

_WITHOUT_ORDER = {"utf-8-sig": UTF_8, "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""Encodings that wait for a mark, by what they are without one."""

_MOST_MARK_BYTES = 4
_SKIPPED_AT_ONCE = 2**20


def find_encoding(path: Path, asked: str | None = None) -> tuple[str, bytes]:
    """The encoding of a file, and the byte order mark it begins with, which is none of its text.

    Args:
        path: The file.
        asked: The encoding if there is no mark; None for UTF-8.
    """
    with path.open("rb") as file:
        begin = file.read(_MOST_MARK_BYTES)
    for mark, encoding in _MARKS.items():
        if begin.startswith(mark):
            return encoding, mark
    name = codecs.lookup(asked or UTF_8).name
    return _WITHOUT_ORDER.get(name, name), b""


def check_encoding(name: str) -> str:
    """`name`, if it is an encoding of text that Python knows.

    Raises:
        ValueError: It is not.
    """
    try:
        "".encode(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError(f"must be one that Python knows, such as cp1251, found {name!r}") from error
    return name


def other_encoding_hint(kind: str, path: Path) -> str:
    """What to do about a file in another encoding than it should be, which only a mark of its own is sure to tell."""
    encoding, mark = find_encoding(path)
    if mark:
        return (
            f"it begins with the mark of {encoding.upper()}, so it is cut off, or put together of files in several "
            "encodings; save it as UTF-8"
        )
    return (
        f"name its encoding, as in {kind}:{path}?encoding=cp1251 for Cyrillic, "
        "or cp1252 for Western Europe; or save it as UTF-8"
    )


def read_raw_line(file: BinaryIO, encoding: str, most_bytes: int) -> bytes:
    """The next line of a file with its line break, or its first `most_bytes`; empty at the end.

    In UTF-16 and UTF-32 the byte of a line break may be half of a letter, and does not end the line then.
    """
    begin = file.readline(most_bytes)
    if encoding == UTF_8:  # asked of every line of a manifest
        return begin
    ending, line = "\n".encode(encoding), bytearray(begin)
    while line:
        line += file.read(-len(line) % len(ending))
        more = b"" if line.endswith(ending) else file.readline(max(most_bytes - len(line), 0))
        if not more:
            break
        line += more
    return bytes(line)


def skip_raw_line(file: BinaryIO, encoding: str) -> int:
    """Pass over what is left of a line, of which little is kept in memory; the number of its bytes."""
    num_bytes = 0
    while piece := read_raw_line(file, encoding, _SKIPPED_AT_ONCE):
        num_bytes += len(piece)
        if piece.endswith("\n".encode(encoding)):
            break
    return num_bytes
