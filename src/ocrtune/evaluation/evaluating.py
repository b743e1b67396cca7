"""A file of predictions and a source of references → an Evaluation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

from ocrtune.data import gather_findings
from ocrtune.errors import EvaluationError
from ocrtune.evaluation.columns import Columns, describe_pages
from ocrtune.evaluation.confusions import MOST_CONFUSIONS, Confusions, count_confusions
from ocrtune.evaluation.explaining import explain_micro
from ocrtune.evaluation.intervals import Intervals, measure_intervals
from ocrtune.evaluation.scoring import score_page
from ocrtune.evaluation.sides import Side, read_side
from ocrtune.evaluation.slices import Slice, slice_scores
from ocrtune.evaluation.structures import score_structures
from ocrtune.evaluation.summary import Scorecard, rate_page, summarize
from ocrtune.progress import track
from ocrtune.records import Finding, Page, PageScore, Prediction
from ocrtune.sources import read_pages, write_jsonl
from ocrtune.text import Normalization

PAGES_A_CHUNK = 500
"""What one process scores at a time."""

Pair = tuple[str, Prediction]
"""A reference and what was read."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What came of comparing predictions with references.

    Attributes:
        scorecard: Rates over all pages.
        scores: Counts of each page, in the order of the reference.
        findings: Pages without prediction or reference.
        pages: The pages of the reference that were scored, in the same order.
        predictions: What was read on each of them, as it was read.
        columns: What is known of each page, by name.
        others: Scorecards in other normalisations, with their intervals.
    """

    scorecard: Scorecard
    scores: tuple[PageScore, ...]
    findings: tuple[Finding, ...]
    pages: tuple[Page, ...]
    predictions: tuple[Prediction, ...]
    columns: Columns
    others: tuple[tuple[Scorecard, Intervals], ...] = ()

    @cached_property
    def documents(self) -> list[str]:
        """The document of each page; a page without one is a document by itself."""
        return documents_of(self.pages)

    @cached_property
    def intervals(self) -> Intervals:
        """How sure the rates are, by bootstrap over documents."""
        return measure_intervals(self.scores, self.documents)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """Scores of the parts that the columns make."""
        return slice_scores(self.scores, self.documents, self.columns)

    @cached_property
    def confusions(self) -> Confusions:
        """What was read for what."""
        return count_confusions(track(self.scores, "aligning"))

    @property
    def explanation(self) -> str:
        """Why micro CER is what it is, where a few pages rule it; else empty."""
        return explain_micro(self.scores)

    def as_dict(self) -> dict[str, object]:
        """The scorecard with all that explains it, for `--json`."""
        return {
            **self.scorecard.as_dict(),
            "intervals": self.intervals.as_dict(),
            "explanation": self.explanation,
            "normalizations": [
                {**card.as_dict(), "name": str(card.normalization), "intervals": intervals.as_dict()}
                for card, intervals in self.others
            ],
            "slices": [each.as_dict() for each in self.slices],
            "confusions": self.confusions.as_dict(most=MOST_CONFUSIONS),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def evaluate(
    predictions: Path,
    reference: str,
    *,
    normalization: Normalization | None = None,
    also: Sequence[Normalization] = (),
    by: Sequence[str] = (),
    workers: int = 1,
) -> Evaluation:
    """Score what was read against the texts of a source.

    Args:
        predictions: JSONL with `image` and `text`, or another engine's output; see `read_side`.
        reference: Whatever `read_pages` takes; its pages are matched by name.
        normalization: Made equal before counting; the default one for None.
        also: Other normalisations, each of which gives a scorecard too.
        by: Columns of the manifest, the table or the predictions to slice scores by, beside the known ones.
        workers: Processes that score.

    Raises:
        EvaluationError: A file is broken, no page has a text, no prediction belongs to any page, or no row has a column of `by`.
        SourceError: The reference cannot be read.
    """
    side, pages = read_side(predictions), read_pages(reference)
    return evaluate_predictions(
        side.predictions_of(pages),
        pages,
        normalization=normalization,
        also=also,
        by=by,
        files=column_files(reference, side),
        workers=workers,
    )


def evaluate_predictions(
    predictions: Sequence[Prediction],
    pages: Sequence[Page],
    *,
    normalization: Normalization | None = None,
    also: Sequence[Normalization] = (),
    by: Sequence[str] = (),
    files: Sequence[Path | str] = (),
    workers: int = 1,
) -> Evaluation:
    """As `evaluate`, for what is in memory.

    A page with text but without prediction is scored as if nothing had been read on it, and is a finding; a
    prediction whose page is not there or has no text is a finding and not scored.

    Args:
        predictions: At most one for each image.
        pages: The reference.
        normalization: As for `evaluate`.
        also: As for `evaluate`.
        by: As for `evaluate`.
        files: What has columns; see `describe_pages`.
        workers: As for `evaluate`.

    Raises:
        EvaluationError: An image has two predictions, no page has a text, or no prediction belongs to any page.
    """
    answers = by_image(predictions)
    scored = require_match(answers, pages)
    found = [answers.get(page.name) or Prediction(image=page.name, text="") for page in scored]
    cards = [
        _score(scored, found, each, workers, with_structures=not number)
        for number, each in enumerate(dict.fromkeys([normalization or Normalization(), *also]))
    ]
    documents = documents_of(scored)
    return Evaluation(
        scorecard=cards[0][0],
        scores=cards[0][1],
        findings=tuple(gather_findings(tell_unmatched(answers, pages))),
        pages=tuple(scored),
        predictions=tuple(found),
        columns=describe_pages(scored, files, by),
        others=tuple((card, measure_intervals(scores, documents)) for card, scores in cards[1:]),
    )


def score_pages(
    pairs: Iterable[Pair],
    normalization: Normalization,
    *,
    workers: int = 1,
    total: int | None = None,
    with_structures: bool = True,
) -> list[PageScore]:
    """The scores of pages, in their order, with progress; as `score_page` makes each.

    Args:
        pairs: References and predictions.
        normalization: Made equal before counting.
        workers: Processes; with one, all is done in this.
        total: How many pages there are, for the progress.
        with_structures: Score tables, formulas, boxes and the like as well, in texts as they are.
    """
    work = partial(_score_chunk, normalization, with_structures)
    if workers == 1:
        return _gather(map(work, _chunks(pairs)), total)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return _gather(pool.map(work, _chunks(pairs)), total)


def _gather(chunks: Iterable[list[PageScore]], total: int | None) -> list[PageScore]:
    scores: list[PageScore] = []
    for chunk in track(chunks, "scoring", total=total, size=_length):
        scores += chunk
    return scores


def _length(chunk: Sequence[PageScore]) -> int:
    return len(chunk)


def write_scores(path: Path, scores: Iterable[PageScore]) -> None:
    """Write each page's texts, counts and rates, one JSON object a line, atomically."""
    write_jsonl(path, map(score_row, scores))


