"""JSONL → records, with every broken line told."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ocrtune.sources.json_text import write_json

MOST_LINES_TOLD = 20
"""How many broken lines an error tells one by one; the others are counted."""

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


def read_jsonl(
    path: Path, parse: Callable[[Mapping[str, Any], int], tuple[str, Record]]
) -> tuple[list[Record], list[str]]:
    """The records of a file, one JSON object a line, and what is wrong with the lines that gave none.

    Blank lines are passed over; a byte order mark and CRLF do no harm.

    Args:
        path: The file, in UTF-8.
        parse: Makes of an object and its line number, from 1, the record and the name no other one may have;
            raises BrokenLine.
    """
    records: list[Record] = []
    first_lines: dict[str, int] = {}
    problems: list[str] = []
    # Bytes know fewer line breaks than str: a JSON string may hold U+2028, which would end a line of text.
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            name, record = parse(parse_line(line), number)
        except BrokenLine as broken:
            problems.append(f"line {number}: {broken}")
            continue
        if first_lines.setdefault(name, number) == number:
            records.append(record)
        else:
            problems.append(f"line {number}: {name!r} is there already, on line {first_lines[name]}")
    return records, problems


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


def parse_line(line: bytes) -> Mapping[str, Any]:
    """The JSON object of a line.

    Raises:
        BrokenLine: It is not UTF-8, no JSON or no object.
    """
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BrokenLine(
            f"not JSON at column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"
        ) from error
    except RecursionError as error:
        raise BrokenLine("not JSON: nested too deep") from error
    except ValueError as error:  # a number of more digits than Python takes
        raise BrokenLine("not JSON: a number is too long") from error
    if not isinstance(row, dict):
        raise BrokenLine(f"{kind_of(row)}, not an object")
    return row
