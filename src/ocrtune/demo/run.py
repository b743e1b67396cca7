"""`run_demo`: what `make demo` does, step by step."""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ocrtune.config import Config, read_config
from ocrtune.data.mixing import split_data
from ocrtune.demo.material import SCRIPT, Material, book_material, sample_material
from ocrtune.demo.pdf_book import FINDINGS, draw_book
from ocrtune.errors import TrainingError
from ocrtune.evaluation import Scorecard, score_page, summarize, write_predictions
from ocrtune.export import export
from ocrtune.inputs import InputsRecipe
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.prediction import predict
from ocrtune.progress import say
from ocrtune.records import Page, PageScore, Prediction
from ocrtune.reports import format_percent, report_run, write_report
from ocrtune.reports.run_folder import TESTS, TOLD_FILE
from ocrtune.training import TrainingResult, train
from ocrtune.training.folder import RunFolder
from ocrtune.training.train import find_base

PRESET = "tiny-demo"
LINES = "lines"
"""Folder in the run folder of the lines that were cut from a PDF."""

MARKER = ".ocrtune-demo"
"""Lies in a folder that a demo made, and that the next one may replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Attributes:
        cer_before: Micro CER of the small model on the test lines before training.
        cer_after: The same of the best checkpoint.
        report: The HTML report.
        export: The folder others can load.
        export_matches: The export, loaded again, read every test line as the checkpoint did.
    """

    cer_before: float
    cer_after: float
    report: Path
    export: Path
    export_matches: bool

    def as_dict(self) -> dict[str, object]:
        """The result for `--json`."""
        return {
            "cer_before": self.cer_before,
            "cer_after": self.cer_after,
            "report": str(self.report),
            "export": str(self.export),
            "export_matches": self.export_matches,
        }


def run_demo(
    run: Path,
    *,
    pdf: Path | None = None,
    pages: range | None = None,
    overrides: Sequence[str] = (),
) -> DemoResult:
    """Fine-tune the small model on real lines, and show what came of it.

    Args:
        run: The run folder; one that an earlier demo made is replaced.
        pdf: A typeset Russian book with a text layer, as PDF or `.pdf.gz`, to adapt the model to; without it the
            sample lines are learned from.
        pages: Numbers of the PDF's pages to draw lines from, from 1; all without it.
        overrides: Changes to the recipe `tiny-demo`, such as `training.max_steps=10`.

    Raises:
        TrainingError: `run` holds something that no demo made.
        SourceError: The PDF cannot be read, or has too few lines in Cyrillic.
    """
    config = demo_config(run, overrides)
    # Before an earlier demo is thrown away: the PDF may be none.
    book = None if pdf is None else draw_book(pdf, SCRIPT, seed=config.run.seed, pages=pages)
    start_folder(run)
    material = sample_material(config) if book is None else book_material(config, book, run / LINES)
    if material.findings:
        say(f"what was passed over in the PDF: {run / LINES / FINDINGS}")
    return fine_tune_and_show(material, run, command=tell_command(run, pdf, pages))


def tell_command(run: Path, pdf: Path | None, pages: range | None) -> str:
    """What makes the demo again."""
    words = ["ocrtune", "demo", "--run", str(run)]
    if pdf is not None:
        words += ["--language", "ru", "--pdf", str(pdf)]
    if pages:
        words += ["--pages", f"{pages[0]}-{pages[-1]}"]
    return shlex.join(words)


def fine_tune_and_show(material: Material, run: Path, *, command: str) -> DemoResult:
    """The demo's steps, the same for all lines."""
    config = material.config
    pages = split_data(config.data, config.run.seed).test
    say(f"1/5 the small model reads {len(pages)} lines from which it will not learn")
    before = read_before(config, pages)
    cer_before = _card(pages, before, config).cer.micro
    say(f"    CER {format_percent(cer_before)}")
    say("2/5 fine-tuning")
    result = train(config)
    say("3/5 the best checkpoint reads the same lines")
    after = _read(load_checkpoint(result.best, device=config.training.device), config, pages)
    cer_after = _card(pages, after, config).cer.micro
    say(f"    CER {format_percent(cer_after)}")
    say("4/5 exporting, and reading them once more with the export")
    exported = export(result.best, run / "export").folder
    again = _read(load_checkpoint(exported, device=config.training.device), config, pages)
    say("5/5 writing the report")
    for side, predictions in (("before", before), ("after", after)):
        write_predictions(run / "predictions" / TESTS[side], predictions)
    write_told(material, result, len(pages), command)
    write_report(report_run(run), run / "report.html")
    return DemoResult(
        cer_before=cer_before,
        cer_after=cer_after,
        report=run / "report.html",
        export=exported,
        export_matches=[row.text for row in after] == [row.text for row in again],
    )


def demo_config(run: Path, overrides: Sequence[str] = ()) -> Config:
    """The recipe `tiny-demo`, in the folder `run`."""
    config = read_config(PRESET, overrides)
    return config.model_copy(update={"run": config.run.model_copy(update={"folder": str(run)})})


def start_folder(run: Path) -> None:
    """Make the run folder anew.

    Raises:
        TrainingError: There is something in it, and no demo made it.
    """
    if run.exists() and not run.is_dir():
        raise TrainingError(f"{run} is a file", hint="name a folder by --run")
    if run.is_dir() and any(run.iterdir()):
        if not (run / MARKER).is_file():
            raise TrainingError(
                f"the folder {run} holds something that no demo made",
                hint="name another folder by --run; the demo replaces only its own",
            )
        shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / MARKER).touch()


def read_before(config: Config, pages: Sequence[Page]) -> list[Prediction]:
    """What the model reads before fine-tuning; the small one is made where training looks for it."""
    base = find_base(config, RunFolder(Path(config.run.folder)))
    loaded = load_checkpoint(base, device=config.training.device)
    recipe = InputsRecipe.from_config(config, loaded.recipe.family, base=loaded.recipe)
    return _read(replace(loaded, recipe=recipe), config, pages)


def write_told(material: Material, result: TrainingResult, num_tests: int, command: str) -> None:
    """Leave in the run folder how its report is told, so that `ocrtune report` makes the same page again."""
    RunFolder(result.run).write_json(
        TOLD_FILE,
        {
            "title": material.title,
            "summary": material.summary.format(train=result.num_train_pages, test=num_tests),
            "command": command,
            "findings": [finding.as_dict() for finding in material.findings],
        },
    )


def _read(checkpoint: LoadedCheckpoint, config: Config, pages: Sequence[Page]) -> list[Prediction]:
    return predict(checkpoint, pages, decoding=config.evaluation.decoding)


def _scores(pages: Sequence[Page], predictions: Sequence[Prediction], config: Config) -> list[PageScore]:
    rule = config.evaluation.normalization
    return [score_page(page.text or "", found, rule) for page, found in zip(pages, predictions, strict=True)]


def _card(pages: Sequence[Page], predictions: Sequence[Prediction], config: Config) -> Scorecard:
    return summarize(_scores(pages, predictions, config), config.evaluation.normalization)
