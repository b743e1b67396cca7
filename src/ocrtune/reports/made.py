"""How a run was made: its facts, what it learned from, its dtypes, versions, and the command for the same again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrtune.config import Config
from ocrtune.families import Mode
from ocrtune.inputs import InputsRecipe
from ocrtune.inputs.recipe import CARD_FILE
from ocrtune.reports.evaluation_folder import read_json
from ocrtune.reports.records import Fact, LearningRow, MixtureRow
from ocrtune.reports.result_files import Row
from ocrtune.reports.wording import format_count, format_percent_tick, format_seconds


def read_facts(
    config: Config,
    recipe: InputsRecipe,
    learning: Sequence[LearningRow],
    summary: Row,
    metrics: Sequence[Row],
) -> Iterator[Fact]:
    """Model, inputs, pages, steps and time."""
    parameters = sum(row.parameters for row in learning)
    learn = sum(row.parameters for row in learning if row.learns)
    processes = _processes(summary)
    batch = config.training.batch_size * config.training.accumulation_steps * processes
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
    if processes > 1:
        yield Fact(name="processes", value=f"{processes} learned together")
    yield Fact(name="time", value=format_seconds(summary["elapsed_s"]))
    if speeds:
        yield Fact(name="speed", value=f"{sum(speeds) / len(speeds):.1f} images/s while training")


def read_mixture(run: Path) -> Iterator[MixtureRow]:
    """What was learned from of each source; older runs did not write it down."""
    if (run / "mixture.json").exists():
        for row in read_json(run / "mixture.json"):
            yield MixtureRow(
                name=row["name"], uri=row["uri"], pages=row.get("pages"), seen=row.get("examples_seen")
            )


def tell_precision(policy: Mapping[str, Any]) -> Iterator[Fact]:
    """Dtypes, with the reason for them."""
    yield Fact(name="policy", value=f"on {policy['device_kind']}", reason=policy["reason"])
    yield Fact(name="weights of the base", value=policy["base_dtype"])
    yield Fact(name="weights that learn", value=policy["learning_dtype"])
    yield Fact(name="autocast", value=policy["autocast_dtype"] or "none")
    yield Fact(name="loss scaler", value="on" if policy["scaler"] else "off")
    yield Fact(name="optimizer moments", value=policy["optimizer_dtype"])


def read_versions(run: Path, checkpoint: Path) -> dict[str, str]:
    """What the run was made with; of older runs only what their checkpoint was written by is known."""
    if (run / "versions.json").exists():
        return dict(read_json(run / "versions.json"))
    version = read_json(checkpoint / CARD_FILE).get("version")
    return {"ocrtune": version} if version else {}


def tell_command(run: Path, config: Config, summary: Row) -> str:
    """What makes the run once more, in a folder of its own: the one that is there is not trained in again."""
    again = run.with_name(f"{run.name}-again") if run.name else Path("again")
    settings = [f"run.folder={again}", *(["run.resume=false"] if config.run.resume else [])]
    words = ["train", str(run / "config.yaml"), *(word for each in settings for word in ("--set", each))]
    told = shlex.join(words)
    processes = _processes(summary)
    if processes == 1:
        return f"ocrtune {told}"
    return f'torchrun --standalone --nproc-per-node {processes} "$(which ocrtune)" {told}'


def _processes(summary: Row) -> int:
    return int(summary.get("processes", 1))


def _mode_in_words(mode: Mode) -> str:
    tiles = f"at most {mode.max_tiles} tiles of {mode.tile_px} px" if mode.tile_px else "no tiles"
    return f"{mode.name}: global view of {mode.global_px} px, {tiles}"
