"""Example → ModelInputs: the same layout of tokens for training and for prediction."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocrtune.errors import InputsError, OcrtuneError, SequenceTooLong, SeveralImagesError, SourceError
from ocrtune.inputs.layout import choose_grid, num_image_tokens
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.inputs.views import make_views
from ocrtune.progress import track
from ocrtune.records import Example, Finding, ImageSource, ImageViews, KeptFeatures, ModelInputs
from ocrtune.sequences import Selected
from ocrtune.sources import image_size, open_image
from ocrtune.sources.content import content_key, still_has_key

IGNORED_LABEL = -100
"""A position with this label is no target of the loss."""


class FindFeatures(Protocol):
    """Vision features computed earlier, by the key of an image's content; goes to other processes."""

    def find(self, key: str) -> KeptFeatures | None:
        """The features of the image; None where they are not known."""


def encode(
    example: Example, recipe: InputsRecipe, tokenizer: Tokenizer, features: FindFeatures | None = None
) -> ModelInputs:
    """What the model is given for one example; with a target, what it should answer too.

    The sequence is BOS, the stripped prompt with each `<image>` made as many image tokens as its views have
    features, the answer, EOS. Labels are unshifted.

    Args:
        example: The example.
        recipe: How.
        tokenizer: The model's.
        features: Where it knows an image, that is not opened.

    Raises:
        InputsError: The prompt has not one `<image>` for each image, or prompt or target hold control tokens.
        SeveralImagesError: The family takes one image, or one in this mode.
        SequenceTooLong: The sequence is longer than the recipe allows; nothing is ever cut.
        ImageError: An image cannot be opened.

    Source: token by token the published `infer()` of each family, with the answer put where it generates one.
    """
    images = [_Seen.of(source, features) for source in example.images]
    layout = _lay_out(example, recipe, tokenizer, [image.size for image in images])
    views = tuple(image.views(recipe) for image in images)
    input_ids = np.array(layout.ids(tokenizer), dtype=np.int64)
    labels = np.full_like(input_ids, IGNORED_LABEL)
    labels[layout.num_prompt_tokens :] = input_ids[layout.num_prompt_tokens :]
    return ModelInputs(
        input_ids=input_ids,
        labels=labels,
        image_mask=input_ids == tokenizer.image_id,
        views=views,
        num_prompt_tokens=layout.num_prompt_tokens,
        name=example.name,
        where=example.where,
        letters=example.letters,
    )


def count_tokens(example: Example, recipe: InputsRecipe, tokenizer: Tokenizer) -> int:
    """The length of `encode(example, …)`, from the images' headers; raises what it would raise, pixels apart."""
    sizes = [image_size(source) for source in example.images]
    return _lay_out(example, recipe, tokenizer, sizes).num_tokens


def encode_all(
    examples: Iterable[Example],
    recipe: InputsRecipe,
    tokenizer: Tokenizer,
    on_too_long: Literal["error", "skip"] = "error",
) -> tuple[list[ModelInputs], list[Finding]]:
    """Every example encoded, and one finding for each that was skipped for its length.

    Raises:
        SequenceTooLong: An example is too long and `on_too_long` is `error`.
        OcrtuneError: Whatever else `encode` raises.
    """
    encoded: list[ModelInputs] = []
    skipped: list[Finding] = []
    for example in examples:
        try:
            encoded.append(encode(example, recipe, tokenizer))
        except SequenceTooLong as error:
            if on_too_long == "error":
                raise
            skipped.append(left_out(example, error))
    return encoded, skipped


