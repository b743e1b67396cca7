"""`kind:PATH?key=value&…` → kind, path and options; what is wrong with the options is told together."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ocrtune.errors import SourceError

OptionParsers = Mapping[str, Callable[[str], object]]
"""Option → what makes a value of its text; raises ValueError that says what the value must be."""


def split_uri(uri: str, kinds: Collection[str]) -> tuple[str, Path, dict[str, str]] | None:
    """The kind, path and options of a uri, or None where it begins with none of the kinds.

    Values of options may hold `%26` for `&` and the like; the path stands as it is, up to the first `?`.

    Raises:
        SourceError: An option is given twice.
    """
    kind, colon, rest = uri.partition(":")
    if not colon or kind not in kinds:
        return None
    path, _, query = rest.partition("?")
    values: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key in values:
            raise SourceError(f"the option {key!r} is given twice", where=uri)
        values[key] = unquote(value)
    return kind, Path(path), values


def read_options(
    uri: str, values: Mapping[str, str], parsers: OptionParsers, *, example: str
) -> dict[str, Any]:
    """The options' values, typed.

    Args:
        uri: What they were written in, for the error.
        values: As `split_uri` gives them.
        parsers: One for each option there is.
        example: A uri that has it right, for the hint.

    Raises:
        SourceError: An option is unknown or has a value it cannot have; all mistakes are told.
    """
    options: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        if key not in parsers:
            problems.append(f"unknown option {key!r}{nearest(key, parsers)}")
            continue
        try:
            options[key] = parsers[key](value)
        except ValueError as problem:
            problems.append(f"{key}: {problem}")
    if problems:
        raise SourceError(
            "\n".join(["the options of the source are wrong", *(f"  - {problem}" for problem in problems)]),
            where=uri,
            hint=f"known: {', '.join(parsers)}; as in {example}",
        )
    return options


def one_of(known: Collection[str]) -> Callable[[str], str]:
    """A parser for an option that can have these values only."""

    def parse(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}, found {value!r}{nearest(value, known)}")
        return value

    return parse


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A parser for an option that is a whole number within bounds, both included."""

    def parse(value: str) -> int:
        # A number of thousands of digits is not worth reading.
        is_number = value.isascii() and value.isdecimal() and len(value) <= len(str(highest))
        if not is_number or not lowest <= int(value) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}, found {value!r}")
        return int(value)

    return parse


def nearest(name: str, known: Collection[str]) -> str:
    """`, did you mean 'x'?` for the known name that is like `name`, or nothing."""
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""
