"""A file of predictions and a source of references → an Evaluation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ocrtune.data import gather_findings
from ocrtune.errors import EvaluationError
from ocrtune.evaluation.predictions import read_predictions
from ocrtune.evaluation.scoring import score_page
from ocrtune.evaluation.summary import Scorecard, rate_page, summarize
from ocrtune.records import Finding, Page, PageScore, Prediction
from ocrtune.sources import read_pages, write_jsonl
from ocrtune.text import Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came of comparing predictions with references.

    Attributes:
        scorecard: Rates over all pages.
        scores: Counts of each page, in the order of the reference.
        findings: Pages without prediction or reference.
    """

    scorecard: Scorecard
    scores: tuple[PageScore, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, object]:
        """The scorecard with the findings, for `--json`."""
        return {**self.scorecard.as_dict(), "findings": [finding.as_dict() for finding in self.findings]}


def evaluate(predictions: Path, reference: str, *, normalization: Normalization | None = None) -> Evaluation:
    """Score a file of predictions against the texts of a source.

    Args:
        predictions: JSONL with `image` and `text`; see `read_predictions`.
        reference: Whatever `read_pages` takes; its pages are matched by name.
        normalization: Made equal before counting; the default one for None.

    Raises:
        EvaluationError: A file is broken, no page has a text, or no prediction belongs to any page.
        SourceError: The reference cannot be read.
    """
    return evaluate_predictions(
        read_predictions(predictions), read_pages(reference), normalization=normalization
    )


def evaluate_predictions(
    predictions: Sequence[Prediction], pages: Sequence[Page], *, normalization: Normalization | None = None
) -> Evaluation:
    """As `evaluate`, for what is in memory.

    A page with text but without prediction is scored as if nothing had been read on it, and is a finding; a
    prediction whose page is not there or has no text is a finding and not scored.

    Raises:
        EvaluationError: An image has two predictions, no page has a text, or no prediction belongs to any page.
    """
    normalization = normalization or Normalization()
    answers = _by_image(predictions)
    references = {page.name: page.text for page in pages if page.text is not None}
    _require_match(answers, references)
    scores = tuple(
        score_page(text, answers.get(name) or Prediction(image=name, text=""), normalization)
        for name, text in references.items()
    )
    return Evaluation(
        scorecard=summarize(scores, normalization),
        scores=scores,
        findings=tuple(gather_findings(_findings(answers, pages))),
    )


def write_scores(path: Path, scores: Iterable[PageScore]) -> None:
    """Write each page's texts, counts and rates, one JSON object a line, atomically."""
    write_jsonl(path, ({**asdict(score), **asdict(rate_page(score))} for score in scores))


def _by_image(predictions: Sequence[Prediction]) -> dict[str, Prediction]:
    answers: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.image in answers:
            raise EvaluationError(f"{prediction.image!r} has two predictions", hint="keep one of them")
        answers[prediction.image] = prediction
    return answers


def _require_match(answers: Mapping[str, Prediction], references: Mapping[str, str]) -> None:
    if not references:
        raise EvaluationError("no page of the reference has a text", hint="scores need `text`")
    if not answers.keys() & references.keys():
        raise EvaluationError(
            f"none of {len(answers)} predictions belongs to any of {len(references)} pages",
            hint=_naming_hint(answers, references),
        )


def _naming_hint(answers: Mapping[str, Prediction], references: Mapping[str, str]) -> str:
    by_file = {PurePosixPath(name).name: name for name in references}
    for image in answers:
        name = by_file.get(PurePosixPath(image).name)
        if name is not None:
            return f"`image` must be as the reference writes it: {name!r}, not {image!r}"
    return "predictions and pages are matched by `image`, letter by letter"


def _findings(answers: Mapping[str, Prediction], pages: Sequence[Page]) -> Iterator[Finding]:
    for page in pages:
        if page.text is not None and page.name not in answers:
            yield Finding(
                code="prediction-missing",
                severity="error",
                message="the page has no prediction and is scored as an empty one",
                where=page.name,
                hint="predict the whole reference, or cut the reference to what was predicted",
            )
    texts = {page.name: page.text for page in pages}
    for image in answers:
        if texts.get(image) is None:
            yield Finding(
                code="reference-missing",
                severity="warning",
                message="the prediction has no reference text and is not scored",
                where=image,
                hint="add its text to the reference",
            )
