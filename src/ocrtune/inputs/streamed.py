"""Examples of a stream, encoded when they are asked for by number."""

from collections.abc import Callable, Sequence
from typing import overload

from ocrtune.data import build_example
from ocrtune.inputs.encode import encode
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.records import ModelInputs, Page

MakePage = Callable[[int], Page]
"""A page by its number; the same number gives the same page in whatever process."""


class StreamedExamples(Sequence[ModelInputs]):
    """So many examples of a stream that has no end.

    An example depends on its number alone. So processes that make them need no seeds of their own, and a run that
    goes on from its step gets the very examples that an uninterrupted one would.

    Args:
        make_page: Makes pages by number; goes to other processes.
        count: How many.
        recipe: How they are encoded.
        tokenizer: The model's.
    """

    def __init__(self, make_page: MakePage, count: int, recipe: InputsRecipe, tokenizer: Tokenizer) -> None:
        self._make_page = make_page
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
        recipe = self._recipe
        example = build_example(
            self._make_page(index), recipe.family, prompt=recipe.prompt, normalization=recipe.normalization
        )
        return encode(example, recipe, self._tokenizer)
