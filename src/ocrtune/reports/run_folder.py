"""A run folder → what a report shows of it; files are read as training left them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrtune.config import Config, read_config
from ocrtune.data.held_out import held_out_pages
from ocrtune.errors import SourceError
from ocrtune.evaluation import read_predictions, score_page, summarize
from ocrtune.families import Mode
from ocrtune.inputs import InputsRecipe, read_recipe
from ocrtune.records import Finding, Page
from ocrtune.reports.records import Curve, CurvePoint, Fact, LearningRow, ReportLine, RunReport
from ocrtune.reports.wording import format_count, format_percent_tick, format_seconds
from ocrtune.text import normalize

MAX_LINES = 100
"""Most held-out pages shown one by one; the scores are of all."""

_LOSSES = {"loss": "training loss", "validation_loss": "loss on held-out pages"}
_RATES = {"cer": "CER on held-out pages", "cer_clipped": "CER, no page above 100 %"}


def report_run(run: Path) -> RunReport:
    """The report of a finished run: its curves and tables, and what its best checkpoint read on held-out pages.

    Args:
        run: The run folder.

    Raises:
        SourceError: A file of the run is missing, so it is not a run or not finished, or a held-out page is not in
            the source any more.
    """
    config = read_config(_existing(run / "config.yaml"))
    best = _read_json(run / "best.json")
    summary = _read_json(run / "summary.json")
    lines = _held_out_lines(run, config, step=best["step"]) if summary["validation_pages"] else ()
    metrics = _read_rows(_existing(run / "metrics.jsonl"))
    learning = tuple(LearningRow(**row) for row in _read_json(run / "learning.json"))
    recipe = read_recipe(run / best["checkpoint"])
    pages = f"{summary['train_pages']:,} pages of {config.data.title}"
    return RunReport(
        title=f"{config.model} fine-tuned on {config.data.title}",
        summary=f"Learned from {pages} in {summary['steps']:,} steps; this is the checkpoint of step {best['step']:,}.",
        after=summarize([line.after for line in lines], config.evaluation.normalization) if lines else None,
        losses=_curves(metrics, _LOSSES),
        rates=_curves(metrics, _RATES),
        facts=tuple(_facts(config, recipe, learning, summary, metrics)),
        precision=tuple(_precision(_read_json(run / "precision.json"))),
        learning=learning,
        findings=tuple(_findings(run)),
        lines=lines[:MAX_LINES],
    )


def _held_out_lines(run: Path, config: Config, *, step: int) -> tuple[ReportLine, ...]:
    pages = {page.name: page for page in held_out_pages(config)}
    lines = []
    for prediction in read_predictions(_existing(run / "predictions" / f"step-{step:06d}.jsonl")):
        if prediction.image not in pages:
            raise SourceError(
                f"the held-out page {prediction.image!r} is not in {config.data.validation_uri or config.data.title} any more",
                where=str(run),
            )
        page = pages[prediction.image]
        reference = normalize(page.text or "", config.data.normalization)
        score = score_page(reference, prediction, config.evaluation.normalization)
        lines.append(ReportLine(image=first_image(page), after=score))
    return tuple(lines)


def first_image(page: Page) -> Any:
    """The page's first image; None for text alone."""
    return page.images[0] if page.images else None


def _curves(metrics: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> tuple[Curve, ...]:
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
    summary: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
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


def _precision(policy: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact(name="policy", value=f"on {policy['device_kind']}", reason=policy["reason"])
    yield Fact(name="weights of the base", value=policy["base_dtype"])
    yield Fact(name="weights that learn", value=policy["learning_dtype"])
    yield Fact(name="autocast", value=policy["autocast_dtype"] or "none")
    yield Fact(name="loss scaler", value="on" if policy["scaler"] else "off")
    yield Fact(name="optimizer moments", value=policy["optimizer_dtype"])


def _findings(run: Path) -> Iterator[Finding]:
    """What checks found, then pages that were skipped; a run without any has no such file."""
    found = run / "findings.json"
    if found.exists():
        yield from (Finding(**row) for row in _read_json(found))
    skipped = run / "skipped.jsonl"
    if skipped.exists():
        yield from (Finding(**row) for row in _read_rows(skipped))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise SourceError(
            f"no {path.name}", where=str(path.parent), hint="a report needs the folder of a finished run"
        )
    return path


def _read_json(path: Path) -> Any:
    return json.loads(_existing(path).read_text(encoding="utf-8"))


def _read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
