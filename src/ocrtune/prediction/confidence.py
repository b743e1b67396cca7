"""How sure the model is of an answer: the log-probabilities of its tokens, taken on the way."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

from ocrtune.inputs import Tokenizer
from ocrtune.records import UnsureSpan

SPAN_TOKENS = 8
"""Length of the part of an answer whose mean is looked for; a single token says little."""

DECIMALS = 4

LOWEST = -100.0
"""Of a token whose log-probability is no finite number."""


class TokenLogprobs(LogitsProcessor):
    """Notes the log-probability of each token that greedy decoding takes; good for one `generate` call.

    It costs a sum and a maximum over the vocabulary a step, and no forward. The probabilities are the model's own, before
    the guard forbids tokens; the token is the best one behind the guard.

    Args:
        guard: What forbids tokens.
    """

    def __init__(self, guard: LogitsProcessor) -> None:
        self._guard = guard
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """What the guard makes of the scores.

        Args:
            input_ids: (B, L) prompt and answer so far.
            scores: (B, vocabulary) logits.
        """
        # The guard changes scores in place, so this comes first.
        total = torch.logsumexp(scores, dim=-1)
        guarded = self._guard(input_ids, scores)
        self._steps.append(guarded.amax(dim=-1) - total)
        return guarded

    def rows(self) -> list[list[float]]:
        """Of each row one number for each step; those behind the end of its answer mean nothing."""
        # Fetched once: a step would wait for the device.
        return torch.stack(self._steps, dim=1).tolist() if self._steps else []


def mean_logprob(logprobs: Sequence[float]) -> float:
    """The mean of the tokens' log-probabilities; 0 for none."""
    return round(float(_finite(logprobs).mean()), DECIMALS) if logprobs else 0.0


def find_unsure_span(
    tokens: Sequence[int], logprobs: Sequence[float], tokenizer: Tokenizer
) -> UnsureSpan | None:
    """The 8 tokens in a row with the lowest mean, or all of fewer; None for no tokens.

    Args:
        tokens: Ids of an answer without EOS.
        logprobs: One for each of the tokens at least.
        tokenizer: Tells which letters they are.
    """
    if not tokens:
        return None
    size = min(SPAN_TOKENS, len(tokens))
    sums = np.convolve(_finite(logprobs[: len(tokens)]), np.ones(size), mode="valid")
    first = int(sums.argmin())
    start, end = (_num_letters(tokens[:count], tokenizer) for count in (first, first + size))
    text = tokenizer.decode(tokens)[start:end]
    return UnsureSpan(logprob=round(float(sums[first]) / size, DECIMALS), start=start, end=end, text=text)


def _finite(logprobs: Sequence[float]) -> NDArray[np.float64]:
    """With the lowest for what is no number, as a model gives it that overflows: JSON has no word for that."""
    return np.nan_to_num(np.asarray(logprobs, np.float64), nan=LOWEST, posinf=LOWEST, neginf=LOWEST)


def _num_letters(tokens: Sequence[int], tokenizer: Tokenizer) -> int:
    # A letter of several tokens that is cut shows as replacement characters, and belongs to the tokens behind.
    return len(tokenizer.decode(tokens).rstrip("\N{REPLACEMENT CHARACTER}"))
