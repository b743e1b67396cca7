"""A run folder → what a report shows of it; files are read as training left them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ocrtune.config import Config, read_config
from ocrtune.data.held_out import held_out_pages
from ocrtune.data.mixing import split_data
from ocrtune.errors import OcrtuneError, ReportError
from ocrtune.evaluation import Evaluation, evaluate_predictions, measure_differences, read_predictions
from ocrtune.inputs import read_recipe
from ocrtune.records import Finding, ImageSource, Page, Prediction
from ocrtune.reports.evaluation_folder import EXPECTED, read_json, read_rows
from ocrtune.reports.made import read_facts, read_mixture, read_versions, tell_command, tell_precision
from ocrtune.reports.records import Curve, CurvePoint, LearningRow, Report, ReportPage
from ocrtune.reports.result_files import Row, read_card, read_confusions, read_slices, read_verdict
from ocrtune.reports.scores import Verdict
from ocrtune.reports.wording import format_count
from ocrtune.sources import read_pages
from ocrtune.text import normalize

SIDE = "tuned"

TOLD_FILE = "told.json"
"""Title, summary, command and findings that take the place of the run's own, where somebody wrote them down."""

TESTS = {"before": "test-before.jsonl", "after": "test-after.jsonl"}
"""What was read on the test pages before and after the run, under `predictions/`: they say more than held-out pages."""

_LOSSES = {"loss": "training loss", "validation_loss": "loss on held-out pages"}
_RATES = {"cer": "CER on held-out pages", "cer_clipped": "CER, no page above 100 %"}
_LEARNING_RATES = {"learning_rate": "learning rate"}


