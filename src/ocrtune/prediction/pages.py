"""A checkpoint and pages → predictions, in the order of the pages and with few of them in memory."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from ocrtune.config import DecodingSection
from ocrtune.data import build_example, find_prompt
from ocrtune.errors import InputsError, OcrtuneError, PredictionError, SourceError
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.models.checkpoint import LoadedCheckpoint, load_checkpoint
from ocrtune.models.precision import RequestedDevice
from ocrtune.prediction.answering import answer, num_positions, room_to_answer
from ocrtune.records import ModelInputs, Page, Prediction

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
) -> list[Prediction]:
    """What the model reads on each page.

    Pages become model inputs exactly as they did in training: family, mode, prompt, most tiles, normalisation and
    length limit are the checkpoint's.

    Args:
        checkpoint: A checkpoint or model folder, or one that is loaded already.
        pages: Texts in them are not looked at.
        decoding: Batch size, length limit and guard; the published settings without it.
        prompt: A prompt of the family by its short name, or a text; the checkpoint's own without it. A page's
            own prompt goes before both.
        device: Where to decode; of no effect on a loaded checkpoint.

    Returns:
        One prediction for each page, in their order.

    Raises:
        SourceError: An image cannot be read.
        InputsError: A page does not fit the recipe of the checkpoint.
        PredictionError: A prompt leaves no room for an answer.
    """
    loaded = (
        checkpoint if isinstance(checkpoint, LoadedCheckpoint) else load_checkpoint(checkpoint, device=device)
    )
    settings = decoding or DecodingSection()
    outcomes = predict_pages(loaded, pages, decoding=settings, prompt=prompt, on_error="stop")
    return [outcome for outcome in outcomes if isinstance(outcome, Prediction)]


def predict_pages(
    checkpoint: LoadedCheckpoint,
    pages: Iterable[Page],
    *,
    decoding: DecodingSection,
    prompt: str | None = None,
    on_error: OnError = "stop",
) -> Iterator[Prediction | SkippedPage]:
    """What becomes of each page, in their order and as soon as its window is decoded.

    While a window is decoded the next one is encoded, so at most two windows of views are in memory.

    Args:
        checkpoint: A loaded checkpoint.
        pages: May be endless; they are taken a window at a time.
        decoding: Batch size, length limit and guard.
        prompt: Instead of the checkpoint's own.
        on_error: `skip` gives a `SkippedPage` where a page is wrong, `stop` raises.

    Raises:
        SourceError: As `predict`, with `stop`.
        InputsError: As `predict`, with `stop`.
        PredictionError: As `predict`, with `stop`.
    """
    recipe = recipe_with_prompt(checkpoint.recipe, prompt)
    encoder = _Encoder(recipe, checkpoint.tokenizer, num_positions(checkpoint.model), on_error)
    windows = (
        [encoder.encode(page) for page in window]
        for window in _windows(pages, decoding.batch_size * BATCHES_IN_WINDOW)
    )
    for window in _one_ahead(windows):
        inputs = [outcome for outcome in window if isinstance(outcome, ModelInputs)]
        answers = iter(answer(checkpoint.model, recipe.family, checkpoint.tokenizer, inputs, decoding))
        for outcome in window:
            if isinstance(outcome, SkippedPage):
                yield outcome
                continue
            found = next(answers)
            yield Prediction(
                image=outcome.name, text=found.text, num_tokens=found.num_tokens, truncated=found.truncated
            )


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


def _skipped(page: Page, error: OcrtuneError) -> SkippedPage:
    return SkippedPage(
        image=page.name, code=error.code, message=error.message, where=error.where or page.where
    )


def _windows(pages: Iterable[Page], size: int) -> Iterator[Sequence[Page]]:
    upcoming = iter(pages)
    while window := list(islice(upcoming, size)):
        yield window


def _one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items as they are, each made in a thread while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item
