"""Pages → checked examples, split by document; what is left out is counted and listed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from accelerate import PartialState

from ocrtune.config import Config
from ocrtune.data import (
    build_examples,
    check_dataset,
    check_page,
    check_splits,
    gather_findings,
    split_by_document,
)
from ocrtune.data.held_out import held_out_source, spread
from ocrtune.data.streams import is_stream, open_stream
from ocrtune.errors import ConfigError, TrainingError
from ocrtune.inputs import EncodedExamples, InputsRecipe, Tokenizer
from ocrtune.inputs.streamed import StreamedExamples
from ocrtune.progress import track
from ocrtune.records import Example, Finding, Page
from ocrtune.sources import read_source
from ocrtune.sources.writing import append_jsonl
from ocrtune.training.folder import RunFolder

MOST_PAGES_OPENED = 5000
"""Up to so many pages every image is opened before the first step; of more only the headers are read."""

MOST_ERRORS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a run learns from and is scored on.

    Attributes:
        train: Examples learned from, encoded, or made and encoded, when they are asked for.
        validation: Held-out examples, the same ones at each evaluation.
        findings: What the checks found.
        skipped: Pages left out, one finding each.
        materials: What a stream's pages are made of beside its recipe, such as fonts; empty for files.
    """

    train: EncodedExamples | StreamedExamples
    validation: list[Example]
    findings: list[Finding]
    skipped: list[Finding]
    materials: dict[str, str] = field(default_factory=dict)


def prepare_data(config: Config, recipe: InputsRecipe, tokenizer: Tokenizer) -> TrainingData:
    """Read, split, check and measure the pages of a run.

    Raises:
        TrainingError: Pages have errors and the recipe does not say to skip them, or nothing is left.
        OcrtuneError: The source cannot be read or split.
    """
    if is_stream(config.data.uri):
        return _prepare_stream(config, recipe, tokenizer)
    source = read_source(config.data.uri)
    splits = split_by_document(source.pages, config.data, config.run.seed)
    of_sources = [*source.findings, *splits.findings]
    left_out = _left_out(of_sources, config)
    findings = [*gather_findings(of_sources), *check_splits(splits)]
    train_pages, train_skipped, train_findings = _usable(splits.train, config, recipe)
    held_out = spread(splits.validation, config.evaluation.max_pages)
    validation_pages, validation_skipped, validation_findings = _usable(held_out, config, recipe)
    train = _encoded(train_pages, config, recipe, tokenizer)
    validation = _encoded(validation_pages, config, recipe, tokenizer)
    skipped = [*left_out, *train_skipped, *validation_skipped, *train.skipped, *validation.skipped]
    if not len(train):
        raise TrainingError(
            f"none of the {len(splits.train)} pages is left to learn from",
            hint=skipped[0].message if skipped else "is data.uri the right one?",
        )
    return TrainingData(
        train=train,
        validation=validation.examples,
        findings=[*findings, *train_findings, *validation_findings],
        skipped=skipped,
    )


def num_streamed(config: Config) -> int:
    """Examples that a run takes from a stream.

    Raises:
        ConfigError: The run has no number of steps.
    """
    training = config.training
    if training.max_steps is None:
        raise ConfigError(
            [f"training.max_steps: {config.data.uri!r} has no end, so the steps must be counted"],
            hint="--set training.max_steps=10000",
        )
    step_size = training.batch_size * training.accumulation_steps * PartialState().num_processes
    return training.max_steps * step_size


def _prepare_stream(config: Config, recipe: InputsRecipe, tokenizer: Tokenizer) -> TrainingData:
    """Held-out pages are checked as any others; pages that are made are right by their making."""
    count, stream = num_streamed(config), open_stream(config.data.uri)
    held_out = held_out_source(config)
    left_out = _left_out(held_out.findings, config)
    validation_pages, skipped, findings = _usable(held_out.pages, config, recipe)
    validation = _encoded(validation_pages, config, recipe, tokenizer)
    return TrainingData(
        train=StreamedExamples(
            stream.page,
            count,
            recipe,
            tokenizer,
            on_too_long=_listing(config) if config.inputs.on_too_long == "skip" else None,
        ),
        validation=validation.examples,
        findings=[*gather_findings(held_out.findings), *findings],
        skipped=[*left_out, *skipped, *validation.skipped],
        materials=stream.maker.materials(),
    )


def _listing(config: Config) -> Callable[[Finding], None]:
    """Lists what is left out while the run goes on, from whatever process."""
    return partial(_list, RunFolder(Path(config.run.folder)).skipped)


def _list(path: Path, finding: Finding) -> None:
    append_jsonl(path, finding.as_dict())


def _left_out(findings: Sequence[Finding], config: Config) -> list[Finding]:
    """The errors of a source: each stands for pages that reading it has left out already."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors and config.data.on_error == "stop":
        raise _pages_have_errors(gather_findings(errors))
    return errors


def _usable(
    pages: Sequence[Page], config: Config, recipe: InputsRecipe
) -> tuple[list[Page], list[Finding], list[Finding]]:
    """Pages without errors, a finding for each of the others, and what was found on all."""
    rules = _Rules(recipe, open_images=len(pages) <= MOST_PAGES_OPENED)
    findings = rules.check_all(pages)
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return list(pages), [], findings
    if config.data.on_error == "stop":
        raise _pages_have_errors(errors)
    usable: list[Page] = []
    skipped: list[Finding] = []
    for page in track(pages, "leaving out pages with errors"):
        page_errors = [finding for finding in rules.check_one(page) if finding.severity == "error"]
        skipped += page_errors[:1]
        if not page_errors:
            usable.append(page)
    return usable, skipped, findings


@dataclass(frozen=True, slots=True)
class _Rules:
    """What pages are checked against."""

    recipe: InputsRecipe
    open_images: bool

    def check_all(self, pages: Sequence[Page]) -> list[Finding]:
        return check_dataset(
            pages,
            self.recipe.family,
            prompt=self.recipe.prompt,
            normalization=self.recipe.normalization,
            open_images=self.open_images,
        )

    def check_one(self, page: Page) -> list[Finding]:
        return check_page(
            page,
            self.recipe.family,
            prompt=self.recipe.prompt,
            normalization=self.recipe.normalization,
            open_images=self.open_images,
        )


def _pages_have_errors(errors: Sequence[Finding]) -> TrainingError:
    shown = [
        f"  - {finding.code}: {finding.message} ({finding.count} times; {finding.where})"
        for finding in errors[:MOST_ERRORS_SHOWN]
    ]
    more = len(errors) - len(shown)
    lines = ["pages have errors", *shown, *([f"  - and {more} more kinds"] if more else [])]
    return TrainingError(
        "\n".join(lines),
        hint="mend them, `ocrtune check` lists all; or leave such pages out, counted, by --set data.on_error=skip",
    )


def _encoded(
    pages: Sequence[Page], config: Config, recipe: InputsRecipe, tokenizer: Tokenizer
) -> EncodedExamples:
    examples = build_examples(pages, recipe.family, prompt=recipe.prompt, normalization=recipe.normalization)
    return EncodedExamples(
        examples,
        recipe,
        tokenizer,
        on_too_long=config.inputs.on_too_long,
        on_error=config.data.on_error,
    )
