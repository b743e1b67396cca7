"""Model inputs → answers: batched greedy decoding, the same during training and afterwards."""

import time
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from peft import PeftModel
from transformers import GenerationConfig, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError
from ocrtune.families import Decoding, Family
from ocrtune.inputs import Tokenizer
from ocrtune.inputs.collate import Batch, collate
from ocrtune.models import OcrModel
from ocrtune.models.classes import NATIVE_IMAGE_KEYS
from ocrtune.models.known_features import FeatureSource
from ocrtune.prediction.confidence import TokenLogprobs
from ocrtune.prediction.guard import RepetitionGuard
from ocrtune.prediction.loops import LoopWatch, ends_in_loop
from ocrtune.prediction.memory import BatchSize, decode_within_memory
from ocrtune.records import ModelInputs, StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model generated for one example.

    Attributes:
        tokens: Ids generated, without EOS and padding.
        text: The ids in letters; tables and boxes keep their special tokens.
        num_tokens: Tokens generated, EOS included.
        stop: Why it ended.
        logprobs: Of each token generated, EOS included: its log-probability before the guard.
        seconds: The example's share of the time its batch took.
    """

    tokens: tuple[int, ...]
    text: str
    num_tokens: int
    stop: StopReason
    # Rounding in a batch is another one than alone, and time differs always.
    logprobs: tuple[float, ...] = field(default=(), compare=False)
    seconds: float = field(default=0.0, compare=False)

    @property
    def truncated(self) -> bool:
        """EOS never came."""
        return self.stop != "eos"


def answer(
    model: OcrModel | PeftModel,
    family: Family,
    tokenizer: Tokenizer,
    inputs: Sequence[ModelInputs],
    decoding: DecodingSection,
    *,
    pixel_dtype: torch.dtype = torch.float32,
    autocast_dtype: torch.dtype | None = None,
    stops_loops: bool = False,
    batch_size: BatchSize | None = None,
    features: FeatureSource | None = None,
) -> list[Answer]:
    """Decode greedily, in batches of like length, until EOS or the length limit.

    The text of an example does not depend on what it is batched with, but for rounding. A model that is being
    trained comes back as it was: the modes of its modules and its generation settings are restored.

    Args:
        model: A model of `family`, with or without adapters, on the device to decode on.
        family: Its family.
        tokenizer: Its tokenizer.
        inputs: Encoded examples; an answer in them is left out.
        decoding: Batch size, length limit and the guard against repetition.
        pixel_dtype: Of the views; the model casts them to what its vision part has.
        autocast_dtype: Decode under autocast to this dtype, as training does; None for the
            caller's own autocast, or none.
        stops_loops: An answer that has fallen into a loop ends there, not at the length limit.
        batch_size: Instead of the batch size of `decoding`; becomes smaller where memory does not do.
        features: Gives batches the vision features that are kept, and keeps others.

    Returns:
        One answer for each of `inputs`, in their order.

    Raises:
        PredictionError: A prompt leaves the model no position for an answer, or memory does not do for one example.
    """
    answers: dict[int, Answer] = {}
    for row, given in answer_in_batches(
        model,
        family,
        tokenizer,
        inputs,
        decoding,
        pixel_dtype=pixel_dtype,
        autocast_dtype=autocast_dtype,
        stops_loops=stops_loops,
        batch_size=batch_size,
        features=features,
    ):
        if isinstance(given, PredictionError):
            raise given
        answers[row] = given
    return [answers[row] for row in range(len(inputs))]


def answer_in_batches(
    model: OcrModel | PeftModel,
    family: Family,
    tokenizer: Tokenizer,
    inputs: Sequence[ModelInputs],
    decoding: DecodingSection,
    *,
    pixel_dtype: torch.dtype = torch.float32,
    autocast_dtype: torch.dtype | None = None,
    stops_loops: bool = False,
    batch_size: BatchSize | None = None,
    features: FeatureSource | None = None,
) -> Iterator[tuple[int, Answer | PredictionError]]:
    """What `answer` gives, batch by batch: the place in `inputs`, and its answer or why memory does not do for it alone.

    The arguments are those of `answer`.

    Raises:
        PredictionError: A prompt leaves the model no position for an answer.
    """
    prompts = [_prompt_of(example) for example in inputs]
    native = _without_adapter_class(model)
    longest = decoding.max_new_tokens or family.max_new_tokens
    limits = [min(longest, room_to_answer(prompt, num_positions(model))) for prompt in prompts]
    settings = settle_decoding(decoding, family)
    decoder = _Decoder(native, family, tokenizer, settings, pixel_dtype, stops_loops, features)
    size = batch_size or BatchSize(decoding.batch_size)
    done: set[int] = set()
    # Made anew after each batch: the size may have become smaller.
    while rows := _next_batch(prompts, done, size.rows, padded=family.decodes_padded):
        work = partial(decoder.decode, [prompts[row] for row in rows], [limits[row] for row in rows])
        # Around each batch by itself: whoever takes the answers does so in the modes of their own.
        with _decoding_mode(native, autocast_dtype):
            found = decode_within_memory(work, size, [prompts[row].name for row in rows])
        if found is not None:
            done.update(rows)
            yield from zip(rows, [found] if isinstance(found, PredictionError) else found, strict=True)


def _next_batch(
    prompts: Sequence[ModelInputs], done: Container[int], batch_size: int, *, padded: bool
) -> list[int]:
    """The prompts that are decoded next; empty at the end."""
    left = [row for row in range(len(prompts)) if row not in done]
    lengths = [len(prompts[row]) for row in left]
    batch = next(batches_of_like_length(lengths, batch_size, padded=padded), [])
    return [left[place] for place in batch]


def settle_decoding(decoding: DecodingSection, family: Family) -> Decoding:
    """The settings of the guard: the published ones for the use, but for what the section says itself."""
    published = family.decoding[decoding.use]
    ngram, window = decoding.no_repeat_ngram_tokens, decoding.window_tokens
    return Decoding(
        no_repeat_ngram_tokens=published.no_repeat_ngram_tokens if ngram is None else ngram,
        window_tokens=published.window_tokens if window is None else window,
    )


def num_positions(model: OcrModel | PeftModel) -> int:
    """Longest sequence the decoder of `model` has positions for, prompt and answer together."""
    return int(_without_adapter_class(model).config.text_config.max_position_embeddings)


def room_to_answer(example: ModelInputs, positions: int) -> int:
    """How many tokens of `positions` the prompt of `example` leaves for an answer, at least 1.

    Raises:
        PredictionError: It leaves none.
    """
    room = positions - example.num_prompt_tokens
    if room < 1:
        raise PredictionError(
            f"the prompt has {example.num_prompt_tokens} tokens and the model {positions} positions:"
            " none is left to answer",
            where=example.where or example.name,
            hint="take a mode with fewer image tokens, or fewer images",
        )
    return room


def batches_of_like_length(lengths: Sequence[int], batch_size: int, *, padded: bool) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that memory that will not do fails in the first batch.

    Args:
        lengths: Tokens of each prompt.
        batch_size: Most rows of a batch.
        padded: Rows of a batch may differ in length; otherwise only equal lengths come together.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    groups: dict[int, list[int]] = defaultdict(list)
    for row in order:
        groups[0 if padded else lengths[row]].append(row)
    for rows in groups.values():
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


@dataclass(frozen=True, slots=True)
class _Decoder:
    """A model with what it needs to decode a batch."""

    model: OcrModel
    family: Family
    tokenizer: Tokenizer
    settings: Decoding
    pixel_dtype: torch.dtype
    stops_loops: bool
    features: FeatureSource | None = None

    def decode(self, prompts: Sequence[ModelInputs], limits: Sequence[int]) -> list[Answer]:
        """Answers to one batch; row i has at most `limits[i]` tokens."""
        start = time.monotonic()
        batch = collate(
            prompts,
            self.family,
            pad_id=self.tokenizer.pad_id,
            dtype=self.pixel_dtype,
            padding_side="left",
        ).to(self.model.device)
        begin = batch.input_ids.shape[1]
        logprobs, watch = TokenLogprobs(self._guard()), LoopWatch(begin, marks=self.tokenizer.kept_ids)
        generated = self.model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            mm_encoder_outputs=self._vision_features(batch),
            generation_config=self._greedy(max(limits)),
            logits_processor=[logprobs],
            stopping_criteria=StoppingCriteriaList([watch] if self.stops_loops else []),
        )
        new, sure = generated[:, begin:].tolist(), logprobs.rows()
        share_s = (time.monotonic() - start) / len(prompts)
        return [
            self._answer(tokens[: watch.stopped.get(row, limits[row])][: limits[row]], sure[row], share_s)
            for row, tokens in enumerate(new)
        ]

    def _vision_features(self, batch: Batch) -> dict[str, BaseModelOutputWithPooling]:
        """The features of the batch's images by the code that training goes through; `generate` has its own."""
        native = batch.native()
        if self.features is not None and batch.known is not None:
            found: dict[str, BaseModelOutputWithPooling] = self.features.complete(self.model, native)[
                "mm_encoder_outputs"
            ]
            return found
        images = {name: native[name] for name in NATIVE_IMAGE_KEYS if name in native}
        return {"image": self.model.get_image_features(**images)} if images else {}

    def _greedy(self, max_new_tokens: int) -> GenerationConfig:
        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            use_cache=True,
            max_new_tokens=max_new_tokens,
            bos_token_id=self.tokenizer.bos_id,
            eos_token_id=self.tokenizer.eos_id,
            pad_token_id=self.tokenizer.pad_id,
        )

    def _guard(self) -> RepetitionGuard:
        return RepetitionGuard(
            self.settings,
            ignored=(self.tokenizer.pad_id, self.tokenizer.image_id),
            unguarded=self.tokenizer.unguarded_ids,
        )

    def _answer(self, tokens: list[int], logprobs: Sequence[float], seconds: float) -> Answer:
        """The answer in a row of the batch, which may go on with padding after EOS."""
        ended = self.tokenizer.eos_id in tokens
        kept = tokens[: tokens.index(self.tokenizer.eos_id)] if ended else tokens
        num_tokens = len(kept) + ended
        return Answer(
            tokens=tuple(kept),
            text=self.tokenizer.decode(kept),
            num_tokens=num_tokens,
            stop="eos" if ended else self._why_cut(kept),
            logprobs=tuple(logprobs[:num_tokens]),
            seconds=seconds,
        )

    def _why_cut(self, tokens: Sequence[int]) -> StopReason:
        return "repetition" if ends_in_loop(tokens, marks=self.tokenizer.kept_ids) else "length"


