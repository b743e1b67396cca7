"""What a page costs a model in tokens, as the checks ask for it; the stage of inputs knows the answer."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ocrtune.data.pictures import Picture
from ocrtune.data.vocabulary import Vocabulary
from ocrtune.records import Finding, Page


class TokenCounts(Protocol):
    """Positions that a page takes in a sequence."""

    @property
    def image_tokens(self) -> Sequence[int]:
        """Of each image."""

    @property
    def tiles(self) -> Sequence[tuple[int, int]]:
        """(columns, rows) of each image's tiles; (1, 1) for one without."""

    @property
    def text_tokens(self) -> int | None:
        """Of the text; None without a tokenizer or a text."""


class Budget(Protocol):
    """Counts tokens and tells what does not fit; goes to other processes, so it is pickled.

    A journal takes two budgets as the same that are pickled as the same bytes.
    """

    def check(self, page: Page, pictures: Sequence[Picture]) -> Iterator[Finding]:
        """What does not fit; of pages whose images all opened."""

    def count(self, page: Page, sizes: Sequence[tuple[int, int]]) -> TokenCounts:
        """The tokens of a page whose images have these (width, height) in pixels."""

    def count_vocabulary(self, text: str) -> Vocabulary | None:
        """Characters and tokens of a page's text by script; None without a tokenizer."""
