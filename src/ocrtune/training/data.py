"""Pages → checked examples, split by document; what is left out is counted and listed."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import PartialState
from numpy.typing import NDArray

from ocrtune.config import Config
from ocrtune.data import (
    Splits,
    check_page,
    check_splits,
    examine_pages,
    find_near_leaks,
    gather_findings,
    split_by_document,
)
from ocrtune.data.codes import severities
from ocrtune.data.examples import ExampleMaker
from ocrtune.data.facts import Collected, Rules
from ocrtune.data.held_out import NotHeldOut, held_out_source, spread
from ocrtune.data.json_targets import JsonTarget
from ocrtune.data.mixed_stream import open_data_stream
from ocrtune.data.mixing import Mixture, make_mixture, read_data
from ocrtune.data.streams import Stream, is_streamed
from ocrtune.errors import ConfigError, TrainingError
from ocrtune.inputs import EncodedExamples, InputsRecipe, Tokenizer
from ocrtune.inputs.streamed import SkipLimit, StreamedExamples
from ocrtune.progress import track
from ocrtune.records import Example, Finding, Page
from ocrtune.sequences import Mapped, Selected
from ocrtune.sources.writing import append_jsonl
from ocrtune.training.folder import RunFolder

MOST_PAGES_OPENED = 5000
"""Up to so many pages every image is opened before the first step; of more only the headers are read."""

MOST_ERRORS_SHOWN = 10

FEWEST_TOKENS = 4
"""No example of a stream is taken to be shorter where so many in packed rows must be guessed."""

PAGES_HINT = (
    "mend them, `ocrtune check` lists all; or leave such pages out, counted, by --set data.on_error=skip"
)

LEAK_HINT = (
    "`ocrtune split` keeps pages that show the same together; or leave them out of what is learned from, counted, by "
    "--set data.on_error=skip; or go on by --set data.allow='[image-leaked]'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSteps:
    """Optimizer steps of a run on a stream.

    Attributes:
        total: Of the run.
        per_epoch: Of a pass over the pages; None without end.
        size: Examples of one; packs of one where rows are packed.
        num_examples: Of the run; the last step may have fewer than others. Where rows are packed, no more than these.
    """

    total: int
    per_epoch: int | None
    size: int
    num_examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a run learns from and is scored on.

    Attributes:
        train: Examples learned from, encoded, or made and encoded, when they are asked for.
        validation: Held-out examples, the same ones at each evaluation.
        findings: What the checks found.
        skipped: Pages left out, one finding each.
        materials: What pages of a stream are made of beside its recipe, such as fonts; of files, how many there are.
        mixture: How many pages of which source come in an epoch; None of a stream.
        stream: Where examples come from one by one; None of pages that were all measured.
        steps: Of a run on a stream.
    """

    train: EncodedExamples | StreamedExamples
    validation: list[Example]
    findings: list[Finding]
    skipped: list[Finding]
    materials: dict[str, str] = field(default_factory=dict)
    mixture: Mixture | None = None
    stream: Stream | None = None
    steps: StreamSteps | None = None

    @property
    def num_examples(self) -> int:
        """Examples of an epoch."""
        return len(self.train) if self.mixture is None else self.mixture.num_examples

    @property
    def num_train_pages(self) -> int:
        """Pages learned from; of a stream no more than come in the run."""
        most = None if self.stream is None else self.stream.num_pages
        return len(self.train) if most is None else min(most, len(self.train))


