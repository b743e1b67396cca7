"""`page:scans?level=line&margin=4` → a name, a path, and options that are checked."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ocrtune.errors import SourceError

Value = TypeVar("Value")

ReadValue = Callable[[str, str], Value]
"""An option's name and text → its value; raises ValueError that says what is wrong."""


def split_uri(uri: str) -> tuple[str, Path, str]:
    """What stands before the colon, or nothing; the path; what stands behind the question mark."""
    name, colon, rest = uri.partition(":")
    path, _, query = (rest if colon else uri).partition("?")
    return name if colon else "", Path(path), query


def read_query(
    query: str, readers: Mapping[str, ReadValue[object]], *, uri: str, example: str
) -> dict[str, Any]:
    """The values of a query's options.

    Args:
        query: `level=line&margin=4`, or nothing.
        readers: What reads each known option.
        uri: The whole uri, for messages.
        example: A good one, for the hint.

    Raises:
        SourceError: An option is unknown or has a value it cannot have; all mistakes are told.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        try:
            values[key] = readers.get(key, _refuse(tuple(readers)))(key, value)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise SourceError(
            "\n".join(["the options of the source are wrong", *(f"  - {problem}" for problem in problems)]),
            where=uri,
            hint=f"known: {', '.join(readers)}; as in {example}",
        )
    return values


def _refuse(known: tuple[str, ...]) -> ReadValue[object]:
    def refuse(key: str, value: str) -> object:  # noqa: ARG001 - as all that read options
        raise ValueError(f"unknown option {key!r}{_nearest(key, known)}")

    return refuse


def one_of(*known: str) -> ReadValue[str]:
    """Reads one of some words."""
    return partial(_read_word, known)


def whole_number(lowest: int, highest: int) -> ReadValue[int]:
    """Reads a whole number within bounds, both included."""
    return partial(_read_number, lowest, highest)


def _read_word(known: tuple[str, ...], key: str, value: str) -> str:
    if value not in known:
        raise ValueError(f"{key}: must be one of {', '.join(known)}, found {value!r}{_nearest(value, known)}")
    return value


def _read_number(lowest: int, highest: int, key: str, value: str) -> int:
    # A number of thousands of digits is not worth reading.
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(highest))):
        raise _no_number(lowest, highest, key, value)
    if not lowest <= int(value) <= highest:
        raise _no_number(lowest, highest, key, value)
    return int(value)


def _no_number(lowest: int, highest: int, key: str, value: str) -> ValueError:
    return ValueError(f"{key}: must be a whole number from {lowest} to {highest}, found {value!r}")


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
