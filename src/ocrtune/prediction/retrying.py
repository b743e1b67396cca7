"""What is tried with a page whose answer fell into a loop, and which answer is kept."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ocrtune.config import DecodingSection
from ocrtune.errors import PredictionError
from ocrtune.families import Decoding, Family
from ocrtune.inputs import InputsRecipe
from ocrtune.inputs.recipe import parse_mode
from ocrtune.prediction.answering import Answer, settle_decoding
from ocrtune.prediction.confidence import mean_logprob
from ocrtune.records import Attempt

FEWEST_NGRAM_TOKENS = 4
"""A shorter n-gram forbids what pages really repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """What is tried after an answer that loops, until one does not.

    Attributes:
        retries: Tries with a stronger guard, each stronger than the one before.
        mode: A mode of the family, or one written as `parse_mode` takes it, that is tried at last, with the strongest of these guards.
    """

    retries: int = 1
    mode: str | None = None


USUAL_POLICY = RetryPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a page is read once.

    Attributes:
        recipe: How it becomes inputs.
        guard: What is forbidden.
    """

    recipe: InputsRecipe
    guard: Decoding


@dataclass(slots=True)
class Readings:
    """The answers to one page so far.

    Attributes:
        tries: Each setting with the answer it gave, in order.
        error: Why there is no answer at all.
    """

    tries: list[tuple[Setting, Answer]] = field(default_factory=list)
    error: PredictionError | None = None

    def add(self, setting: Setting, given: Answer | PredictionError) -> None:
        """One more try."""
        if isinstance(given, PredictionError):
            self.error = given
        else:
            self.tries.append((setting, given))

    @property
    def is_settled(self) -> bool:
        """The page is not tried again: its last answer does not loop, or it cannot be read."""
        return self.error is not None or bool(self.tries and self.tries[-1][1].stop != "repetition")

    @property
    def best(self) -> Answer:
        """The answer that is kept: one without a loop, and of several the one the model was surest of."""
        return max((answer for _, answer in self.tries), key=_worth)

    @property
    def seconds(self) -> float:
        """The time that all of them took."""
        return sum(answer.seconds for _, answer in self.tries)

    def attempts(self) -> tuple[Attempt, ...]:
        """What was tried; nothing for a page that was read once."""
        if len(self.tries) == 1:
            return ()
        best = self.best
        return tuple(_attempt(setting, answer, kept=answer is best) for setting, answer in self.tries)


Read = Callable[[Setting, Sequence[int]], Iterable[tuple[int, Answer | PredictionError]]]
"""Reads the pages at these places by a setting, in any order; a page that the setting does not suit is left out."""


def read_with_retries(num_pages: int, settings: Sequence[Setting], read: Read) -> Iterator[Readings]:
    """Read pages by the first setting, and those whose answers loop by the next ones until they do not.

    The readings come in the order of the pages, each as soon as it and those before it are settled.

    Args:
        num_pages: How many there are.
        settings: As `plan_settings` gives them.
        read: Reads some of them by one setting.
    """
    readings = [Readings() for _ in range(num_pages)]
    waiting = deque(readings)
    for setting in settings:
        places = [place for place in range(num_pages) if not readings[place].is_settled]
        for place, given in read(setting, places) if places else ():
            readings[place].add(setting, given)
            while waiting and waiting[0].is_settled:
                yield waiting.popleft()
    yield from waiting


def plan_settings(recipe: InputsRecipe, decoding: DecodingSection, retry: RetryPolicy) -> tuple[Setting, ...]:
    """The settings a page is read by, the later ones only while its answers loop.

    Raises:
        ModeError: The family has no such mode, or cannot see it.
    """
    family = recipe.family
    guards = list(_guards(settle_decoding(decoding, family), family, retry.retries))
    settings = [Setting(recipe=recipe, guard=guard) for guard in guards]
    if retry.mode is not None:
        in_mode = replace(recipe, mode=parse_mode(family, retry.mode))
        settings.append(Setting(recipe=in_mode, guard=guards[-1]))
    return tuple(settings)


def with_guard(decoding: DecodingSection, guard: Decoding) -> DecodingSection:
    """The section with another guard."""
    return decoding.model_copy(
        update={
            "no_repeat_ngram_tokens": guard.no_repeat_ngram_tokens,
            "window_tokens": guard.window_tokens,
        }
    )


def _guards(first: Decoding, family: Family, retries: int) -> Iterator[Decoding]:
    """The first one, then stronger ones: n-grams half as long and at most as published for pages, windows twice."""
    pages = family.decoding["pages"]
    guard = first
    yield guard
    for _ in range(retries):
        half = (guard.no_repeat_ngram_tokens or 2 * pages.no_repeat_ngram_tokens) // 2
        guard = Decoding(
            no_repeat_ngram_tokens=max(FEWEST_NGRAM_TOKENS, min(half, pages.no_repeat_ngram_tokens)),
            window_tokens=max(2 * guard.window_tokens, pages.window_tokens),
        )
        yield guard


def _worth(answer: Answer) -> tuple[bool, float]:
    return answer.stop != "repetition", mean_logprob(answer.logprobs)


def _attempt(setting: Setting, answer: Answer, *, kept: bool) -> Attempt:
    return Attempt(
        mode=setting.recipe.mode.name,
        no_repeat_ngram_tokens=setting.guard.no_repeat_ngram_tokens,
        window_tokens=setting.guard.window_tokens,
        stop=answer.stop,
        num_tokens=answer.num_tokens,
        mean_logprob=mean_logprob(answer.logprobs),
        kept=kept,
    )
