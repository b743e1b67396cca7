"""Answers in JSON: which fields are right, wrong, missing or made up."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rapidfuzz.distance import Levenshtein

FieldState = Literal["right", "wrong", "missing", "extra"]

_FENCE = "```"
_FENCE_LINE = re.compile(r"```[A-Za-z]*\s*")
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field of an answer.

    Attributes:
        path: Where it is, such as `$.lines[3].total`.
        state: `right`; `wrong`, another value or one of another type; `missing` in the prediction; `extra` in it.
        ned: Edits between the values as text, by the longer one; 1 for a missing or an extra field.
    """

    path: str
    state: FieldState
    ned: float

    @property
    def name(self) -> str:
        """The path without places in lists, such as `$.lines[*].total`: one name for a field of many items."""
        return _INDEX.sub("[*]", self.path)


@dataclass(frozen=True, slots=True)
class JsonScore:
    """All fields of an answer.

    Attributes:
        is_valid: The prediction is JSON.
        fields: Those of the reference in its order, then the extra ones.
    """

    is_valid: bool
    fields: tuple[FieldScore, ...]

    @property
    def accuracy(self) -> float:
        """Right fields by all fields of either side; 1 where there are none, 0 where the prediction is no JSON."""
        if not self.is_valid or not self.fields:
            return float(self.is_valid)
        return sum(field.state == "right" for field in self.fields) / len(self.fields)

    @property
    def ned(self) -> float:
        """Mean of the fields' edit distances; 1 where the prediction is no JSON."""
        if not self.is_valid or not self.fields:
            return float(not self.is_valid)
        return sum(field.ned for field in self.fields) / len(self.fields)


@dataclass(frozen=True, slots=True)
class FieldRates:
    """One field over a set of answers.

    Attributes:
        count: How often either side has it.
        accuracy: Share of them that is right.
        ned: Mean edit distance of the values, missing and extra ones as 1.
        missing: How often the prediction lacks it.
        extra: How often only the prediction has it.
    """

    count: int
    accuracy: float
    ned: float
    missing: int
    extra: int

    def as_dict(self) -> dict[str, object]:
        """The rates for `--json`."""
        return asdict(self)


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or list; quick where it is not. A list of numbers, such as `[12]`, is a note's mark."""
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    found = _parse(text)
    if isinstance(found, list):
        return not found or not all(isinstance(item, int | float) for item in found)
    return isinstance(found, dict)


def score_json(reference: str, prediction: str) -> JsonScore:
    """Compare the fields of two JSON texts by their paths; items of lists by their places.

    Numbers are equal by value and strings letter by letter; a number is never equal to a string. A code fence around
    the prediction is taken off. Empty objects and lists are values of their own.

    Args:
        reference: JSON.
        prediction: JSON, or what was meant as such.

    Raises:
        ValueError: The reference is no JSON.
    """
    wanted = dict(_flatten(_parse_strictly(reference), "$"))
    answer = _parse(_without_fence(prediction))
    if answer is _NOTHING:
        return JsonScore(is_valid=False, fields=tuple(FieldScore(path, "missing", 1.0) for path in wanted))
    found = dict(_flatten(answer, "$"))
    fields = [_compare(path, value, found.get(path, _NOTHING)) for path, value in wanted.items()]
    fields += [FieldScore(path, "extra", 1.0) for path in found if path not in wanted]
    return JsonScore(is_valid=True, fields=tuple(fields))


def rate_fields(scores: Iterable[JsonScore]) -> dict[str, FieldRates]:
    """The rates of each field by its name, over a set of answers, in the order in which fields first came."""
    by_name: dict[str, list[FieldScore]] = defaultdict(list)
    for score in scores:
        for field in score.fields:
            by_name[field.name].append(field)
    return {name: _rate(fields) for name, fields in by_name.items()}


def _rate(fields: list[FieldScore]) -> FieldRates:
    states = [field.state for field in fields]
    return FieldRates(
        count=len(fields),
        accuracy=states.count("right") / len(fields),
        ned=sum(field.ned for field in fields) / len(fields),
        missing=states.count("missing"),
        extra=states.count("extra"),
    )


_NOTHING = object()
"""Stands for a value that is not there, which None does not: JSON has null."""


def _without_fence(text: str) -> str:
    """What stands between the lines of a code fence; the text itself without one."""
    begin, line_break, rest = text.strip().partition("\n")
    if line_break and rest.endswith(_FENCE) and _FENCE_LINE.fullmatch(begin):
        return rest.removesuffix(_FENCE)
    return text


def _parse(text: str) -> Any:
    try:
        return _parse_strictly(text)
    except ValueError:
        return _NOTHING


def _parse_strictly(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is none.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value that holds no others, with its path."""
    opened = [(path, value)]
    while opened:
        here, held = opened.pop()
        if isinstance(held, dict) and held:
            opened += [(f"{here}{_step(key)}", item) for key, item in reversed(held.items())]
        elif isinstance(held, list) and held:
            opened += [(f"{here}[{place}]", item) for place, item in reversed(list(enumerate(held)))]
        else:
            yield here, held


def _step(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"


def _compare(path: str, wanted: Any, found: Any) -> FieldScore:
    if found is _NOTHING:
        return FieldScore(path, "missing", 1.0)
    are_equal = _kind(wanted) == _kind(found) and wanted == found
    ned = 0.0 if are_equal else Levenshtein.normalized_distance(_as_text(wanted), _as_text(found))
    return FieldScore(path, "right" if are_equal else "wrong", ned)


def _kind(value: Any) -> type:
    """The type, with one for all numbers; true and 1 are equal to Python alone."""
    return float if type(value) is int else type(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
