"""Batches that become smaller when memory does not do."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from ocrtune.errors import PredictionError
from ocrtune.progress import say

Found = TypeVar("Found")

_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")
"""What errors without a class of their own say."""


@dataclass(slots=True)
class BatchSize:
    """How many examples are decoded together; becomes smaller where memory does not do.

    Attributes:
        rows: Examples in a batch.
    """

    rows: int
    _before: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._before = self.rows

    def halve(self, num_rows: int) -> None:
        """Memory did not do for so many rows."""
        self.rows = max(1, num_rows // 2)

    def keep(self) -> None:
        """Memory did for a batch: what was tried before is not tried again."""
        self._before = self.rows

    def take_back(self) -> None:
        """Memory does not do for one row alone: the batches halved on its account tell nothing about others."""
        self.rows = self._before


def decode_within_memory(
    decode: Callable[[], Sequence[Found]], size: BatchSize, names: Sequence[str]
) -> Sequence[Found] | PredictionError | None:
    """What `decode` gives; None where memory did not do, and `size` is half of the batch that failed.

    Memory that does not do for a batch of one gives the error that says so: its caller may go on with other pages.

    Args:
        decode: Decodes one batch.
        size: Made smaller.
        names: Of the examples in the batch.
    """
    try:
        found = decode()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        size.keep()
        return found
    # Out here nothing holds on to the failed batch any more.
    _give_back()
    if len(names) == 1:
        size.take_back()
        return PredictionError(
            "memory does not do for one page alone",
            where=names[0],
            hint="take a mode with fewer image tokens, or a smaller --max-new-tokens",
        )
    size.halve(len(names))
    say(f"out of memory with {len(names)} pages together: going on with {size.rows}")
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not do, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in _SAYINGS)


def _give_back() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
