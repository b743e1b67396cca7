"""JSON text → values → JSON text in the one form that targets are written in."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ocrtune.errors import NotJson


class KeyTwice(ValueError):
    """An object of JSON has a key twice, and one of both values would be lost."""


def parse_json(text: str, where: str = "") -> Any:
    """The value of a JSON text, if writing it again loses nothing.

    Raises:
        NotJson: It is no JSON, an object has a key twice, a number is none that can be kept, or a string holds
            half a surrogate pair.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=unique_keys, parse_float=_exact, parse_constant=_refuse_constant
        )
        write_json(value)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"the text is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise NotJson(message, where=f"{where}, {place}" if where else place) from error
    except RecursionError as error:
        raise NotJson("the text is not JSON that can be kept: nested too deep", where=where) from error
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        message = f"the text is not JSON that can be kept: {half} is half of a surrogate pair"
        raise NotJson(message, where=where) from error
    except ValueError as error:
        raise NotJson(f"the text is not JSON that can be kept: {error}", where=where) from error
    return value


def write_json(value: object) -> str:
    """A value as JSON in one line, without spaces between its parts; letters stand as themselves.

    Raises:
        ValueError: A number is not finite, or a string holds half a surrogate pair.
        RecursionError: It is nested too deep.
    """
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    written.encode("utf-8")
    return written


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its keys and values, for `json.loads`.

    Raises:
        KeyTwice: Two keys are equal.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise KeyTwice(f"the key {twice!r} is there twice")
    return found


def _exact(written: str) -> float:
    number = float(written)
    try:
        is_kept = Decimal(written) == Decimal(repr(number))
    except ArithmeticError:
        is_kept = False
    if not is_kept:
        raise ValueError(f"the number {written[:40]} has more digits than can be kept; write it as a string")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON; write null")