def report_run(run: Path, *, reference: str | None = None) -> Report:
    """The report of a finished run: its curves and tables, and what its best checkpoint read.

    Shown are the test pages if they were read before and after the run, else the held-out pages. Where they cannot be read any
    more the report has no pages and a note that says why.

    Args:
        run: The run folder.
        reference: Where the pages are, if they have been moved.

    Raises:
        ReportError: A file of the run is missing or broken, so it is not a run or not finished; or `reference` has not
            all of the pages.
        SourceError: `reference` cannot be read.
    """
    config = read_config(str(_existing(run / "config.yaml")))
    summary = read_json(run / "summary.json")
    try:
        report = _without_pages(run, config, summary)
        best_step = int(read_json(run / "best.json")["step"])
        validated = bool(summary["validation_pages"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(
            f"a key is missing or of a wrong kind: {error!r}",
            where=str(run),
            hint="it is no run, or a broken one",
        ) from error
    read = _Read(run, config, reference)
    if all((run / "predictions" / name).is_file() for name in TESTS.values()):
        return read.tests(report)
    return read.held_out(report, best_step) if validated else report


def add_side(
    report: Report,
    name: str,
    evaluation: Evaluation,
    images: Mapping[str, ImageSource | None],
    *,
    against: Evaluation | None = None,
) -> Report:
    """The report with one more side: its card, and its reading on each page.

    Args:
        report: With no side, or with one that was scored on the same pages.
        name: Of the side.
        evaluation: Its scores.
        images: Page → picture.
        against: The evaluation of the side before, on the same pages; None for the first side.
    """
    result = evaluation.as_dict()
    pages = tuple(ReportPage.of(images.get(score.image), score) for score in evaluation.scores)
    if report.pages:
        pages = tuple(
            replace(old, readings=(*old.readings, *new.readings))
            for old, new in zip(report.pages, pages, strict=True)
        )
    return replace(
        report,
        sides=(*report.sides, name),
        cards=(*report.cards, read_card(result)),
        verdict=None if against is None else _verdict(against, evaluation),
        normalization=str(evaluation.scorecard.normalization),
        slices=() if report.sides else read_slices(result),
        confusions=read_confusions(*([] if against is None else [against.as_dict()]), result),
        pages=pages,
    )


def first_image(page: Page) -> ImageSource | None:
    """The page's first image; None for text alone."""
    return page.images[0] if page.images else None


class _Read:
    """What was read on pages that are found again.

    Args:
        run: The run folder.
        config: Of the run.
        reference: Where the pages are instead of where they were.
    """

    def __init__(self, run: Path, config: Config, reference: str | None) -> None:
        self._run = run
        self._config = config
        self._reference = reference

    def held_out(self, report: Report, step: int) -> Report:
        """The report with what the best checkpoint read on held-out pages."""
        path = _existing(self._run / "predictions" / f"step-{step:06d}.jsonl")
        rule = self._config.data.normalization

        def as_learned() -> Iterator[Page]:
            for page in (
                held_out_pages(self._config) if self._reference is None else read_pages(self._reference)
            ):
                yield replace(page, text=normalize(page.text or "", rule))

        return self._added(report, {SIDE: path}, as_learned)

    def tests(self, report: Report) -> Report:
        """The report with what was read on test pages before and after."""
        paths = {side: self._run / "predictions" / name for side, name in TESTS.items()}

        def as_they_are() -> Iterable[Page]:
            if self._reference is not None:
                return read_pages(self._reference)
            return split_data(self._config.data, self._config.run.seed).test

        return self._added(report, paths, as_they_are)

    def _added(
        self, report: Report, paths: Mapping[str, Path], find_pages: Callable[[], Iterable[Page]]
    ) -> Report:
        predictions = {side: read_predictions(path) for side, path in paths.items()}
        try:
            pages = self._pages(predictions, find_pages)
        except (OcrtuneError, OSError) as error:
            if self._reference is not None:
                raise
            return replace(report, notes=(*report.notes, _missing(error)))
        images = {page.name: first_image(page) for page in pages}
        before: Evaluation | None = None
        for side, rows in predictions.items():
            evaluation = evaluate_predictions(
                rows, pages, normalization=self._config.evaluation.normalization
            )
            report = add_side(report, side, evaluation, images, against=before)
            before = evaluation
        return report

    def _pages(
        self, predictions: Mapping[str, Sequence[Prediction]], find_pages: Callable[[], Iterable[Page]]
    ) -> list[Page]:
        """The pages that were read."""
        known = {page.name: page for page in find_pages()}
        names = list(dict.fromkeys(row.image for rows in predictions.values() for row in rows))
        gone = [name for name in names if name not in known]
        if gone:
            where = self._reference or self._config.data.validation_uri or self._config.data.title
            raise ReportError(
                f"{format_count(len(gone), 'page')} that the run read, such as {gone[0]!r}, "
                f"{'is' if len(gone) == 1 else 'are'} not in {where} any more",
                where=str(self._run),
            )
        return [known[name] for name in names]


def _missing(error: Exception) -> str:
    """Why there are no pages, in words."""
    told = error.message if isinstance(error, OcrtuneError) else str(error)
    return (
        f"No page is shown, and no score: the pages that were read cannot be found again: {told}. "
        "`--reference` says where they are."
    )


def _without_pages(run: Path, config: Config, summary: Row) -> Report:
    """Curves and tables."""
    best = read_json(run / "best.json")
    metrics = read_rows(_existing(run / "metrics.jsonl"))
    learning = tuple(LearningRow(**row) for row in read_json(run / "learning.json"))
    checkpoint = run / best["checkpoint"]
    report = Report(
        kind="run",
        title=f"{config.model} fine-tuned on {config.data.title}",
        summary=_summary(config, summary, best["step"]),
        losses=_curves(metrics, _LOSSES),
        rates=_curves(metrics, _RATES),
        learning_rates=_curves(metrics, _LEARNING_RATES),
        facts=tuple(read_facts(config, read_recipe(checkpoint), learning, summary, metrics)),
        mixture=tuple(read_mixture(run)),
        precision=tuple(tell_precision(read_json(run / "precision.json"))),
        learning=learning,
        findings=tuple(_findings(run)),
        skipped=tuple(_skipped(run)),
        versions=read_versions(run, checkpoint),
        command=tell_command(run, config, summary),
        base_model=config.model,
        dataset=config.data.title,
    )
    return _as_told(report, run)


def _as_told(report: Report, run: Path) -> Report:
    """The report under the title, and with the words, that were written down for it."""
    if not (run / TOLD_FILE).exists():
        return report
    told = read_json(run / TOLD_FILE)
    return replace(
        report,
        title=told.get("title", report.title),
        summary=told.get("summary", report.summary),
        command=told.get("command", report.command),
        findings=(*report.findings, *(Finding(**row) for row in told.get("findings", ()))),
    )


def _verdict(first: Evaluation, second: Evaluation) -> Verdict:
    """How sure the difference is: drawn by documents, the same ones for both."""
    return read_verdict(measure_differences(first.scores, second.scores, first.documents).as_dict())


def _summary(config: Config, summary: Row, best_step: int) -> str:
    pages = f"{format_count(summary['train_pages'], 'page')} of {config.data.title}"
    return (
        f"Learned from {pages} in {summary['steps']:,} steps; this is the checkpoint of step {best_step:,}."
    )


def _curves(metrics: Sequence[Row], names: Mapping[str, str]) -> tuple[Curve, ...]:
    curves = []
    for key, name in names.items():
        points = tuple(
            CurvePoint(step=row["step"], value=row[key]) for row in metrics if row.get(key) is not None
        )
        if points:
            curves.append(Curve(name=name, points=points))
    return tuple(curves)


def _findings(run: Path) -> Iterator[Finding]:
    """What checks found; a run without any has no such file."""
    if (run / "findings.json").exists():
        yield from (Finding(**row) for row in read_json(run / "findings.json"))


def _skipped(run: Path) -> Iterator[Finding]:
    """One finding for each reason that pages were left out for, with the first of them."""
    if not (run / "skipped.jsonl").exists():
        return
    by_reason: dict[str, list[Finding]] = {}
    for row in read_rows(run / "skipped.jsonl"):
        by_reason.setdefault(row["code"], []).append(Finding(**row))
    for found in by_reason.values():
        yield replace(found[0], count=sum(finding.count for finding in found))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ReportError(f"no {path.name}", where=str(path.parent), hint=EXPECTED)
    return path
