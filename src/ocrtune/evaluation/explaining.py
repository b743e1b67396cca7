"""Why a micro rate is what it is: in words, where a few pages rule it."""

from collections.abc import Sequence

from ocrtune.evaluation.summary import count_chars, rate
from ocrtune.records import PageScore

FEW_PAGES = 0.05
"""So large a share of the pages, and one in any case, are a few."""

MUCH_OF_EDITS = 0.25
"""A few pages with this share of all edits rule the micro rate."""


def explain_micro(scores: Sequence[PageScore]) -> str:
    """One line, if a few runaway pages rule the micro CER; empty if none do.

    Named are the runaway pages with the most edits: at most `FEW_PAGES`, and none with less than a tenth of the first one's.
    """
    edits = sum(score.char_edits for score in scores)
    most = max(1, int(FEW_PAGES * len(scores)))
    wild = sorted((score for score in scores if score.runaway), key=lambda score: -score.char_edits)[:most]
    wild = [score for score in wild if score.char_edits >= wild[0].char_edits / 10]
    share = sum(score.char_edits for score in wild) / edits if edits else 0.0
    if share < MUCH_OF_EDITS or len(scores) == len(wild):
        return ""
    left_out = {id(score) for score in wild}
    others = [score for score in scores if id(score) not in left_out]
    make, them = ("makes", "it") if len(wild) == 1 else ("make", "them")
    return (
        f"{len(wild)} of {len(scores)} pages ran away and {make} {share:.0%} of all edits: "
        f"micro {_micro(scores):.1%}, without {them} {_micro(others):.1%}"
    )


def _micro(scores: Sequence[PageScore]) -> float:
    counts = [count_chars(score) for score in scores]
    return rate(sum(edits for edits, _ in counts), sum(length for _, length in counts))
