"""Predictions on disk: one JSON object a line."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from ocrtune.errors import EvaluationError
from ocrtune.records import Attempt, Prediction, StopReason, TextBox, UnsureSpan
from ocrtune.sources import write_jsonl
from ocrtune.sources.jsonl import BrokenLine, kind_of, read_jsonl, take_text, tell_problems


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions in a JSONL file, in its order.

    A line needs `image` and `text`; what else `ocrtune predict` writes may be there, other keys are left alone.

    Raises:
        EvaluationError: There is no such file, or with every broken line: no JSON object, a key missing or of a
            wrong type, an image that an earlier line has.
    """
    if not path.is_file():
        raise EvaluationError(f"there is no file {str(path)!r}", hint="`ocrtune predict` writes one")
    predictions, problems = read_jsonl(path, _named_prediction)
    if problems:
        raise EvaluationError(
            tell_problems(problems),
            where=str(path),
            hint='a line is one JSON object: {"image": "scans/1.png", "text": "what the model answered"}',
        )
    return predictions


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions as `read_predictions` reads them, atomically."""
    write_jsonl(path, (prediction.as_dict() for prediction in predictions))


def _named_prediction(row: Mapping[str, Any], _number: int) -> tuple[str, Prediction]:
    image, text = take_text(row, "image"), take_text(row, "text")
    if image is None or text is None:
        missing = "image" if image is None else "text"
        raise BrokenLine(f"no `{missing}`; its keys: {', '.join(f'`{key}`' for key in row) or 'none'}")
    num_tokens, truncated = row.get("num_tokens", 0), row.get("truncated", False)
    if isinstance(num_tokens, bool) or not isinstance(num_tokens, int) or num_tokens < 0:
        raise BrokenLine(f"`num_tokens` is {num_tokens!r}, not a count")
    if not isinstance(truncated, bool):
        raise BrokenLine(f"`truncated` is {kind_of(truncated)}, not true or false")
    further = {key: read(row[key], key) for key, read in _FURTHER.items() if row.get(key) is not None}
    return image, Prediction(image=image, text=text, num_tokens=num_tokens, truncated=truncated, **further)


def _reader(kind: Any, wanted: str) -> Callable[[Any, str], Any]:
    """Reads a value of JSON as `kind`, or tells that it is none."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def read(value: Any, key: str) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise BrokenLine(f"`{key}` is not {wanted}") from error

    return read


_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

_FURTHER: Mapping[str, Callable[[Any, str], Any]] = MappingProxyType(
    {
        "stop": _reader(StopReason, f"one of {', '.join(get_args(StopReason))}"),
        "mean_logprob": _reader(_Number, "a number"),
        "lowest_span": _reader(UnsureSpan, "an object with `logprob`, `start`, `end` and `text`"),
        "seconds": _reader(_Number, "a number"),
        "boxes": _reader(tuple[TextBox, ...], "a list of objects with `label`, `text` and `box`"),
        "attempts": _reader(tuple[Attempt, ...], "a list of attempts as `ocrtune predict` writes them"),
    }
)
"""Keys that may be there → what reads them."""
