"""A checkpoint and pages → predictions, in the order of the pages and with few of them in memory."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from ocrtune.config import DecodingSection
from ocrtune.data import build_example, find_prompt
from ocrtune.errors import InputsError, OcrtuneError, PredictionError, SourceError
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.models.builtin import find_builtin
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.feature_cache import MemoryFeatures
from ocrtune.models.known_features import FeatureSource, with_known
from ocrtune.models.precision import RequestedDevice
from ocrtune.prediction.answering import Answer, answer_in_batches, num_positions, room_to_answer
from ocrtune.prediction.confidence import find_unsure_span, mean_logprob
from ocrtune.prediction.memory import BatchSize
from ocrtune.prediction.retrying import (
    USUAL_POLICY,
    Readings,
    RetryPolicy,
    Setting,
    plan_settings,
    read_with_retries,
    with_guard,
)
from ocrtune.progress import say
from ocrtune.records import ModelInputs, Page, Prediction, TextBox
from ocrtune.sources import image_size
from ocrtune.transcription.answers import has_boxes, read_boxes

OnError = Literal["stop", "skip"]
Item = TypeVar("Item")

BATCHES_IN_WINDOW = 4
"""Pages are encoded this many batches at a time, so that a batch can be made of prompts of like length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedPage:
    """A page that could not be predicted.

    Attributes:
        image: The page's name.
        code: Code of the error.
        message: What is wrong with it.
        where: Where the page was read.
    """

    image: str
    code: str
    message: str
    where: str = ""

    def as_dict(self) -> dict[str, object]:
        """The row written beside the predictions."""
        return asdict(self)


def predict(
    checkpoint: Path | LoadedCheckpoint,
    pages: Iterable[Page],
    *,
    decoding: DecodingSection | None = None,
    prompt: str | None = None,
    device: RequestedDevice = "auto",
    retry: RetryPolicy = USUAL_POLICY,
    workers: int = 1,
) -> list[Prediction]:
    """What the model reads on each page.

    Pages become model inputs exactly as they did in training: family, mode, prompt, most tiles, normalisation and
    length limit are the checkpoint's.

    Args:
        checkpoint: A checkpoint or model folder, `builtin` for the small model, or one that is loaded already.
        pages: Texts in them are not looked at.
        decoding: Batch size, length limit and guard; the published settings without it.
        prompt: A prompt of the family by its short name, or a text; the checkpoint's own without it. A page's
            own prompt goes before both.
        device: Where to decode; of no effect on a loaded checkpoint.
        retry: What is tried after an answer that loops.
        workers: Threads that open and encode images ahead of the decoding.

    Returns:
        One prediction for each page, in their order.

    Raises:
        SourceError: An image cannot be read.
        InputsError: A page does not fit the recipe of the checkpoint.
        PredictionError: A prompt leaves no room for an answer, or memory does not do for one page alone.
    """
    loaded = (
        checkpoint
        if isinstance(checkpoint, LoadedCheckpoint)
        else load_checkpoint(find_builtin(checkpoint), device=device)
    )
    outcomes = predict_pages(
        loaded,
        pages,
        decoding=decoding or DecodingSection(),
        prompt=prompt,
        on_error="stop",
        retry=retry,
        workers=workers,
    )
    return [outcome for outcome in outcomes if isinstance(outcome, Prediction)]


def predict_pages(
    checkpoint: LoadedCheckpoint,
    pages: Iterable[Page],
    *,
    decoding: DecodingSection,
    prompt: str | None = None,
    on_error: OnError = "stop",
    retry: RetryPolicy = USUAL_POLICY,
    workers: int = 1,
) -> Iterator[Prediction | SkippedPage]:
    """What becomes of each page, in their order and as soon as it and those before it are decoded.

    Pages are taken in windows of four batches, so that a batch can be made of prompts of like length. Pages of one length
    are decoded in their order, so that each batch gives its pages at once; of others the longest come first.

    While a window is decoded the next one is encoded, so at most two windows of views are in memory.

    Args:
        checkpoint: A loaded checkpoint.
        pages: May be endless; they are taken a window at a time.
        decoding: Batch size, length limit and guard.
        prompt: Instead of the checkpoint's own.
        on_error: `skip` gives a `SkippedPage` where a page is wrong, `stop` raises.
        retry: What is tried after an answer that loops.
        workers: Threads that open and encode images.

    Raises:
        SourceError: As `predict`, with `stop`.
        InputsError: As `predict`, with `stop`.
        PredictionError: As `predict`, with `stop`.
    """
    recipe = recipe_with_prompt(checkpoint.recipe, prompt)
    encoder = _Encoder(recipe, checkpoint.tokenizer, num_positions(checkpoint.model), on_error)
    reader = _Reader(
        checkpoint, encoder, decoding, plan_settings(recipe, decoding, retry), BatchSize(decoding.batch_size)
    )
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="encode") as threads:
        windows = (
            list(zip(window, threads.map(encoder.encode, window), strict=True))
            for window in _windows(pages, decoding.batch_size * BATCHES_IN_WINDOW)
        )
        for window in one_ahead(windows):
            yield from reader.read(window)


def recipe_with_prompt(recipe: InputsRecipe, prompt: str | None) -> InputsRecipe:
    """The recipe with another prompt: a short name of the family's, or a text; as it is for None."""
    return recipe if prompt is None else replace(recipe, prompt=find_prompt(prompt, recipe.family))


