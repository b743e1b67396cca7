"""Examples of a stream, encoded when they are asked for by number."""

from collections.abc import Callable, Sequence
from typing import overload

from ocrtune.data import build_example
from ocrtune.errors import SequenceTooLong
from ocrtune.inputs.encode import encode, left_out
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.records import Finding, ModelInputs, Page

MakePage = Callable[[int], Page]
"""A page by its number; the same number gives the same page in whatever process."""


MOST_TRIED = 20
"""Pages in a row that are too long before that is taken for a mistake in the recipe."""


class StreamedExamples(Sequence[ModelInputs]):
    """So many examples of a stream that has no end.

    An example depends on its number alone. So processes that make them need no seeds of their own, and a run that
    goes on from its step gets the very examples that an uninterrupted one would.

    Args:
        make_page: Makes pages by number; goes to other processes.
        count: How many.
        recipe: How they are encoded.
        tokenizer: The model's.
        on_too_long: Told of each page that is too long, which another one then stands for; without it such a page
            raises.

    Raises:
        SequenceTooLong: A page is too long, or `MOST_TRIED` in a row.
    """

    def __init__(
        self,
        make_page: MakePage,
        count: int,
        recipe: InputsRecipe,
        tokenizer: Tokenizer,
        *,
        on_too_long: Callable[[Finding], None] | None = None,
    ) -> None:
        self._make_page = make_page
        self._on_too_long = on_too_long
        self._count = count
        self._recipe = recipe
        self._tokenizer = tokenizer

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
        last = index + (MOST_TRIED - 1) * self._count
        # Numbers beyond the run's own: what stands for a page depends on its number alone, too.
        for number in range(index, last, self._count):
            inputs = self._encode(number, self._on_too_long)
            if inputs is not None:
                return inputs
        return self._encode(last, None)

    @overload
    def _encode(self, number: int, on_too_long: None) -> ModelInputs: ...

    @overload
    def _encode(self, number: int, on_too_long: Callable[[Finding], None] | None) -> ModelInputs | None: ...

    def _encode(self, number: int, on_too_long: Callable[[Finding], None] | None) -> ModelInputs | None:
        recipe = self._recipe
        example = build_example(
            self._make_page(number), recipe.family, prompt=recipe.prompt, normalization=recipe.normalization
        )
        try:
            return encode(example, recipe, self._tokenizer)
        except SequenceTooLong as error:
            if on_too_long is None:
                raise
            on_too_long(left_out(example, error))
            return None