class EncodedExamples(Sequence[ModelInputs]):
    """Examples that are encoded when they are asked for; lengths and skips are known from the start.

    Args:
        examples: What may be encoded.
        recipe: How.
        tokenizer: The model's.
        on_too_long: An example over the limit raises, or is skipped and listed.
        on_error: Any other example that cannot be encoded raises, or is skipped and listed. A file that breaks only
            in its pixels is found when it is encoded.

    Attributes:
        features: What is known of images, so that they need not be opened; None for nothing.
        examples: What is left, in order.
        places: int64 (n,), their places among the examples given.
        skipped: One finding for each example left out.

    Raises:
        OcrtuneError: What `encode` raises, where the choice is not to skip.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        recipe: InputsRecipe,
        tokenizer: Tokenizer,
        *,
        on_too_long: Literal["error", "skip"] = "error",
        on_error: Literal["stop", "skip"] = "stop",
    ) -> None:
        self.features: FindFeatures | None = None
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.skipped: list[Finding] = []
        # Places and lengths alone are kept: there may be millions of examples.
        places, lengths = array("q"), array("q")
        for place, example in enumerate(track(examples, "measuring examples")):
            try:
                lengths.append(count_tokens(example, recipe, tokenizer))
                places.append(place)
            except (InputsError, SourceError) as error:
                skips = on_too_long if isinstance(error, SequenceTooLong) else on_error
                if skips != "skip":
                    raise
                self.skipped.append(left_out(example, error))
        self.places = np.array(places, dtype=np.int64)
        self.examples: Sequence[Example] = Selected(examples, self.places)
        self._lengths = np.array(lengths, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> ModelInputs: ...

    @overload
    def __getitem__(self, index: slice) -> list[ModelInputs]: ...

    def __getitem__(self, index: int | slice) -> ModelInputs | list[ModelInputs]:
        if isinstance(index, slice):
            return [
                encode(example, self.recipe, self.tokenizer, self.features)
                for example in self.examples[index]
            ]
        return encode(self.examples[index], self.recipe, self.tokenizer, self.features)

    def lengths(self) -> NDArray[np.int64]:
        """int64 (n,), tokens of each example, in order."""
        return self._lengths


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image that was opened, or what was made of it earlier."""

    image: Image.Image | KeptFeatures
    key: str

    @classmethod
    def of(cls, source: ImageSource, features: FindFeatures | None) -> "_Seen":
        key = "" if features is None else content_key(source)
        kept = features.find(key) if features is not None and key else None
        if kept is not None:
            return cls(kept, key)
        image = open_image(source)
        # Of a file that was written to meanwhile nobody knows which of both contents was opened.
        return cls(image, key if not key or still_has_key(source, key) else "")

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    def views(self, recipe: InputsRecipe) -> ImageViews | KeptFeatures:
        if isinstance(self.image, KeptFeatures):
            return self.image
        views = make_views(self.image, recipe.family, recipe.mode)
        return replace(views, key=self.key, size=self.image.size) if self.key else views


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The parts of a sequence in ids.

    Attributes:
        pieces: Ids of the prompt before, between and behind its images; one more than there are images.
        image_tokens: Positions each image takes.
        answer: Ids of the target; None to predict.
    """

    pieces: list[list[int]]
    image_tokens: list[int]
    answer: list[int] | None

    @property
    def num_prompt_tokens(self) -> int:
        return 1 + sum(map(len, self.pieces)) + sum(self.image_tokens)

    @property
    def num_answer_tokens(self) -> int:
        return 0 if self.answer is None else len(self.answer) + 1

    @property
    def num_tokens(self) -> int:
        return self.num_prompt_tokens + self.num_answer_tokens

    def ids(self, tokenizer: Tokenizer) -> list[int]:
        ids = [tokenizer.bos_id, *self.pieces[0]]
        for num_tokens, piece in zip(self.image_tokens, self.pieces[1:], strict=True):
            ids += [tokenizer.image_id] * num_tokens + piece
        return ids if self.answer is None else [*ids, *self.answer, tokenizer.eos_id]


def _lay_out(
    example: Example, recipe: InputsRecipe, tokenizer: Tokenizer, sizes: Sequence[tuple[int, int]]
) -> _Layout:
    """The parts of the example's sequence, checked against each other and the limit."""
    grids = [choose_grid(size, recipe.mode) for size in sizes]
    _check_several(example, recipe, grids)
    layout = _Layout(
        pieces=_prompt_pieces(example, recipe, tokenizer),
        image_tokens=[
            num_image_tokens(
                recipe.family, global_px=recipe.mode.global_px, tile_px=recipe.mode.tile_px, grid=grid
            )
            for grid in grids
        ],
        answer=None if example.target is None else _text_ids(example, "target", example.target, tokenizer),
    )
    _check_length(example, recipe, layout)
    return layout


def _prompt_pieces(example: Example, recipe: InputsRecipe, tokenizer: Tokenizer) -> list[list[int]]:
    # Tokenised apart: joined, a merge could reach over the place of an image.
    mark = recipe.family.vocabulary.image
    pieces = example.prompt.strip().split(mark)
    if len(pieces) - 1 != len(example.images):
        raise InputsError(
            f"the prompt {example.prompt!r} has {len(pieces) - 1} {mark} for {len(example.images)} image(s)",
            where=_place(example),
            hint=f"write {mark} once for each image; short names of prompts: {', '.join(recipe.family.prompts)}",
        )
    return [_text_ids(example, "prompt", piece, tokenizer) for piece in pieces]


def _text_ids(example: Example, what: str, text: str, tokenizer: Tokenizer) -> list[int]:
    ids = tokenizer.encode(text)
    control = sorted(tokenizer.control_ids.intersection(ids))
    if control:
        raise InputsError(
            f"the {what} holds the control token {tokenizer.token_text(control[0])!r}",
            where=_place(example),
            hint="BOS, EOS, padding and image tokens are placed for you; take them out of the text",
        )
    return ids


def _check_several(example: Example, recipe: InputsRecipe, grids: Sequence[tuple[int, int]]) -> None:
    if len(grids) < 2:  # noqa: PLR2004  # one image is not several
        return
    if not recipe.family.several_images:
        raise SeveralImagesError(
            f"{len(grids)} images in an example; {recipe.family.name} takes one",
            where=_place(example),
            hint="make each image an example of its own",
        )
    tiled = [grid for grid in grids if grid != (1, 1)]
    if tiled:
        columns, rows = tiled[0]
        raise SeveralImagesError(
            f"{len(grids)} images in an example, and mode {recipe.mode.name!r} cuts {columns}×{rows} tiles of one",
            where=_place(example),
            hint="several images go together only without tiles; take a mode such as 'base'",
        )


def _check_length(example: Example, recipe: InputsRecipe, layout: _Layout) -> None:
    if layout.num_tokens <= recipe.token_limit:
        return
    num_image_tokens = sum(layout.image_tokens)
    raise SequenceTooLong(
        f"a sequence of {layout.num_tokens} tokens, {recipe.token_limit} are allowed: {num_image_tokens} image tokens, "
        f"{layout.num_prompt_tokens - num_image_tokens} of the prompt, {layout.num_answer_tokens} of the answer",
        where=_place(example),
        hint="raise inputs.max_tokens, take a smaller mode, or let inputs.on_too_long: skip count such pages",
    )


def _place(example: Example) -> str:
    return f"{example.where}: {example.name}" if example.where else example.name


def left_out(example: Example, error: OcrtuneError) -> Finding:
    """That an example cannot be used, and why."""
    found = Finding.of_error(error, where=_place(example), severity="warning")
    return replace(found, message=f"skipped: {found.message}")
