"""The members of a tar file from its headers; contents are passed over."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512

REGULAR = frozenset({b"0", b"\0", b"7"})
FOLDER = b"5"

NO_END = "shard-no-end"
"""The code where nothing but the mark of the end is missing."""

MOST_EXTENSION_BYTES = 2**20
"""Of a long name, or of the records of an extended header; a name is never longer."""

_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"L", b"K", b"x", b"g"
_EXTENSIONS = frozenset({_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL})
_ZEROS = bytes(BLOCK)
_BINARY_NUMBER = 0x80


class BrokenTar(Exception):
    """The members of a tar file end before the file says so.

    Args:
        message: What is wrong.
        code: Of the finding it becomes.
        name: Of the member that is not whole; empty where its header is not read.
    """

    def __init__(self, message: str, code: str, name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.name = name


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a tar file.

    Attributes:
        name: Its path in the tar, without `./`.
        kind: The type flag of its header.
        start: The byte its headers begin at.
        offset: The byte its content begins at.
        size: Bytes of its content.
        is_sparse: The content is stored without its zeros, which is not read here.
    """

    name: str
    kind: bytes
    start: int
    offset: int
    size: int
    is_sparse: bool = False


def read_members(file: BinaryIO) -> Iterator[Member]:
    """The members, in order; the file may be read elsewhere in between.

    Names of more than 100 letters are read as old tar, GNU and pax write them; sizes of 8 GiB and more too.

    Raises:
        BrokenTar: A header is no header, or the file ends in the middle; behind the last whole member.
    """
    end, place = os.fstat(file.fileno()).st_size, 0
    while True:
        member = read_member(file, place, end)
        if member is None:
            return
        place = member.offset + -(-member.size // BLOCK) * BLOCK
        if member.offset + member.size > end:
            message = f"it is cut off in {member.name!r}, at byte {end}"
            raise BrokenTar(message, "shard-cut-off", member.name)
        yield member


def read_member(file: BinaryIO, place: int, end: int) -> Member | None:
    """The member whose headers begin at a byte, or None at the mark of the end.

    Raises:
        BrokenTar: There is none.
    """
    start = place
    extended: dict[str, bytes] = {}
    while True:
        header = _read_header(file, place, end)
        if header is None:
            return None
        kind, size = header[156:157], _number(header[124:136])
        if kind not in _EXTENSIONS:
            return _member(header, extended, start, place + BLOCK)
        if size > MOST_EXTENSION_BYTES or place + BLOCK + size > end:
            raise BrokenTar(f"a header at byte {place} is cut off or has {size} bytes", "shard-cut-off")
        extended |= _extension(kind, file.read(size))
        place += BLOCK + -(-size // BLOCK) * BLOCK


def _read_header(file: BinaryIO, place: int, end: int) -> bytes | None:
    file.seek(place)
    header = file.read(BLOCK)
    if header == _ZEROS:
        return None
    if place >= end:
        raise BrokenTar("it has no mark at its end, so it may be cut off", NO_END)
    if len(header) < BLOCK:
        raise BrokenTar(f"it is cut off in a header, at byte {end}", "shard-cut-off")
    # The checksum counts its own eight bytes as spaces.
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != _number(header[148:156]):
        raise BrokenTar(f"there is no header of a tar at byte {place}", "shard-broken")
    return header


def _number(field: bytes) -> int:
    """The number of a field: octal digits, or binary where the first bit is set; -1 for anything else."""
    if field[0] & _BINARY_NUMBER:
        return int.from_bytes(field[1:])
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return -1


def _member(header: bytes, extended: Mapping[str, bytes], start: int, offset: int) -> Member:
    kind, size = header[156:157], _number(header[124:136])
    name = extended.get("path") or _short_name(header)
    if "size" in extended:
        size = int(extended["size"]) if extended["size"].isdigit() else -1
    if size < 0:
        raise BrokenTar(f"the header at byte {start} tells no size", "shard-broken")
    return Member(
        name=name.decode("utf-8", errors="replace").removeprefix("./"),
        kind=kind,
        start=start,
        offset=offset,
        # Links and folders may tell a size of something else.
        size=size if kind in REGULAR or kind == b"S" else 0,
        is_sparse=kind == b"S" or any(key.startswith("GNU.sparse") for key in extended),
    )


def _short_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    # GNU keeps times where ustar keeps the first part of a name.
    if header[257:263] != b"ustar\0":
        return name
    prefix = header[345:500].split(b"\0", 1)[0]
    return prefix + b"/" + name if prefix else name


def _extension(kind: bytes, content: bytes) -> dict[str, bytes]:
    if kind == _LONG_NAME:
        return {"path": content.split(b"\0", 1)[0]}
    return _records(content) if kind == _EXTENDED else {}


def _records(content: bytes) -> dict[str, bytes]:
    """The records of an extended header, each as `length key=value`; what cannot be read ends them."""
    records: dict[str, bytes] = {}
    while content:
        length, space, _ = content.partition(b" ")
        if not space or not length.isdigit() or not len(length) < int(length) <= len(content):
            break
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        records[key.decode("utf-8", errors="replace")] = value
        content = content[int(length) :]
    return records
