"""One reference and one prediction → the counts of a PageScore."""

from typing import Literal, NamedTuple, cast

from rapidfuzz.distance import Levenshtein

from ocrtune.records import PageScore, Prediction
from ocrtune.text import Normalization, normalize

DiffKind = Literal["equal", "insert", "delete", "replace"]

RUNAWAY_FACTOR = 2
"""A prediction longer than this many times its reference has run away."""


class DiffSpan(NamedTuple):
    """A stretch of two texts that are laid side by side.

    Attributes:
        kind: `equal`; `insert` and `delete`, where one side is empty; `replace`.
        reference: What the reference has there.
        prediction: What the prediction has there.
    """

    kind: DiffKind
    reference: str
    prediction: str


def score_page(reference: str, prediction: Prediction, normalization: Normalization) -> PageScore:
    """Edits and lengths of one page, counted in texts made equal by `normalization`.

    Edits are the least number of insertions, deletions and replacements (Levenshtein) that make the
    prediction of the reference, in characters (code points) and in words (between whitespace).
    """
    wanted, found = normalize(reference, normalization), normalize(prediction.text, normalization)
    wanted_words, found_words = wanted.split(), found.split()
    return PageScore(
        image=prediction.image,
        reference=wanted,
        prediction=found,
        num_reference_chars=len(wanted),
        num_prediction_chars=len(found),
        char_edits=Levenshtein.distance(wanted, found),
        num_reference_words=len(wanted_words),
        num_prediction_words=len(found_words),
        word_edits=Levenshtein.distance(wanted_words, found_words),
        runaway=prediction.truncated or len(found) > RUNAWAY_FACTOR * len(wanted),
    )


def diff_spans(reference: str, prediction: str) -> list[DiffSpan]:
    """The texts cut into stretches that are equal or differ, by a shortest edit.

    The reference sides joined are the reference, the prediction sides the prediction; no two spans in a row are of
    the same kind.
    """
    return [
        DiffSpan(
            cast(DiffKind, edit.tag),
            reference[edit.src_start : edit.src_end],
            prediction[edit.dest_start : edit.dest_end],
        )
        for edit in Levenshtein.opcodes(reference, prediction)
    ]
