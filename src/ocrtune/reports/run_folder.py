"""A run folder → what a report shows of it; files are read as training left them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ocrtune.config import Config, read_config
from ocrtune.data.held_out import held_out_pages
from ocrtune.errors import ReportError
from ocrtune.evaluation import Evaluation, evaluate_predictions, measure_differences, read_predictions
from ocrtune.families import Mode
from ocrtune.inputs import InputsRecipe, read_recipe
from ocrtune.inputs.recipe import CARD_FILE
from ocrtune.records import Finding, ImageSource, Page, Prediction
from ocrtune.reports.evaluation_folder import EXPECTED, read_json, read_rows
from ocrtune.reports.records import Curve, CurvePoint, Fact, LearningRow, MixtureRow, Report, ReportPage
from ocrtune.reports.result_files import Row, read_card, read_confusions, read_slices, read_verdict
from ocrtune.reports.scores import Verdict
from ocrtune.reports.wording import format_count, format_percent_tick, format_seconds
from ocrtune.text import normalize

SIDE = "tuned"

_LOSSES = {"loss": "training loss", "validation_loss": "loss on held-out pages"}
_RATES = {"cer": "CER on held-out pages", "cer_clipped": "CER, no page above 100 %"}
_LEARNING_RATES = {"learning_rate": "learning rate"}


def report_run(run: Path) -> Report:
    """The report of a finished run: its curves and tables, and what its best checkpoint read on held-out pages.

    Args:
        run: The run folder.

    Raises:
        ReportError: A file of the run is missing or broken, so it is not a run or not finished, or a held-out page is
            not in the source any more.
        SourceError: The held-out pages cannot be read.
    """
    config = read_config(str(_existing(run / "config.yaml")))
    best = read_json(run / "best.json")
    summary = read_json(run / "summary.json")
    metrics = read_rows(_existing(run / "metrics.jsonl"))
    learning = tuple(LearningRow(**row) for row in read_json(run / "learning.json"))
    recipe = read_recipe(run / best["checkpoint"])
    report = Report(
        kind="run",
        title=f"{config.model} fine-tuned on {config.data.title}",
        summary=_summary(config, summary, best["step"]),
        losses=_curves(metrics, _LOSSES),
        rates=_curves(metrics, _RATES),
        learning_rates=_curves(metrics, _LEARNING_RATES),
        facts=tuple(_facts(config, recipe, learning, summary, metrics)),
        mixture=tuple(_mixture(run)),
        precision=tuple(_precision(read_json(run / "precision.json"))),
        learning=learning,
        findings=tuple(_findings(run)),
        skipped=tuple(_skipped(run)),
        versions=_versions(run / best["checkpoint"]),
        command=f"ocrtune train {run / 'config.yaml'}",
        base_model=config.model,
        dataset=config.data.title,
    )
    return _with_held_out(report, run, config, best["step"]) if summary["validation_pages"] else report


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


def _verdict(first: Evaluation, second: Evaluation) -> Verdict:
    """How sure the difference is: drawn by documents, the same ones for both."""
    return read_verdict(measure_differences(first.scores, second.scores, first.documents).as_dict())


def first_image(page: Page) -> ImageSource | None:
    """The page's first image; None for text alone."""
    return page.images[0] if page.images else None


def _with_held_out(report: Report, run: Path, config: Config, step: int) -> Report:
    """What the best checkpoint read on held-out pages."""
    pages = {page.name: page for page in held_out_pages(config)}
    predictions = read_predictions(_existing(run / "predictions" / f"step-{step:06d}.jsonl"))
    chosen = [_held_out(prediction, pages, config, run) for prediction in predictions]
    evaluation = evaluate_predictions(predictions, chosen, normalization=config.evaluation.normalization)
    return add_side(report, SIDE, evaluation, {page.name: first_image(page) for page in chosen})


def _held_out(prediction: Prediction, pages: Mapping[str, Page], config: Config, run: Path) -> Page:
    """The page of a prediction, with the text that was learned."""
    if prediction.image not in pages:
        raise ReportError(
            f"the held-out page {prediction.image!r} is not in {config.data.validation_uri or config.data.title} any more",
            where=str(run),
        )
    page = pages[prediction.image]
    return replace(page, text=normalize(page.text or "", config.data.normalization))


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


def _facts(
    config: Config,
    recipe: InputsRecipe,
    learning: Sequence[LearningRow],
    summary: Row,
    metrics: Sequence[Row],
) -> Iterator[Fact]:
    parameters = sum(row.parameters for row in learning)
    learn = sum(row.parameters for row in learning if row.learns)
    batch = config.training.batch_size * config.training.accumulation_steps
    speeds = [row["images_per_s"] for row in metrics if "images_per_s" in row]
    yield Fact(name="model", value=f"{config.model}, {recipe.family.title}, {parameters:,} parameters")
    yield Fact(
        name="tuning",
        value=f"{config.tuning.method}: {format_percent_tick(learn / max(parameters, 1))} of them learn",
    )
    yield Fact(name="mode", value=_mode_in_words(recipe.mode))
    yield Fact(name="prompt", value=recipe.prompt.replace("\n", "⏎"))
    yield Fact(
        name="pages",
        value=f"{summary['train_pages']:,} learned from, {summary['validation_pages']:,} held out to choose",
    )
    yield Fact(name="steps", value=f"{summary['steps']:,} of {format_count(batch, 'page')} each")
    yield Fact(name="time", value=format_seconds(summary["elapsed_s"]))
    if speeds:
        yield Fact(name="speed", value=f"{sum(speeds) / len(speeds):.1f} images/s while training")


def _mode_in_words(mode: Mode) -> str:
    tiles = f"at most {mode.max_tiles} tiles of {mode.tile_px} px" if mode.tile_px else "no tiles"
    return f"{mode.name}: global view of {mode.global_px} px, {tiles}"


def _mixture(run: Path) -> Iterator[MixtureRow]:
    """What was learned from of each source; older runs did not write it down."""
    if (run / "mixture.json").exists():
        for row in read_json(run / "mixture.json"):
            yield MixtureRow(
                name=row["name"], uri=row["uri"], pages=row.get("pages"), seen=row.get("examples_seen")
            )


def _precision(policy: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact(name="policy", value=f"on {policy['device_kind']}", reason=policy["reason"])
    yield Fact(name="weights of the base", value=policy["base_dtype"])
    yield Fact(name="weights that learn", value=policy["learning_dtype"])
    yield Fact(name="autocast", value=policy["autocast_dtype"] or "none")
    yield Fact(name="loss scaler", value="on" if policy["scaler"] else "off")
    yield Fact(name="optimizer moments", value=policy["optimizer_dtype"])


def _versions(checkpoint: Path) -> dict[str, str]:
    """What the checkpoint was written by."""
    version = read_json(checkpoint / CARD_FILE).get("version")
    return {"ocrtune": version} if version else {}


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
