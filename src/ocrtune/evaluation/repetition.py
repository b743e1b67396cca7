"""Predictions that say the same over and over: the loops of a model that does not stop."""

from collections import Counter
from collections.abc import Sequence

FEWEST_REPEATS = 4
"""A span comes so often at the end of a looping prediction, one right after the other."""

FEWEST_LOOP_CHARS = 30
"""So many characters the repeats take together; less is a row of dots, or a refrain."""

NGRAM_WORDS = 6
"""A run of so many words that comes again and again is a loop too, wherever it stands."""

FEWEST_NGRAMS = 6

OF_REFERENCE = 2
"""What the reference has itself may come this many times as often: tables and forms repeat by right."""

_PROBE_CHARS = 16
_MOST_PERIODS = 50


def is_repeated(reference: str, prediction: str) -> bool:
    """Whether the prediction loops where the reference does not.

    It loops if it ends in a span that stands there at least `FEWEST_REPEATS` times in a row, over at least
    `FEWEST_LOOP_CHARS` characters (the last time may be cut), or if a run of `NGRAM_WORDS` words with a letter or
    digit in it comes at least `FEWEST_NGRAMS` times. Neither counts if the reference has the span or run more than half
    as often (`OF_REFERENCE`).

    Args:
        reference: Normalised as the prediction.
        prediction: As normalised.
    """
    return prediction != reference and (
        _ends_in_loop(reference, prediction) or _has_repeated_words(reference, prediction.split())
    )


def find_loop(text: str) -> tuple[str, float]:
    """The shortest span that `text` ends with several times in a row, and how many times; ("", 0) if there is none."""
    end = len(text)
    if end < FEWEST_LOOP_CHARS:
        return "", 0
    # What repeats shows the last characters once more, a period earlier: that is found without a loop in Python.
    probe, start = text[-_PROBE_CHARS:], end - _PROBE_CHARS
    place = start
    for _ in range(_MOST_PERIODS):
        place = text.rfind(probe, 0, place + _PROBE_CHARS - 1)
        period = start - place
        if place < 0 or period * FEWEST_REPEATS > end:
            return "", 0
        covered = period + _common_end(text, period)
        if covered >= max(FEWEST_LOOP_CHARS, FEWEST_REPEATS * period):
            return text[end - period :], covered / period
    return "", 0


def _common_end(text: str, period: int) -> int:
    """How many characters at the end are those that stand `period` before them."""
    low, high = _PROBE_CHARS, len(text) - period
    end = len(text)
    while low < high:
        middle = (low + high + 1) // 2
        same = text[end - middle :] == text[end - period - middle : end - period]
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _ends_in_loop(reference: str, prediction: str) -> bool:
    span, times = find_loop(prediction)
    return bool(span) and times > OF_REFERENCE * reference.count(span)


def _has_repeated_words(reference: str, prediction: Sequence[str]) -> bool:
    # Repeated runs repeat words: most pages have too few of those to look further.
    if len(prediction) - len(set(prediction)) < (FEWEST_NGRAMS - 1) * NGRAM_WORDS:
        return False
    runs = _ngrams(prediction)
    if len(runs) - len(set(runs)) < FEWEST_NGRAMS - 1:
        return False
    often = [
        (run, count)
        for run, count in Counter(runs).items()
        if count >= FEWEST_NGRAMS and any(letter.isalnum() for word in run for letter in word)
    ]
    wanted = Counter(_ngrams(reference.split())) if often else Counter()
    return any(count > OF_REFERENCE * wanted[run] for run, count in often)


def _ngrams(words: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(words[first:] for first in range(NGRAM_WORDS)), strict=False))
