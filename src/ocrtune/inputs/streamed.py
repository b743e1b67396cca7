"""Examples of a stream, encoded when they are asked for by number."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, overload

from ocrtune.data import JsonTarget, build_example
from ocrtune.errors import InputsError, OcrtuneError, SequenceTooLong, SourceError, TooManySkipped
from ocrtune.inputs.encode import FindFeatures, count_tokens, encode
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.records import Example, Finding, ModelInputs, Page

MakePage = Callable[[int], Page]
"""A page by its number; the same number gives the same page in whatever process."""

Taken = TypeVar("Taken")

Tell = Callable[[Finding], None]
"""Told of each page that is left out, in whatever process."""

MOST_TRIED = 20
"""Pages in a row that cannot be used before that is taken for a mistake in the recipe."""

LOOKED_BACK = 1000
"""Pages asked for last, among which skipped ones are counted; of a stream of fewer pages as many as it has."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An example that is not encoded yet.

    Attributes:
        number: Of the page it was made of.
        example: The example.
        num_tokens: Its length.
    """

    number: int
    example: Example
    num_tokens: int


class SkipLimit:
    """Stops a run that leaves out too many pages; each process counts its own.

    Args:
        most_share: Of the last `LOOKED_BACK` pages asked for, no more than this share may be left out. In the first ones
            of a run no more than that number, so that one broken page at the start stops nothing.
        num_pages: Of the stream: where they are fewer, so many are looked back on; None without end.
    """

    def __init__(self, most_share: float, num_pages: int | None = None) -> None:
        looked_back = min(LOOKED_BACK, num_pages or LOOKED_BACK)
        self._most = max(most_share * looked_back, 1)
        self._last: deque[str] = deque(maxlen=looked_back)

    def count(self, code: str = "") -> None:
        """Count a page, with the code of why it is left out or none.

        Raises:
            TooManySkipped: It is one too many.
        """
        self._last.append(code)
        if not code:
            return
        reasons = Counter(filter(None, self._last))
        if reasons.total() > self._most:
            told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            raise TooManySkipped(
                f"{reasons.total()} of the last {len(self._last)} pages are left out: {told}",
                hint="mend the pages, skipped.jsonl names them, or allow more by data.max_skipped_share",
            )


class StreamedExamples(Sequence[ModelInputs]):
    """So many examples of a stream.

    An example depends on its number alone. So processes that make them need no seeds of their own, and a run that
    goes on from its step gets the very examples that an uninterrupted one would.

    Args:
        make_page: Makes pages by number; goes to other processes.
        count: How many.
        recipe: How they are encoded.
        tokenizer: The model's.
        on_too_long: Told of each page that is too long, which another one then stands for; without it such a page
            raises.
        on_error: The same of each page that cannot be used for another reason, such as a broken image.
        stride: How far apart the numbers are of pages that stand in for each other; without it `count`.
        limit: Counts what is left out.
        json_target: What every text must be as JSON.

    Attributes:
        features: What is known of images, so that they need not be opened; None for nothing.

    Raises:
        OcrtuneError: A page cannot be used, or `MOST_TRIED` in a row.
        TooManySkipped: More pages are left out than the limit allows.
    """

    def __init__(
        self,
        make_page: MakePage,
        count: int,
        recipe: InputsRecipe,
        tokenizer: Tokenizer,
        *,
        on_too_long: Tell | None = None,
        on_error: Tell | None = None,
        stride: int | None = None,
        limit: SkipLimit | None = None,
        json_target: JsonTarget | None = None,
    ) -> None:
        self.features: FindFeatures | None = None
        self._make_page = make_page
        self._on_too_long = on_too_long
        self._on_error = on_error
        self._count = count
        self._stride = count if stride is None else stride
        self._recipe = recipe
        self._tokenizer = tokenizer
        self._limit = limit
        self._json_target = json_target

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ModelInputs: ...

    @overload
    def __getitem__(self, index: slice) -> list[ModelInputs]: ...

    def __getitem__(self, index: int | slice) -> ModelInputs | list[ModelInputs]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._first_usable(index, self._encode)

    def measure(self, number: int) -> Measured:
        """The example of a number, or what stands for it, as far as headers of images and texts tell."""
        return self._first_usable(number, self._measure)

    def encode(self, measured: Measured) -> ModelInputs | None:
        """A measured example; None for one that is left out, as its pixels showed."""
        try:
            return encode(measured.example, self._recipe, self._tokenizer, self.features)
        except (InputsError, SourceError) as error:
            self._skip(error, measured.number)
            return None

    def stand_in(self, number: int) -> ModelInputs:
        """What stands for the page of a number that cannot be used."""
        return self._first_usable(number + self._stride, self._encode)

    def _first_usable(self, index: int, take: Callable[[int], Taken]) -> Taken:
        last = index + (MOST_TRIED - 1) * self._stride
        # Numbers beyond the run's own: what stands for a page depends on its number alone, too.
        for number in range(index, last, self._stride):
            try:
                return take(number)
            except (InputsError, SourceError) as error:
                self._skip(error, number)
        return take(last)

    def _measure(self, number: int) -> Measured:
        example, num_tokens = self._take(number, count_tokens)
        return Measured(number, example, num_tokens)

    def _encode(self, number: int) -> ModelInputs:
        inputs: ModelInputs = self._take(number, partial(encode, features=self.features))[1]
        return inputs

    def _take(
        self, number: int, use: Callable[[Example, InputsRecipe, Tokenizer], Taken]
    ) -> tuple[Example, Taken]:
        page = self._make_page(number)
        try:
            example = build_example(
                page,
                self._recipe.family,
                prompt=self._recipe.prompt,
                normalization=self._recipe.normalization,
                json_target=self._json_target,
            )
            used = use(example, self._recipe, self._tokenizer)
        except (InputsError, SourceError) as error:
            # An error of a file may not tell whose page it is, such as that of a tar.
            error.where = error.where or page.where or page.name
            raise
        if self._limit is not None:
            self._limit.count()
        return example, used

    def _skip(self, error: OcrtuneError, number: int) -> None:
        """Tell that a page is left out; raises the error where it is not to be."""
        tell = self._on_too_long if isinstance(error, SequenceTooLong) else self._on_error
        if tell is None:
            raise error
        found = Finding.of_error(error, where=f"example {number}", severity="warning")
        tell(replace(found, message=f"skipped: {found.message}"))
        if self._limit is not None:
            self._limit.count(error.code)
