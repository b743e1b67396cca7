"""The run folder: what lies where, and which checkpoint a run goes on from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocrtune.config import Config, write_config
from ocrtune.errors import TrainingError
from ocrtune.models.checkpoint import BEST_FILE, RUN_FILE
from ocrtune.progress import say
from ocrtune.records import Finding
from ocrtune.sources.writing import write_jsonl, write_text_atomically

MATERIALS_FILE = "materials.json"

TRAINER_STATE = "trainer_state.json"
"""The Trainer writes it last: a checkpoint that has it is whole."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run folder.

    Attributes:
        path: The folder.
        writes: Whether this process keeps its files; of several one does.
    """

    path: Path
    writes: bool = True

    @property
    def config(self) -> Path:
        """The resolved recipe."""
        return self.path / RUN_FILE

    @property
    def metrics(self) -> Path:
        """One JSON object a line: losses, speeds, scores."""
        return self.path / "metrics.jsonl"

    @property
    def skipped(self) -> Path:
        """Pages that were skipped, and why."""
        return self.path / "skipped.jsonl"

    def start_skipped(self, skipped: Sequence[Finding], *, goes_on: bool) -> None:
        """Write down what is left out from the start; a stream that goes on keeps what it has left out so far."""
        if not self.writes:
            return
        rows = [finding.as_dict() for finding in skipped]
        write_jsonl(self.skipped, [*(self.read_skipped() if goes_on else []), *rows])

    def finish_skipped(self) -> list[dict[str, Any]]:
        """Leave each page in the list once, and tell them."""
        rows = self.read_skipped()
        if self.writes:
            write_jsonl(self.skipped, rows)
        return rows

    def read_skipped(self) -> list[dict[str, Any]]:
        """What was left out so far, each page once: steps may have been done again, and pages come every epoch."""
        if not self.skipped.exists():
            return []
        lines = self.skipped.read_text(encoding="utf-8").splitlines()
        rows = {(row["code"], row["where"]): row for row in map(json.loads, lines)}
        return list(rows.values())

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def predictions(self) -> Path:
        """Folder of held-out predictions, one file for each evaluation."""
        return self.path / "predictions"

    @property
    def best(self) -> Path:
        """Says which checkpoint is the best."""
        return self.path / BEST_FILE

    @property
    def base(self) -> Path:
        """The built-in model, where a recipe names it."""
        return self.path / "base"

    @property
    def has_steps(self) -> bool:
        """A run got as far as its first logged step."""
        return self.metrics.exists() or self.checkpoints.exists()

    def write_json(self, name: str, value: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> Path:
        """Write `value` as `name` in the folder, atomically, if this process writes."""
        path = self.path / name
        plain = dict(value) if isinstance(value, Mapping) else list(value)
        if self.writes:
            write_text_atomically(path, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")
        return path

    def last_checkpoint(self) -> Path | None:
        """The whole checkpoint of the latest step; one cut off while it was written does not count."""
        whole = [path.parent for path in self.checkpoints.glob(f"checkpoint-*/{TRAINER_STATE}")]
        return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The optimizer step a checkpoint folder is named by."""
    return int(checkpoint.name.rpartition("-")[2])


def open_run(config: Config, *, writes: bool = True) -> RunFolder:
    """Make the run folder, or find it again to resume, and write the resolved recipe.

    A folder in which no step was logged holds no run: after a mistake in recipe or data it is used again.

    Args:
        config: The recipe.
        writes: False in the other processes of a run, which take the folder as they find it.

    Raises:
        TrainingError: The folder holds a run already and the recipe does not say to resume it.
    """
    folder = RunFolder(Path(config.run.folder), writes)
    if not writes:
        return folder
    if folder.has_steps and not config.run.resume:
        raise TrainingError(
            f"the run folder {folder.path} holds a run already",
            hint="go on with it by --set run.resume=true, or name another by --set run.folder=…",
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    write_config(config, folder.config)
    return folder


def forget_metrics_after(folder: RunFolder, step: int) -> None:
    """Drop logged lines of steps that a resumed run does once more."""
    if not folder.metrics.exists():
        return
    rows = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    write_jsonl(folder.metrics, [row for row in rows if row["step"] <= step])


def check_materials(folder: RunFolder, materials: Mapping[str, str]) -> list[Finding]:
    """Write down what a run's pages are or are made of, and tell a resumed run what of it is not as it was.

    The run goes on all the same: it may have been moved to another machine on purpose.

    Args:
        folder: The run's.
        materials: By kind, such as the digest of fonts, or how many pages there are of which source.
    """
    path = folder.path / MATERIALS_FILE
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else materials
    changed = [kind for kind in materials if materials[kind] != before.get(kind)]
    if materials:
        folder.write_json(MATERIALS_FILE, materials)
    if not changed:
        return []
    finding = Finding(
        code="data-changed",
        severity="warning",
        message=f"the run goes on with other {', '.join(changed)} than it began with",
        where=str(path),
        hint="its losses are not those it would have had",
    )
    say(f"warning: {finding.message} ({finding.hint})")
    return [finding]
