"""Batches that become smaller when memory does not do."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ocrtune.errors import PredictionError
from ocrtune.progress import say

Found = TypeVar("Found")

_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory")
"""What errors without a class of their own say."""


@dataclass(slots=True)
class BatchSize:
    """How many examples are decoded together; becomes smaller and never larger again.

    Attributes:
        rows: Examples in a batch.
    """

    rows: int


def decode_within_memory(
    decode: Callable[[], Sequence[Found]], size: BatchSize, names: Sequence[str]
) -> Sequence[Found] | None:
    """What `decode` gives; None where memory did not do, and `size` is half of the batch that failed.

    Args:
        decode: Decodes one batch.
        size: Made smaller.
        names: Of the examples in the batch.

    Raises:
        PredictionError: Memory does not do for a batch of one.
    """
    try:
        return decode()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(names) == 1:
            raise PredictionError(
                "memory does not do for one page alone",
                where=names[0],
                hint="take a mode with fewer image tokens, or a smaller --max-new-tokens",
            ) from error
    # Out here nothing holds on to the failed batch any more.
    _give_back()
    size.rows = max(1, len(names) // 2)
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