@dataclass(frozen=True, slots=True)
class _Encoder:
    """Pages → model inputs, by a checkpoint's recipe."""

    recipe: InputsRecipe
    tokenizer: Tokenizer
    positions: int
    on_error: OnError

    def encode(self, page: Page) -> ModelInputs | SkippedPage:
        """The page's inputs, or why there are none.

        Raises:
            OcrtuneError: The page is wrong, and errors stop the run.
        """
        try:
            return self._encode(page)
        except (SourceError, InputsError, PredictionError) as error:
            if self.on_error == "stop":
                raise
            return _skipped(page, error)

    def _encode(self, page: Page) -> ModelInputs:
        example = build_example(
            page,
            self.recipe.family,
            prompt=self.recipe.prompt,
            normalization=self.recipe.normalization,
            with_targets=False,
        )
        inputs = encode(example, self.recipe, self.tokenizer)
        room_to_answer(inputs, self.positions)
        return inputs


@dataclass(frozen=True, slots=True)
class _Reader:
    """Encoded pages → predictions."""

    checkpoint: LoadedCheckpoint
    encoder: _Encoder
    decoding: DecodingSection
    settings: tuple[Setting, ...]
    batch_size: BatchSize

    def read(
        self, window: Sequence[tuple[Page, ModelInputs | SkippedPage]]
    ) -> Iterator[Prediction | SkippedPage]:
        """What becomes of the pages of a window, in their order."""
        found = [(page, inputs) for page, inputs in window if isinstance(inputs, ModelInputs)]
        kept = MemoryFeatures() if self._reads_again else None
        usable = [
            (page, inputs if kept is None else _with_keys(inputs, place))
            for place, (page, inputs) in enumerate(found)
        ]
        readings = read_with_retries(
            len(usable),
            self.settings,
            lambda setting, places: self._answers(setting, places, usable, kept),
        )
        for page, outcome in window:
            if isinstance(outcome, SkippedPage):
                yield outcome
            else:
                yield self._outcome(page, next(readings))

    def _answers(
        self,
        setting: Setting,
        places: Sequence[int],
        usable: Sequence[tuple[Page, ModelInputs]],
        kept: MemoryFeatures | None,
    ) -> Iterator[tuple[int, Answer | PredictionError]]:
        """Answers by a setting; pages that are read again in the same mode go through the vision part once."""
        inputs = {place: self._inputs(setting, *usable[place], kept) for place in places}
        found = {place: given for place, given in inputs.items() if given is not None}
        tried = list(found)
        for row, given in answer_in_batches(
            self.checkpoint.model,
            setting.recipe.family,
            self.checkpoint.tokenizer,
            list(found.values()),
            with_guard(self.decoding, setting.guard),
            stops_loops=True,
            batch_size=self.batch_size,
            features=None if kept is None else FeatureSource(kept, nullcontext),
        ):
            if kept is not None and (isinstance(given, PredictionError) or given.stop != "repetition"):
                for image in usable[tried[row]][1].opened:
                    kept.forget(image.key)
            if isinstance(given, PredictionError) and setting is not self.settings[0]:
                say(f"{usable[tried[row]][0].name} is not tried again: {given.message}")
            else:
                yield tried[row], given

    @property
    def _reads_again(self) -> bool:
        """Whether pages may be read again in the same mode."""
        return any(setting.recipe is self.encoder.recipe for setting in self.settings[1:])

    def _inputs(
        self, setting: Setting, page: Page, inputs: ModelInputs, kept: MemoryFeatures | None
    ) -> ModelInputs | None:
        """The page's inputs by a setting: those that are there, or in another mode; None where that does not fit."""
        if setting.recipe is self.encoder.recipe:
            return with_known(inputs, kept)
        encoder = replace(self.encoder, recipe=setting.recipe, on_error="skip")
        encoded = encoder.encode(page)
        if isinstance(encoded, ModelInputs):
            return encoded
        say(f"{page.name} is not tried in mode {setting.recipe.mode.name}: {encoded.message}")
        return None

    def _outcome(self, page: Page, readings: Readings) -> Prediction | SkippedPage:
        if readings.error is None:
            return self._prediction(page, readings)
        if self.encoder.on_error == "stop":
            raise readings.error
        return _skipped(page, readings.error)

    def _prediction(self, page: Page, readings: Readings) -> Prediction:
        best = readings.best
        return Prediction(
            image=page.name,
            text=best.text,
            num_tokens=best.num_tokens,
            truncated=best.truncated,
            stop=best.stop,
            mean_logprob=mean_logprob(best.logprobs),
            lowest_span=find_unsure_span(best.tokens, best.logprobs, self.checkpoint.tokenizer),
            seconds=round(readings.seconds, 3),
            boxes=_boxes(page, best.text),
            attempts=readings.attempts(),
        )


def _with_keys(inputs: ModelInputs, place: int) -> ModelInputs:
    """The inputs of the page at a place of a window, its images named so that their features are kept for it."""
    views = tuple(replace(image, key=f"{place}-{number}") for number, image in enumerate(inputs.views))
    return replace(inputs, views=views)


def _boxes(page: Page, text: str) -> tuple[TextBox, ...]:
    """The boxes of an answer; none for several images, of which nobody knows which one a box is on."""
    if len(page.images) != 1 or not has_boxes(text):
        return ()
    return read_boxes(text, image_size(page.images[0]))


def _skipped(page: Page, error: OcrtuneError) -> SkippedPage:
    return SkippedPage(
        image=page.name, code=error.code, message=error.message, where=error.where or page.where
    )


def _windows(pages: Iterable[Page], size: int) -> Iterator[Sequence[Page]]:
    upcoming = iter(pages)
    while window := list(islice(upcoming, size)):
        yield window


def one_ahead(items: Iterator[Item]) -> Generator[Item]:
    """The items as they are, each made in a thread while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item
