"""A loop at the end of an answer: the same tokens again and again, until somebody stops it.

An answer loops when one of these holds for its end:

* It is one n-gram of up to 256 tokens, four times and more in a row, over 128 tokens at least. Marks of tables alone,
  as the empty cells of a form, need 1024 tokens.
* Of the 8-grams in its last 1024 tokens at most one in eight is different from the others. So look loops that the guard
  against repetition breaks every now and then, and that go on.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import StoppingCriteria

LONGEST_NGRAM_TOKENS = 256
FEWEST_TIMES = 4
FEWEST_TOKENS = 128
WINDOW_TOKENS = 1024
SHORT_NGRAM_TOKENS = 8
MOST_DIFFERENT = 1 / 8
LOOK_EVERY_TOKENS = 16
"""How often an answer is looked at while it grows."""

_Tokens = NDArray[np.int64]


def ends_in_loop(tokens: Sequence[int] | _Tokens, *, marks: Collection[int] = ()) -> bool:
    """Whether an answer loops at its end.

    Args:
        tokens: The answer's ids.
        marks: Ids that stand in tables again and again.
    """
    end = np.asarray(tokens[-WINDOW_TOKENS:], dtype=np.int64)
    if len(end) < FEWEST_TOKENS:
        return False
    return _has_few_ngrams(end) or any(_is_loop(end, period, marks) for period in _periods(end))


def _periods(end: _Tokens) -> Iterable[int]:
    """Lengths of n-grams that the last few tokens agree with."""
    last = end[-SHORT_NGRAM_TOKENS:]
    longest = min(LONGEST_NGRAM_TOKENS, len(end) - SHORT_NGRAM_TOKENS)
    before = np.lib.stride_tricks.sliding_window_view(
        end[-SHORT_NGRAM_TOKENS - longest : -1], SHORT_NGRAM_TOKENS
    )
    same = (before == last).all(axis=1)[::-1]
    return (np.flatnonzero(same) + 1).tolist()


def _is_loop(end: _Tokens, period: int, marks: Collection[int]) -> bool:
    length = max(FEWEST_TIMES * period, FEWEST_TOKENS)
    if set(end[-period:].tolist()) <= set(marks):
        length = WINDOW_TOKENS
    tail = end[-length:]
    return len(tail) == length and bool((tail[period:] == tail[:-period]).all())


def _has_few_ngrams(end: _Tokens) -> bool:
    if len(end) < WINDOW_TOKENS:
        return False
    ngrams = np.lib.stride_tricks.sliding_window_view(end, SHORT_NGRAM_TOKENS)
    # One number for each: odd factors keep n-grams apart, but for a chance of one in 2^40 and less.
    numbers = (ngrams * _FACTORS).sum(axis=1)
    return len(np.unique(numbers)) <= MOST_DIFFERENT * len(ngrams)


_FACTORS: _Tokens = np.random.default_rng(0).integers(1, 2**44, SHORT_NGRAM_TOKENS) * 2 + 1


class LoopWatch(StoppingCriteria):
    """Stops the rows of a batch that loop; good for one `generate` call.

    Args:
        num_prompt_tokens: Positions before the answers, padding included.
        marks: As for `ends_in_loop`.

    Attributes:
        stopped: Row → tokens it had when it was stopped.
    """

    def __init__(self, num_prompt_tokens: int, *, marks: Collection[int] = ()) -> None:
        self.stopped: dict[int, int] = {}
        self._begin = num_prompt_tokens
        self._marks = marks

    def __call__(self, input_ids: torch.LongTensor, _scores: object, **_options: object) -> torch.Tensor:
        """Which rows are to stop.

        Args:
            input_ids: (B, L) prompts and answers so far.

        Returns:
            bool (B,).
        """
        length = input_ids.shape[1] - self._begin
        if length >= FEWEST_TOKENS and length % LOOK_EVERY_TOKENS == 0:
            self._look(input_ids[:, max(self._begin, input_ids.shape[1] - WINDOW_TOKENS) :], length)
        stops = [row in self.stopped for row in range(len(input_ids))]
        return torch.tensor(stops, device=input_ids.device)

    def _look(self, ends: torch.Tensor, length: int) -> None:
        for row, tokens in enumerate(ends.cpu().numpy()):
            if row not in self.stopped and ends_in_loop(tokens, marks=self._marks):
                self.stopped[row] = length
