"""JSONL → records, with every broken line told."""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ocrtune.progress import track
from ocrtune.records import Finding
from ocrtune.sources.encodings import UTF_8, find_encoding, read_raw_line, skip_raw_line
from ocrtune.sources.json_text import KeyTwice, unique_keys, write_json

MOST_LINES_TOLD = 20
"""How many broken lines an error tells one by one; the others are counted."""

MOST_LINE_BYTES = 64 * 2**20

MOST_PROBLEMS = 10_000
"""After so many broken lines the rest of a file is not read: it is of another kind."""

READING_STOPPED = "reading-stopped"
"""The code of the last problem of such a file."""

Record = TypeVar("Record")


class BrokenLine(Exception):
    """What is wrong with one line; gathered by `read_jsonl` and told together with the others'.

    Args:
        message: What is wrong, with the value.
        code: The code of the finding that it becomes in sources that leave such lines out.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, code: str = "row-broken", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    def as_finding(self, where: str) -> Finding:
        """What is wrong with a row, as the finding that stands for it."""
        return Finding(code=self.code, severity="error", message=str(self), where=where, hint=self.hint)


class OtherEncoding(BrokenLine):
    """A line is in another encoding than its file should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a file.

    Attributes:
        number: What people call it, from 1.
        offset: The byte it begins at.
        content: With its line break; nothing of a line that is too long.
        encoding: Of the file.
        is_whole: The line is not longer than MOST_LINE_BYTES.
    """

    number: int
    offset: int
    content: bytes
    encoding: str = UTF_8
    is_whole: bool = True

    def parse(self) -> Mapping[str, Any]:
        """The JSON object of the line.

        Raises:
            BrokenLine: It is too long, in another encoding, no JSON or no object.
        """
        if not self.is_whole:
            raise BrokenLine(
                f"the line is longer than {MOST_LINE_BYTES} bytes",
                hint="a line is one row; save images as files of their own, and texts of whole books page by page",
            )
        return parse_line(self.content, self.encoding)

    def is_blank(self) -> bool:
        """Whether there is nothing but space."""
        if self.encoding == UTF_8:
            return not self.content.strip()
        return not self.content.decode(self.encoding, errors="replace").strip()


def read_jsonl(
    path: Path, parse: Callable[[Mapping[str, Any], int], tuple[str, Record]]
) -> tuple[list[Record], list[str]]:
    """The records of a file, one JSON object a line, and what is wrong with the lines that gave none.

    Blank lines are passed over; CRLF does no harm.

    Args:
        path: The file, in UTF-8, or in what its byte order mark says.
        parse: Makes of an object and its line number, from 1, the record and the name no other one may have;
            raises BrokenLine.
    """
    records: list[Record] = []
    first_lines: dict[str, int] = {}
    problems: list[str] = []
    for line in read_lines(path):
        try:
            name, record = parse(line.parse(), line.number)
        except BrokenLine as broken:
            problems.append(f"line {line.number}: {broken}")
            continue
        if first_lines.setdefault(name, line.number) == line.number:
            records.append(record)
        else:
            problems.append(f"line {line.number}: {_there_already(name, first_lines[name])}")
    return records, problems


@dataclass(frozen=True, slots=True, kw_only=True)
class LineIndex:
    """Where the lines of a file are, 16 bytes for each.

    Attributes:
        offsets: int64 (lines,), the byte each begins at.
        numbers: int64 (lines,), what people call it, from 1.
        encoding: Of the file.
    """

    offsets: NDArray[np.int64]
    numbers: NDArray[np.int64]
    encoding: str = UTF_8


Problem = tuple[int, BrokenLine]
"""The number of a line, from 1, and what is wrong with it."""


def index_jsonl(
    path: Path, name_of: Callable[[Mapping[str, Any], int], str]
) -> tuple[LineIndex, list[Problem]]:
    """Where the good lines of a file are, and what is wrong with the others, in their order; no line is kept.

    Of lines that have one name the first is good.

    Args:
        path: The file, in UTF-8, or in what its byte order mark says.
        name_of: Makes of an object and its line number the name no other one may have; raises BrokenLine.
    """
    offsets, numbers, names = array("q"), array("q"), array("Q")
    problems: list[Problem] = []
    for line in track(read_lines(path), f"reading {path.name}"):
        try:
            name = name_of(line.parse(), line.number)
        except BrokenLine as broken:
            problems.append((line.number, broken))
            if len(problems) == MOST_PROBLEMS:
                problems.append((line.number, BrokenLine("and here reading stopped", code=READING_STOPPED)))
                break
            continue
        offsets.append(line.offset)
        numbers.append(line.number)
        names.append(int.from_bytes(blake2b(name.encode(), digest_size=8).digest()))
    index = LineIndex(
        offsets=np.array(offsets, dtype=np.int64),
        numbers=np.array(numbers, dtype=np.int64),
        encoding=find_encoding(path)[0],
    )
    twice = list(_names_twice(path, index, np.array(names, dtype=np.uint64), name_of))
    good = ~np.isin(index.numbers, [number for number, _ in twice])
    index = replace(index, offsets=index.offsets[good], numbers=index.numbers[good])
    return index, sorted([*problems, *twice], key=lambda problem: problem[0])


def read_line(path: Path, offset: int, encoding: str = UTF_8) -> Mapping[str, Any]:
    """The JSON object of the line that begins at a byte of the file.

    Raises:
        BrokenLine: It is no JSON object; after the file was indexed that means that it has changed.
    """
    with path.open("rb") as file:
        file.seek(offset)
        return parse_line(read_raw_line(file, encoding, MOST_LINE_BYTES), encoding)


def read_lines(path: Path, encoding: str | None = None) -> Iterator[Line]:
    """The lines of a file one after the other, blank ones passed over.

    A line longer than MOST_LINE_BYTES is never read whole, and comes as one that cannot be parsed.

    Args:
        path: The file.
        encoding: If it has no byte order mark; None for UTF-8.
    """
    encoding, mark = find_encoding(path, encoding)
    offset = len(mark)
    with path.open("rb") as file:
        file.seek(offset)
        # Bytes know fewer line breaks than str: a JSON string may hold U+2028, which would end a line of text.
        for number in count(1):
            content = read_raw_line(file, encoding, MOST_LINE_BYTES + 1)
            if not content:
                return
            is_whole = len(content) <= MOST_LINE_BYTES
            line = Line(
                number=number,
                offset=offset,
                content=content if is_whole else b"",
                encoding=encoding,
                is_whole=is_whole,
            )
            offset += len(content)
            if not is_whole and not content.endswith("\n".encode(encoding)):
                offset += skip_raw_line(file, encoding)
            if not is_whole or not line.is_blank():
                yield line


def _names_twice(
    path: Path,
    index: LineIndex,
    names: NDArray[np.uint64],
    name_of: Callable[[Mapping[str, Any], int], str],
) -> Iterator[Problem]:
    """A problem for each line whose name an earlier one has; only lines of equal digests are read once more."""
    _, places, counts = np.unique(names, return_inverse=True, return_counts=True)
    first_lines: dict[str, int] = {}
    for place in np.flatnonzero(counts[places] > 1):
        number = int(index.numbers[place])
        name = name_of(read_line(path, int(index.offsets[place]), index.encoding), number)
        if first_lines.setdefault(name, number) != number:
            yield (
                number,
                BrokenLine(
                    _there_already(name, first_lines[name]),
                    code="name-twice",
                    hint="pages are known by their names: delete one of both lines",
                ),
            )


def _there_already(name: str, first: int) -> str:
    return f"{name!r} is there already, on line {first}"


def tell_problems(problems: list[str]) -> str:
    """The broken lines in words, the first ones one by one."""
    count = len(problems)
    told = [f"  - {problem}" for problem in problems[:MOST_LINES_TOLD]]
    if count > MOST_LINES_TOLD:
        told.append(f"  - and {count - MOST_LINES_TOLD} more")
    return "\n".join(["1 line is broken" if count == 1 else f"{count} lines are broken", *told])


def take_text(row: Mapping[str, Any], key: str) -> str | None:
    """The string under `key`, or None where it is absent or null.

    Raises:
        BrokenLine: It is no string, or holds half a surrogate pair.
    """
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BrokenLine(f"`{key}` is {kind_of(value)}, not a string")
    return encodable(value, key)


def take_target(row: Mapping[str, Any], key: str) -> str | None:
    """As `take_text`; an object or a list becomes JSON text in the one form that targets are written in.

    Raises:
        BrokenLine: It is a number or a boolean, or holds what JSON cannot keep.
    """
    value = row.get(key)
    if not isinstance(value, dict | list):
        return take_text(row, key)
    try:
        return write_json(value)
    except UnicodeEncodeError as error:
        raise _half_of_a_pair(error, key) from error
    except ValueError as error:
        raise BrokenLine(f"`{key}` holds a number that JSON does not know: NaN or an infinite one") from error
    except RecursionError as error:
        raise BrokenLine(f"`{key}` is nested too deep") from error


def take_path(value: object, key: str) -> str:
    """`value`, if it can be a path.

    Raises:
        BrokenLine: It is no string, blank, or holds a character that no path has.
    """
    if not isinstance(value, str):
        raise BrokenLine(f"`{key}` holds {kind_of(value)}, not a path")
    if not value.strip() or "\0" in value:
        raise BrokenLine(f"`{key}` holds {value!r}, not a path")
    return encodable(value, key)


def take_label(row: Mapping[str, Any], key: str) -> str:
    """The string or number under `key` as a string; empty where it is absent or null.

    Raises:
        BrokenLine: It is neither.
    """
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BrokenLine(f"`{key}` is {kind_of(value)}, not a string or a number")
    return encodable(str(value), key)


def encodable(value: str, key: str) -> str:
    """`value`, if it can be written to a file.

    Raises:
        BrokenLine: It holds half a surrogate pair, which JSON can write but UTF-8 cannot.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _half_of_a_pair(error, key) from error
    return value


