"""Whether a run keeps vision features, and why: what its pages are, and what fits."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from accelerate import PartialState

from ocrtune.config import Config, FeatureCacheSection
from ocrtune.errors import SourceError
from ocrtune.inputs import InputsRecipe, count_image_tokens
from ocrtune.inputs.streamed import StreamedExamples
from ocrtune.models import OcrModel
from ocrtune.models.feature_folders import told_size
from ocrtune.models.feature_key import feature_dtype
from ocrtune.models.tuning import learning_names, part_of
from ocrtune.records import Example, Page
from ocrtune.sources import image_size
from ocrtune.training.arguments import optimizer_steps
from ocrtune.training.data import TrainingData

MOST_MEASURED = 200
"""Images whose headers are read to know how many tokens an image has."""

GIGABYTE = 1e9
"""Bytes, as disks are sold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesToCome:
    """The pages of a run, as far as it matters to their features.

    Attributes:
        num_train: Pages learned from; None for a stream without end.
        passes: How often each of them comes.
        num_validation: Held-out pages; each comes twice in an evaluation, for its loss and to be read.
        tokens: Image tokens of a page, the mean of some.
        token_bytes: Bytes of the feature of a token.
    """

    num_train: int | None
    passes: float
    num_validation: int
    tokens: float
    token_bytes: int

    def num_bytes(self, num_pages: int) -> int:
        """About the bytes of the features of so many pages."""
        return round(self.tokens * self.token_bytes * num_pages)

    def told(self, num_pages: int) -> str:
        """The size for people."""
        size = told_size(self.num_bytes(num_pages))
        return f"{self.tokens:.0f} image tokens a page × {num_pages:,} pages: {size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDecision:
    """Which features are kept, and why.

    Attributes:
        trains: Those of pages learned from.
        evaluates: Those of held-out pages.
        reason: For people.
    """

    trains: bool = False
    evaluates: bool = False
    reason: str

    @property
    def is_on(self) -> bool:
        """Some are kept."""
        return self.trains or self.evaluates


def decide_cache(section: FeatureCacheSection, pages: PagesToCome, *, free_bytes: int) -> CacheDecision:
    """Decide what is kept of features that do not change.

    Args:
        section: Of the recipe; its `use` is not `off`.
        pages: What comes.
        free_bytes: What they may take of the disk.
    """
    if pages.num_train is None:
        decided = CacheDecision(
            evaluates=bool(pages.num_validation), reason="pages of a stream without end never come twice"
        )
        return _fitting(decided, section, pages, free_bytes)
    comes_again = section.use == "on" or pages.passes > 1
    return _fitting(
        CacheDecision(
            trains=comes_again,
            evaluates=bool(pages.num_validation),
            reason=f"each page comes {pages.passes:.3g} times"
            if pages.passes > 1
            else "each page comes once",
        ),
        section,
        pages,
        free_bytes,
    )


def _fitting(
    decided: CacheDecision, section: FeatureCacheSection, pages: PagesToCome, free_bytes: int
) -> CacheDecision:
    """What of it fits; `on` keeps as many pages as do."""
    if not decided.is_on:
        return decided
    num_pages = (pages.num_train or 0) * decided.trains + pages.num_validation
    most = min(section.limit_gb * GIGABYTE, free_bytes)
    told = f"{decided.reason}; {pages.told(num_pages)}"
    if pages.num_bytes(num_pages) <= most:
        return CacheDecision(trains=decided.trains, evaluates=decided.evaluates, reason=told)
    more = f"{told}, more than the {told_size(round(most))} allowed or free"
    if section.use == "on":
        reason = f"{more}: as many pages as fit are kept"
        return CacheDecision(trains=decided.trains, evaluates=decided.evaluates, reason=reason)
    return CacheDecision(reason=f"{more}; raise training.feature_cache.limit_gb, or set use=on to keep some")


def find_obstacle(config: Config, model: OcrModel) -> str:
    """Why features of the same image differ from step to step; empty where they do not.

    Args:
        config: Its `tuning.parts` learn, whether `model` is set up for it or not.
        model: Whose features; the vision part is enough.
    """
    parts = {part_of(name) for name in learning_names(model)} | set(config.tuning.parts)
    if learning := sorted(parts - {"decoder"}):
        return f"{' and '.join(learning)} learn, so features change"
    if config.training.guidance is not None:
        return "guidance looks at what the vision part computes"
    if any(_dropouts(model.config.vision_config.to_dict())):
        return "the vision part has dropout, so features are drawn anew"
    return ""


def pages_to_come(config: Config, data: TrainingData, recipe: InputsRecipe, model: OcrModel) -> PagesToCome:
    """What comes in a run."""
    endless = data.stream is not None and data.stream.num_pages is None
    hidden = model.config.text_config.hidden_size
    tokens = _mean_tokens(_some_pages(data, endless=endless), recipe)
    return PagesToCome(
        num_train=None if endless else data.num_train_pages,
        passes=_num_examples(config, data, tokens) / max(data.num_train_pages, 1),
        num_validation=len(data.validation),
        tokens=tokens,
        token_bytes=hidden * feature_dtype(model).itemsize,
    )


def _num_examples(config: Config, data: TrainingData, tokens: float) -> int:
    """Examples that come in the run; `tokens` are those of the images of one."""
    training = config.training
    if data.steps is not None:
        if training.pack_tokens is None:
            return data.steps.num_examples
        # How long examples are nobody knows before they come, but for their images: no more come than these.
        return round(data.steps.total * data.steps.size * max(training.pack_tokens / max(tokens, 1), 1))
    num_devices = PartialState().num_processes
    if training.max_steps is None:
        return round(training.epochs * data.num_examples)
    steps = optimizer_steps(config, data.num_examples, num_devices=num_devices)
    num_rows = steps * training.batch_size * training.accumulation_steps * num_devices
    if training.pack_tokens is None or isinstance(data.train, StreamedExamples):
        return num_rows
    rows_of_epoch = math.ceil(data.num_examples * float(data.train.lengths().mean()) / training.pack_tokens)
    return round(num_rows / rows_of_epoch * data.num_examples)


def _some_pages(data: TrainingData, *, endless: bool) -> Iterator[Example | Page]:
    """Pages that stand for all: evenly spread ones of those learned from, else held-out ones."""
    pages: Sequence[Example | Page] = data.validation
    if data.stream is not None and not endless:
        pages = data.stream.first(min(MOST_MEASURED, data.num_train_pages))
    elif not isinstance(data.train, StreamedExamples):
        pages = data.train.examples
    step = max(1, len(pages) // MOST_MEASURED)
    return (pages[place] for place in range(0, len(pages), step))


def _mean_tokens(pages: Iterable[Example | Page], recipe: InputsRecipe) -> float:
    """Image tokens of a page, by the headers of its images."""
    counts = []
    for page in islice(pages, MOST_MEASURED):
        try:
            sizes = [image_size(image) for image in page.images]
        except SourceError:
            continue  # it is told where the page is to be learned from
        counts.append(sum(count_image_tokens(size, recipe.family, recipe.mode) for size in sizes))
    return sum(counts) / max(len(counts), 1)


def _dropouts(settings: dict[str, Any]) -> Iterator[float]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _dropouts(value)
        elif "dropout" in str(name) and isinstance(value, float | int) and value:
            yield float(value)