def prepare_data(config: Config, recipe: InputsRecipe, tokenizer: Tokenizer) -> TrainingData:
    """Read, split, check and measure the pages of a run.

    Raises:
        TrainingError: Pages have errors and the recipe does not say to skip them, or nothing is left.
        OcrtuneError: The source cannot be read or split.
    """
    run = _Run.of(config, recipe, tokenizer)
    if is_streamed(config.data):
        return _prepare_stream(run)
    seed = config.run.seed
    mixed = read_data(config.data, seed)
    splits = split_by_document(mixed.pages, config.data, seed, sizes=mixed.sizes)
    of_sources = [*mixed.findings, *splits.findings]
    left_out = _left_out(of_sources, config)
    parted = _without_leaks(splits, config)
    usable = _usable(parted.splits.train, run)
    held_out = _usable(spread(parted.splits.validation, config.evaluation.max_pages), run)
    alike = _near_leaks(usable, held_out)
    train = _encoded(usable.pages, run)
    validation = _encoded(held_out.pages, run)
    skipped = [
        *left_out,
        *parted.skipped,
        *usable.skipped,
        *held_out.skipped,
        *train.skipped,
        *validation.skipped,
    ]
    _check_share(skipped, len(mixed.pages) + len(left_out), config)
    if not len(train):
        raise TrainingError(
            f"none of the {len(splits.train)} pages is left to learn from",
            hint=skipped[0].message if skipped else "is data.uri the right one?",
        )
    places = parted.splits.places[usable.places][train.places]
    mixture = make_mixture(config.data.mixed, mixed, places, seed)
    return TrainingData(
        train=train,
        validation=list(validation.examples),
        findings=[
            *gather_findings(of_sources),
            *parted.findings,
            *alike,
            *usable.findings,
            *held_out.findings,
        ],
        skipped=skipped,
        materials={"pages": mixture.sizes()},
        mixture=mixture,
    )


def count_reasons(codes: Iterable[str]) -> dict[str, int]:
    """How many pages were left out, by the code of the reason, the most frequent first."""
    return dict(Counter(codes).most_common())


def _check_share(skipped: Sequence[Finding], num_pages: int, config: Config) -> None:
    """Skipping is for the odd page: where many are skipped something is wrong with all of them."""
    most = config.data.max_skipped_share
    if len(skipped) > max(most * num_pages, 1):
        reasons = ", ".join(
            f"{count} {code}" for code, count in count_reasons(finding.code for finding in skipped).items()
        )
        raise TrainingError(
            f"{len(skipped)} of {num_pages} pages would be skipped, more than data.max_skipped_share allows: {reasons}",
            where=skipped[0].where,
            hint=f"`ocrtune check` lists them; --set data.max_skipped_share={len(skipped) / num_pages + 0.01:.2f} goes on without them",
        )


def count_steps(config: Config, num_pages: int | None) -> StreamSteps:
    """How many steps a run on a stream has.

    Args:
        config: The recipe.
        num_pages: Of the stream; None without end.

    Raises:
        ConfigError: The stream has no end, and the run no number of steps.
    """
    training = config.training
    size = training.batch_size * training.accumulation_steps * PartialState().num_processes
    if training.pack_tokens is not None:
        return _count_packed_steps(config, size)
    per_epoch = None if num_pages is None else math.ceil(num_pages / size)
    if training.max_steps is not None:
        total = training.max_steps
        return StreamSteps(total=total, per_epoch=per_epoch, size=size, num_examples=total * size)
    if num_pages is None:
        raise ConfigError(
            [f"training.max_steps: {config.data.title!r} has no end, so the steps must be counted"],
            hint="--set training.max_steps=10000",
        )
    # No more: filling the last step would bring some pages once more than others.
    count = math.ceil(training.epochs * num_pages)
    return StreamSteps(total=math.ceil(count / size), per_epoch=per_epoch, size=size, num_examples=count)