def _half_of_a_pair(error: UnicodeEncodeError, key: str) -> BrokenLine:
    half = f"\\u{ord(error.object[error.start]):04x}"
    return BrokenLine(f"`{key}` holds {half}, half of a surrogate pair")


def kind_of(value: object) -> str:
    """What JSON calls the type of a value."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def parse_line(line: bytes, encoding: str = UTF_8) -> Mapping[str, Any]:
    """The JSON object of a line.

    Raises:
        OtherEncoding: It is in another encoding.
        BrokenLine: It is no JSON or no object.
    """
    try:
        # A mark stands in the middle where files were put one behind the other.
        row = json.loads(line.decode(encoding).removeprefix("\ufeff"), object_pairs_hook=unique_keys)
    except UnicodeDecodeError as error:
        raise OtherEncoding(
            f"not {encoding.upper()} at byte {error.start}", hint="save it as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise BrokenLine(
            f"not JSON at column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"
        ) from error
    except RecursionError as error:
        raise BrokenLine("not JSON: nested too deep") from error
    except KeyTwice as error:
        raise BrokenLine(str(error), hint="keep one of both") from error
    except ValueError as error:  # a number of more digits than Python takes
        raise BrokenLine("not JSON: a number is too long") from error
    if not isinstance(row, dict):
        raise BrokenLine(f"{kind_of(row)}, not an object")
    return row
