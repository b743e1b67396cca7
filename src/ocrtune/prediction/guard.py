"""The guard against repetition: an n-gram may not come twice within a window of tokens.

Greedy decoding of a page can fall into a loop. The published settings forbid every token that would complete
an n-gram which already stands in the last `window_tokens` tokens of the sequence, prompt included.
"""

from collections import deque
from collections.abc import Iterable

import torch
from transformers import LogitsProcessor

from ocrtune.families import Decoding


class NgramWindow:
    """The n-grams of one sequence that lie wholly in its last tokens, kept up to date token by token.

    A rescan of the window at each step costs window × n-gram operations; here a step is one hash of an n-gram.

    Args:
        decoding: Length of the n-grams and of the window; with 0 for the n-grams nothing is ever forbidden.
        ignored: Ids that make an n-gram not count: padding and image tokens.
    """

    def __init__(self, decoding: Decoding, *, ignored: Iterable[int] = ()) -> None:
        self._length = decoding.no_repeat_ngram_tokens
        self._window = decoding.window_tokens
        self._ignored = frozenset(ignored)
        self._recent: deque[int] = deque(maxlen=max(1, self._length))
        # Prefix of an n-gram → its last token → how often the n-gram stands in the window.
        self._followers: dict[tuple[int, ...], dict[int, int]] = {}
        self._in_window: deque[tuple[int, ...] | None] = deque()

    def append(self, token: int) -> None:
        """Take the next token of the sequence in."""
        if not self._length:
            return
        self._recent.append(token)
        if len(self._recent) < self._length:
            return
        ngram = tuple(self._recent)
        counts = self._ignored.isdisjoint(ngram)
        self._in_window.append(ngram if counts else None)
        if counts:
            followers = self._followers.setdefault(ngram[:-1], {})
            followers[token] = followers.get(token, 0) + 1
        if len(self._in_window) > max(0, self._window - self._length + 1):
            self._forget(self._in_window.popleft())

    def forbidden(self) -> list[int]:
        """The tokens that would complete an n-gram of the window, in ascending order."""
        if not self._length or len(self._recent) < self._length - 1:
            return []
        prefix = tuple(self._recent)[len(self._recent) - self._length + 1 :]
        return sorted(self._followers.get(prefix, ()))

    def _forget(self, ngram: tuple[int, ...] | None) -> None:
        if ngram is None:
            return
        followers = self._followers[ngram[:-1]]
        followers[ngram[-1]] -= 1
        if not followers[ngram[-1]]:
            del followers[ngram[-1]]
        if not followers:
            del self._followers[ngram[:-1]]


class RepetitionGuard(LogitsProcessor):
    """Sets the scores of tokens that would repeat an n-gram to minus infinity; good for one `generate` call.

    Source: for a single sequence the same as the n-gram processor of the published code and as
    `UnlimitedOcrSlidingWindowNoRepeatNgramLogitsProcessor` of transformers 5.23, but for three things: padding and
    image tokens do not count, so a batch decodes as its rows alone do, and `unguarded` tokens may always repeat.

    Args:
        decoding: Length of the n-grams and of the window.
        ignored: Ids that make an n-gram not count: padding and image tokens.
        unguarded: Ids that are never forbidden: the cells of a table.
    """

    def __init__(
        self, decoding: Decoding, *, ignored: Iterable[int] = (), unguarded: Iterable[int] = ()
    ) -> None:
        self._decoding = decoding
        self._ignored = frozenset(ignored)
        self._unguarded = frozenset(unguarded)
        self._rows: list[NgramWindow] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Forbid repetitions.

        Args:
            input_ids: (B, L) prompt and answer so far; each call has one token more than the call before.
            scores: (B, vocabulary), changed in place.

        Returns:
            The scores.
        """
        if not self._rows:
            self._start(input_ids[:, -self._decoding.window_tokens :].tolist())
        else:
            for row, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
                row.append(token)
        for index, row in enumerate(self._rows):
            forbidden = [token for token in row.forbidden() if token not in self._unguarded]
            if forbidden:
                scores[index, forbidden] = -torch.inf
        return scores

    def _start(self, rows: list[list[int]]) -> None:
        for tokens in rows:
            row = NgramWindow(self._decoding, ignored=self._ignored)
            for token in tokens:
                row.append(token)
            self._rows.append(row)
