"""Which texts are likely wrong, and why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ocrtune.evaluation import score_page
from ocrtune.evaluation.scoring import RUNAWAY_FACTOR
from ocrtune.records import Prediction
from ocrtune.text import Normalization

ODD_FACTOR = 4
"""A text this many times as long or short as others on such images is said to have an odd length."""

_ALMOST_NOTHING = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A prediction, and what its row tells of how sure it is.

    Attributes:
        prediction: The prediction.
        mean_logprob: Mean natural logarithm of the probabilities of its tokens; None where nobody wrote it down.
        runaway: The row says that it ran away or repeats itself.
    """

    prediction: Prediction
    mean_logprob: float | None = None
    runaway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How likely a text is wrong; of two, the one with the greater `key` is looked at first.

    Attributes:
        runaway: The answer ran away, or was cut off by the length limit.
        error: CER, or the share of tokens the model expects to have wrong; 0 where nothing is known.
        oddness: How many times as long or short the text is as others, as a logarithm; infinite for no text.
        reason: In a few words, for people.
    """

    runaway: bool = False
    error: float = 0.0
    oddness: float = 0.0
    reason: str = ""

    @property
    def key(self) -> tuple[bool, float, float]:
        """What doubts are sorted by, greatest first."""
        return self.runaway, self.error, self.oddness


def doubt_text(reference: str | None, answer: Answer | None, rule: Normalization) -> Doubt:
    """What speaks against a text, its length aside.

    Args:
        reference: The text of the source, if there is one.
        answer: What a model read, if one did.
        rule: Made equal before characters are compared.
    """
    if answer is None:
        return Doubt()
    if reference is not None:
        return _doubt_by_reference(reference, answer, rule)
    runaway = answer.runaway or answer.prediction.truncated
    wrong = 0.0 if answer.mean_logprob is None else 1 - math.exp(min(answer.mean_logprob, 0.0))
    sure = "" if answer.mean_logprob is None else f"{1 - wrong:.0%} sure"
    return Doubt(runaway=runaway, error=wrong, reason=_runaway_reason(answer) if runaway else sure)


def _doubt_by_reference(reference: str, answer: Answer, rule: Normalization) -> Doubt:
    score = score_page(reference, answer.prediction, rule)
    runaway = answer.runaway or score.runaway
    # An answer where nothing was to be read is wholly wrong.
    rate = score.char_edits / max(score.num_reference_chars, 1)
    reason = f"CER {rate:.0%}" if rate >= _ALMOST_NOTHING else ""
    return Doubt(runaway=runaway, error=rate, reason=_runaway_reason(answer) if runaway else reason)


def _runaway_reason(answer: Answer) -> str:
    if answer.prediction.stop == "repetition":
        return "stopped in a loop"
    return "cut off" if answer.prediction.truncated else f"ran away, over {RUNAWAY_FACTOR}×"


def doubt_lengths(
    doubts: Sequence[Doubt], texts: Sequence[str], sizes: Sequence[tuple[int, int] | None]
) -> list[Doubt]:
    """The doubts with how odd the length of each text is, beside the others on images of their shape.

    A line's text grows with width over height, so letters are counted per height of the line; pages are not wider than
    high, and their letters are counted as they are.

    Args:
        doubts: One for each text.
        texts: The texts.
        sizes: (width, height) of the image of each; None where it cannot be opened.
    """
    lengths = [math.log((len(text) + 1) / _shape(size)) for text, size in zip(texts, sizes, strict=True)]
    if not lengths:
        return []
    usual = median(lengths)
    return [
        _with_length(doubt, length - usual, is_empty=not text.strip())
        for doubt, length, text in zip(doubts, lengths, texts, strict=True)
    ]


def _shape(size: tuple[int, int] | None) -> float:
    return 1.0 if size is None else max(size[0] / size[1], 1.0)


def _with_length(doubt: Doubt, difference: float, *, is_empty: bool) -> Doubt:
    if is_empty:
        return replace(doubt, oddness=math.inf, reason=doubt.reason if doubt.runaway else "no text")
    reason = doubt.reason
    if not reason and abs(difference) > math.log(ODD_FACTOR):
        reason = "long for its image" if difference > 0 else "short for its image"
    return replace(doubt, oddness=abs(difference), reason=reason)