def _count_packed_steps(config: Config, size: int) -> StreamSteps:
    total, pack_tokens = config.training.max_steps, config.training.pack_tokens
    if total is None or pack_tokens is None:
        raise ConfigError(
            [
                f"training.pack_tokens: nobody knows how many rows {config.data.title!r} fills, as it is a stream"
            ],
            hint="count the steps by --set training.max_steps=10000, or train without packing",
        )
    most = max(pack_tokens // FEWEST_TOKENS, 1)
    return StreamSteps(total=total, per_epoch=None, size=size, num_examples=total * size * most)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What pages become examples by."""

    config: Config
    recipe: InputsRecipe
    tokenizer: Tokenizer
    json_target: JsonTarget | None

    @classmethod
    def of(cls, config: Config, recipe: InputsRecipe, tokenizer: Tokenizer) -> "_Run":
        schema = config.data.json_schema
        json_target = None if schema is None else JsonTarget.read(Path(schema))
        return cls(config=config, recipe=recipe, tokenizer=tokenizer, json_target=json_target)


def _prepare_stream(run: _Run) -> TrainingData:
    """Held-out pages are checked as any others; those of the stream show what is wrong when they are asked for."""
    config = run.config
    _refuse_documents(config)
    training, skips = config.training, config.data.on_error == "skip"
    stream = open_data_stream(
        config.data,
        seed=config.run.seed,
        lanes=PartialState().num_processes * training.num_readers,
        batch_size=training.batch_size,
    )
    steps = count_steps(config, stream.num_pages)
    held_out = held_out_source(config)
    of_sources = [*stream.findings, *held_out.findings]
    left_out = _left_out(of_sources, config)
    usable = _usable(held_out.pages, run)
    validation = _encoded(usable.pages, run)
    skipped = [*usable.skipped, *validation.skipped]
    _check_share(skipped, len(held_out.pages), config)
    return TrainingData(
        train=StreamedExamples(
            _make_page(stream, usable.pages, config),
            steps.num_examples,
            run.recipe,
            run.tokenizer,
            on_too_long=_listing(config) if config.inputs.on_too_long == "skip" else None,
            on_error=_listing(config) if skips else None,
            json_target=run.json_target,
            stride=stream.stride(steps.num_examples),
            limit=SkipLimit(config.data.max_skipped_share, stream.num_pages),
        ),
        validation=list(validation.examples),
        findings=[*gather_findings(of_sources), *usable.findings],
        skipped=[*left_out, *skipped],
        materials=stream.materials(),
        stream=stream,
        steps=steps,
    )


def _make_page(stream: Stream, held_out: Sequence[Page], config: Config) -> Callable[[int], Page]:
    return stream.page if "image-leaked" in config.data.allow else NotHeldOut(stream.page, held_out)


def _refuse_documents(config: Config) -> None:
    """Documents of a stream cannot be held out: nobody has seen all its pages."""
    asked = {
        "validation_documents": config.data.validation_documents,
        "test_documents": config.data.test_documents,
    }
    problems = [
        f"data.{key}: {config.data.title!r} is a stream, of which no document can be held out"
        for key, names in asked.items()
        if names
    ]
    if problems:
        raise ConfigError(problems, hint="give held-out pages of their own by data.validation_uri")


def _listing(config: Config) -> Callable[[Finding], None]:
    """Lists what is left out while the run goes on, from whatever process."""
    return partial(_list, RunFolder(Path(config.run.folder)).skipped)


def _list(path: Path, finding: Finding) -> None:
    append_jsonl(path, finding.as_dict())


def _left_out(findings: Sequence[Finding], config: Config) -> list[Finding]:
    """The errors of a source: each stands for pages that reading it has left out already."""
    told = severities(findings, config.data.allow)
    errors = [finding for finding in told if finding.severity == "error"]
    if errors and config.data.on_error == "stop":
        raise _pages_have_errors(gather_findings(errors))
    return errors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parted:
    """Splits that share no image, unless that is allowed.

    Attributes:
        splits: What is left of them.
        skipped: A finding for each page left out.
        findings: What the splits share.
    """

    splits: Splits
    skipped: list[Finding]
    findings: list[Finding]


def _without_leaks(splits: Splits, config: Config) -> _Parted:
    """Pages are scored that were never learned from: of a page in both the one to learn from goes."""
    check = check_splits(splits)
    findings = severities(check.findings, config.data.allow)
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return _Parted(splits=splits, skipped=[], findings=findings)
    if config.data.on_error == "stop":
        raise _pages_have_errors(errors, hint=LEAK_HINT)
    kept = np.setdiff1d(np.arange(len(splits.train)), check.leaked)
    left = replace(splits, train=Selected(splits.train, kept), places=splits.places[kept])
    skipped = [_leaked_page(splits.train[place]) for place in check.leaked.tolist()]
    return _Parted(splits=left, skipped=skipped, findings=findings)


def _leaked_page(page: Page) -> Finding:
    return Finding(
        code="image-leaked",
        severity="error",
        message="the same image is among the pages held out",
        where=page.where or page.name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usable:
    """Pages without errors.

    Attributes:
        pages: In order.
        places: int64 (pages,), their places among the pages given.
        skipped: A finding for each of the others.
        findings: What was found on all.
        given: All pages.
        facts: Of all pages; by them pages of another part that look the same are found, if images were opened.
    """

    pages: Sequence[Page]
    places: NDArray[np.int64]
    skipped: list[Finding]
    findings: list[Finding]
    given: Sequence[Page]
    facts: Collected


def _near_leaks(train: _Usable, validation: _Usable) -> list[Finding]:
    parts = {"train": train, "validation": validation}
    return find_near_leaks(
        {name: part.given for name, part in parts.items()}, {name: part.facts for name, part in parts.items()}
    )


def _usable(pages: Sequence[Page], run: _Run) -> _Usable:
    config = run.config
    rules = _Rules(run.recipe, run.json_target, open_images=len(pages) <= MOST_PAGES_OPENED)
    facts = rules.examine_all(pages)
    findings = severities(facts.gathered.findings(), config.data.allow)
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return _Usable(
            pages=pages, places=np.arange(len(pages)), skipped=[], findings=findings, given=pages, facts=facts
        )
    if config.data.on_error == "stop":
        raise _pages_have_errors(errors)
    places: list[int] = []
    skipped: list[Finding] = []
    for place, page in enumerate(track(pages, "leaving out pages with errors")):
        found = severities(rules.check_one(page), config.data.allow)
        page_errors = [finding for finding in found if finding.severity == "error"]
        skipped += page_errors[:1]
        if not page_errors:
            places.append(place)
    kept = np.array(places, dtype=np.int64)
    return _Usable(
        pages=Selected(pages, kept), places=kept, skipped=skipped, findings=findings, given=pages, facts=facts
    )


@dataclass(frozen=True, slots=True)
class _Rules:
    """What pages are checked against."""

    recipe: InputsRecipe
    json_target: JsonTarget | None
    open_images: bool

    def examine_all(self, pages: Sequence[Page]) -> Collected:
        rules = Rules(
            family=self.recipe.family,
            prompt=self.recipe.prompt,
            normalization=self.recipe.normalization,
            looking="pixels" if self.open_images else "texts",
            json_target=self.json_target,
        )
        return examine_pages(pages, rules)

    def check_one(self, page: Page) -> list[Finding]:
        return check_page(
            page,
            self.recipe.family,
            prompt=self.recipe.prompt,
            normalization=self.recipe.normalization,
            open_images=self.open_images,
            json_target=self.json_target,
        )


def _pages_have_errors(errors: Sequence[Finding], hint: str = PAGES_HINT) -> TrainingError:
    shown = [
        f"  - {finding.code}: {finding.message} ({finding.count} times; {finding.where})"
        for finding in errors[:MOST_ERRORS_SHOWN]
    ]
    more = len(errors) - len(shown)
    lines = ["pages have errors", *shown, *([f"  - and {more} more kinds"] if more else [])]
    return TrainingError("\n".join(lines), hint=hint)


def _encoded(pages: Sequence[Page], run: _Run) -> EncodedExamples:
    recipe, config = run.recipe, run.config
    make = ExampleMaker(
        family=recipe.family,
        prompt=recipe.prompt,
        normalization=recipe.normalization,
        json_target=run.json_target,
    )
    return EncodedExamples(
        Mapped(pages, make),
        recipe,
        run.tokenizer,
        on_too_long=config.inputs.on_too_long,
        on_error=config.data.on_error,
    )