def score_row(score: PageScore) -> dict[str, object]:
    """One page's texts, counts and rates."""
    return {**asdict(score), **asdict(rate_page(score)), "exact": score.exact, "empty": score.empty}


def documents_of(pages: Iterable[Page]) -> list[str]:
    """The document of each page; a page without one is a document by itself."""
    return [page.document or page.name for page in pages]


def column_files(reference: str, *sides: Side) -> list[Path | str]:
    """What may have columns: the reference, and JSONL that sides were read from."""
    return [reference, *(side.path for side in sides if side.predictions)]


def by_image(predictions: Iterable[Prediction]) -> dict[str, Prediction]:
    """Predictions by the page they are of.

    Raises:
        EvaluationError: A page has two.
    """
    answers: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.image in answers:
            raise EvaluationError(f"{prediction.image!r} has two predictions", hint="keep one of them")
        answers[prediction.image] = prediction
    return answers


def require_match(answers: Mapping[str, Prediction], pages: Iterable[Page]) -> list[Page]:
    """The pages that have a text.

    Raises:
        EvaluationError: None has, or none has a prediction.
    """
    references = {page.name: page for page in pages if page.text is not None}
    if not references:
        raise EvaluationError("no page of the reference has a text", hint="scores need `text`")
    if not answers.keys() & references.keys():
        raise EvaluationError(
            f"none of {len(answers)} predictions belongs to any of {len(references)} pages",
            hint=_naming_hint(answers, references),
        )
    return list(references.values())


def tell_unmatched(answers: Mapping[str, Prediction], pages: Sequence[Page]) -> Iterator[Finding]:
    """A finding for each page without prediction, and for each prediction without reference."""
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


def _score(
    pages: Sequence[Page],
    predictions: Sequence[Prediction],
    normalization: Normalization,
    workers: int,
    *,
    with_structures: bool,
) -> tuple[Scorecard, tuple[PageScore, ...]]:
    pairs = ((page.text or "", prediction) for page, prediction in zip(pages, predictions, strict=True))
    scores = tuple(
        score_pages(pairs, normalization, workers=workers, total=len(pages), with_structures=with_structures)
    )
    return summarize(scores, normalization), scores


def _score_chunk(
    normalization: Normalization,
    with_structures: bool,
    pairs: Sequence[Pair],
) -> list[PageScore]:
    scores = [score_page(reference, prediction, normalization) for reference, prediction in pairs]
    if not with_structures:
        return scores
    # In texts as they are: a normalisation may join lines, and blocks with them.
    return [
        replace(score, structures=score_structures(reference, prediction.text))
        for score, (reference, prediction) in zip(scores, pairs, strict=True)
    ]


def _chunks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    upcoming = iter(pairs)
    while chunk := list(islice(upcoming, PAGES_A_CHUNK)):
        yield chunk


def _naming_hint(answers: Mapping[str, Prediction], references: Iterable[str]) -> str:
    by_file = {PurePosixPath(name).name: name for name in references}
    for image in answers:
        name = by_file.get(PurePosixPath(image).name)
        if name is not None:
            return f"`image` must be as the reference writes it: {name!r}, not {image!r}"
    return "predictions and pages are matched by `image`, letter by letter"
