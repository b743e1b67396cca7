"""What `check` and `train` say of a case."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_corpus.case import Case
from ocrtune.config import Config, parse_config
from ocrtune.data.summary import check_uri
from ocrtune.errors import OcrtuneError
from ocrtune.families import Family
from ocrtune.inputs import InputsRecipe, Tokenizer
from ocrtune.inputs.streamed import StreamedExamples
from ocrtune.records import Finding
from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a run would learn from.

    Attributes:
        pages: Names of pages, each once.
        num_held_out: Pages held out.
        skipped: A finding for each page that is left out.
    """

    pages: tuple[str, ...]
    num_held_out: int
    skipped: tuple[Finding, ...]


def make(case: Case, folder: Path) -> str:
    """Write the case below `folder`; its uri."""
    own = folder / f"{case.kind}-{case.name}"
    own.mkdir()
    return case.make(own)


def held_out_uri(case: Case, folder: Path) -> str | None:
    """The uri of the case's held-out pages."""
    return str(folder / f"{case.kind}-{case.name}" / case.validation) if case.validation else None


def check(case: Case, uri: str, folder: Path, family: Family) -> Sequence[Finding]:
    """The findings of `check`, or its error as the only one."""
    with case.conditions():
        try:
            return check_uri(uri, validation_uri=held_out_uri(case, folder), family=family).findings
        except OcrtuneError as error:
            return [Finding.of_error(error)]


def run_config(
    model: Path, run: Path, uri: str, validation: str | None, *, skips: bool, steps: int = 2
) -> Config:
    """The recipe of a run of a few steps."""
    return parse_config(
        {
            "model": str(model),
            "run": {"folder": str(run)},
            "data": {
                "uri": uri,
                "validation_uri": validation,
                "validation_fraction": 0,
                "on_error": "skip" if skips else "stop",
                "max_skipped_share": 0.5,
            },
            "inputs": {"mode": {"global_px": 128}, "on_too_long": "skip" if skips else "error"},
            "tuning": {"method": "full", "parts": ["projector"]},
            "training": {"max_steps": steps, "batch_size": 2, "log_every_steps": 1, "device": "cpu"},
            "evaluation": {"max_pages": 2, "decoding": {"max_new_tokens": 4}},
        }
    )


def prepare(config: Config, family: Family, tokenizer: Tokenizer) -> TrainingData:
    """What a run has before its first step; nothing is encoded yet.

    Raises:
        OcrtuneError: As the run would.
    """
    return prepare_data(config, InputsRecipe.from_config(config, family), tokenizer)


def learn(config: Config, family: Family, tokenizer: Tokenizer) -> Learned:
    """Everything a run would learn from, encoded.

    Raises:
        OcrtuneError: As the run would.
    """
    data = prepare(config, family, tokenizer)
    if not isinstance(data.train, StreamedExamples):
        names = tuple(inputs.name for inputs in data.train)
        return Learned(pages=names, num_held_out=len(data.validation), skipped=tuple(data.skipped))
    # A stream goes over its pages again and again.
    names = tuple(dict.fromkeys(inputs.name for inputs in data.train))
    rows = RunFolder(Path(config.run.folder)).read_skipped()
    told = [
        Finding(code=row["code"], severity="error", message=row["message"], where=row["where"])
        for row in rows
    ]
    return Learned(pages=names, num_held_out=len(data.validation), skipped=(*data.skipped, *told))