def _prompt_of(example: ModelInputs) -> ModelInputs:
    """`example` without the answer that training examples carry."""
    length = example.num_prompt_tokens
    return replace(
        example,
        input_ids=example.input_ids[:length],
        labels=example.labels[:length],
        image_mask=example.image_mask[:length],
    )


def _without_adapter_class(model: OcrModel | PeftModel) -> OcrModel:
    """The model below PEFT's class; its adapters stay in place and at work."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


@contextmanager
def _decoding_mode(model: OcrModel, autocast_dtype: torch.dtype | None) -> Iterator[None]:
    """Evaluation mode, no gradients, no generation settings but ours; all put back at the end.

    Checkpointed layers drop their cache in training mode only, so evaluation mode is what lets a model with
    gradient checkpointing decode with a cache.
    """
    modes = [(module, module.training) for module in model.modules()]
    settings = model.generation_config
    # `generate` fills what it is not told from the model's own settings: a published n-gram rule would come twice.
    model.generation_config = GenerationConfig()
    model.eval()
    try:
        with torch.no_grad(), _autocast(model.device.type, autocast_dtype):
            yield
    finally:
        model.generation_config = settings
        for module, training in modes:
            module.training = training


def _autocast(device_type: str, dtype: torch.dtype | None) -> AbstractContextManager[None]:
    """Autocast to `dtype`; with None the caller's own, if there is one, stays in force."""
    return nullcontext() if dtype is None else torch.autocast(device_type, dtype=dtype)
