"""Predictions on disk: one JSON object a line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ocrtune.errors import EvaluationError
from ocrtune.records import Prediction
from ocrtune.sources import write_jsonl
from ocrtune.sources.jsonl import BrokenLine, kind_of, read_jsonl, take_text, tell_problems


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions in a JSONL file, in its order.

    A line needs `image` and `text`; `num_tokens` and `truncated` may be there, other keys are left alone.

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
    return image, Prediction(image=image, text=text, num_tokens=num_tokens, truncated=truncated)
