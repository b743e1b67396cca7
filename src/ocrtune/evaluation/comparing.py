"""Two checkpoints or engines on the same pages: which is better, how sure that is, and where."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ocrtune.data import gather_findings
from ocrtune.errors import EvaluationError
from ocrtune.evaluation.columns import Columns, describe_pages
from ocrtune.evaluation.comparison import Comparison, PagePair
from ocrtune.evaluation.differences import Differences, measure_differences
from ocrtune.evaluation.evaluating import by_image, column_files, documents_of, require_match, score_pages
from ocrtune.evaluation.sides import Side, both_named, read_side
from ocrtune.evaluation.summary import Scorecard, summarize
from ocrtune.records import Finding, Page, PageScore, Prediction
from ocrtune.sources import read_pages
from ocrtune.text import Normalization


def compare(
    reference: str,
    a: Path | Side,
    b: Path | Side,
    *,
    normalization: Normalization | None = None,
    also: Sequence[Normalization] = (),
    by: Sequence[str] = (),
    workers: int = 1,
) -> Comparison:
    """Compare what two checkpoints or engines read on the same pages.

    Pages that only one of them has read are findings, and count for neither.

    Args:
        reference: Whatever `read_pages` takes.
        a: What the one read, as `read_side` takes it.
        b: What the other read.
        normalization: Made equal before counting; the default one for None.
        also: Other normalisations, each of which gives scorecards and differences too.
        by: Columns of the manifest, the table or of JSONL predictions to slice by, beside the known ones.
        workers: Processes that score.

    Raises:
        EvaluationError: A side cannot be read or belongs to no page, both have no page in common, or no row has a column of
            `by`.
        SourceError: The reference cannot be read.
    """
    sides = both_named(*(side if isinstance(side, Side) else read_side(side) for side in (a, b)))
    pages = read_pages(reference)
    answers = _answers(sides[0], pages), _answers(sides[1], pages)
    scored = [page for page in pages if page.text is not None]
    both = [page for page in scored if page.name in answers[0] and page.name in answers[1]]
    if not both:
        raise EvaluationError(f"{sides[0].name!r} and {sides[1].name!r} have no page in common")
    rows = [
        _Row(both, answers, each, workers, with_structures=not number)
        for number, each in enumerate(dict.fromkeys([normalization or Normalization(), *also]))
    ]
    columns = describe_pages(both, column_files(reference, *sides), by)
    return _compare(sides, answers, pages, rows, columns)


Answers = Mapping[str, Prediction]


class _Row:
    """Both sides scored in one normalisation."""

    def __init__(
        self,
        pages: Sequence[Page],
        answers: tuple[Answers, Answers],
        normalization: Normalization,
        workers: int,
        *,
        with_structures: bool,
    ) -> None:
        self.pages = pages
        self.scores: tuple[list[PageScore], list[PageScore]] = (
            _score(pages, answers[0], normalization, workers, with_structures=with_structures),
            _score(pages, answers[1], normalization, workers, with_structures=with_structures),
        )
        self.a: Scorecard = summarize(self.scores[0], normalization)
        self.b: Scorecard = summarize(self.scores[1], normalization)

    def differences(self) -> Differences:
        """How much better B is."""
        return measure_differences(*self.scores, documents_of(self.pages))


def _compare(
    sides: tuple[Side, Side],
    answers: tuple[Answers, Answers],
    pages: Sequence[Page],
    rows: Sequence[_Row],
    columns: Columns,
) -> Comparison:
    scored = [page for page in pages if page.text is not None]
    one, other = ({page.name for page in scored if page.name in found} for found in answers)
    first = rows[0]
    return Comparison(
        names=(sides[0].name, sides[1].name),
        a=first.a,
        b=first.b,
        pairs=tuple(
            PagePair(page=page, a=score_a, b=score_b)
            for page, score_a, score_b in zip(first.pages, *first.scores, strict=True)
        ),
        predictions=tuple((answers[0][page.name], answers[1][page.name]) for page in first.pages),
        columns=columns,
        only_a=_in_order(scored, one - other),
        only_b=_in_order(scored, other - one),
        neither=_in_order(scored, {page.name for page in scored} - one - other),
        findings=tuple(gather_findings(_tell_left_out(sides, answers, pages))),
        others=tuple((row.a, row.b, row.differences()) for row in rows[1:]),
    )


def _score(
    pages: Sequence[Page],
    answers: Answers,
    normalization: Normalization,
    workers: int,
    *,
    with_structures: bool,
) -> list[PageScore]:
    pairs = ((page.text or "", answers[page.name]) for page in pages)
    return score_pages(
        pairs, normalization, workers=workers, total=len(pages), with_structures=with_structures
    )


def _answers(side: Side, pages: Sequence[Page]) -> dict[str, Prediction]:
    try:
        answers = by_image(side.predictions_of(pages))
        require_match(answers, pages)
    except EvaluationError as error:
        error.where = error.where or str(side.path)
        raise
    return answers


def _in_order(pages: Sequence[Page], names: set[str]) -> tuple[str, ...]:
    return tuple(page.name for page in pages if page.name in names)


def _tell_left_out(
    sides: tuple[Side, Side], answers: tuple[Answers, Answers], pages: Sequence[Page]
) -> Iterator[Finding]:
    for side, found in zip(sides, answers, strict=True):
        for page in pages:
            if page.text is not None and page.name not in found:
                yield Finding(
                    code="prediction-missing",
                    severity="warning",
                    message=f"{side.name!r} has not read the page, and it is not compared",
                    where=page.name,
                    hint="let it read the whole reference, or cut the reference to what both have read",
                )
        texts = {page.name: page.text for page in pages}
        for image in found:
            if texts.get(image) is None:
                yield Finding(
                    code="reference-missing",
                    severity="warning",
                    message=f"what {side.name!r} read has no reference text, and is not compared",
                    where=image,
                    hint="add its text to the reference",
                )
