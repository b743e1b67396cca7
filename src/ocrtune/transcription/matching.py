"""Predictions and pages, brought together by the pages' names."""

from collections.abc import Sequence
from dataclasses import replace

from ocrtune.errors import ExportError
from ocrtune.records import Finding, Page, Prediction


def match_predictions(
    pages: Sequence[Page], predictions: Sequence[Prediction]
) -> tuple[list[Page], list[Finding]]:
    """The pages with the predictions' texts in place of their own, and what has no counterpart.

    A page without prediction keeps its own text.

    Raises:
        ExportError: No prediction belongs to any page.
    """
    answers = {prediction.image: prediction for prediction in predictions}
    names = {page.name for page in pages}
    if not answers.keys() & names:
        example = next(iter(names), "none")
        raise ExportError(
            f"none of {len(answers)} predictions belongs to any of {len(names)} pages",
            hint=f"`image` must be a page's name, such as {example!r}: predict with the same uri",
        )
    findings = [_unmatched("prediction-unmatched", name) for name in answers if name not in names]
    findings += [_unmatched("prediction-missing", page.name) for page in pages if page.name not in answers]
    findings += [_truncated(answer) for answer in predictions if answer.truncated and answer.image in names]
    return [_with_answer(page, answers.get(page.name)) for page in pages], findings


def _with_answer(page: Page, answer: Prediction | None) -> Page:
    return page if answer is None else replace(page, text=answer.text)


def _unmatched(code: str, name: str) -> Finding:
    messages = {
        "prediction-unmatched": "the prediction belongs to no page and is left out",
        "prediction-missing": "the page has no prediction and keeps its own text",
    }
    return Finding(code=code, severity="warning", message=messages[code], where=name)


def _truncated(answer: Prediction) -> Finding:
    message = "the answer was cut by the length limit and is written as far as it goes"
    return Finding(code="answer-truncated", severity="warning", message=message, where=answer.image)
