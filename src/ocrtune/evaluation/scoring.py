"""One reference and one prediction → the counts of a PageScore."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from rapidfuzz.distance import Levenshtein

from ocrtune.errors import EvaluationError
from ocrtune.evaluation.graphemes import are_single, split_graphemes
from ocrtune.evaluation.repetition import is_repeated
from ocrtune.records import PageScore, Prediction
from ocrtune.text import Normalization, normalize

DiffKind = Literal["equal", "insert", "delete", "replace"]

RUNAWAY_FACTOR = 2
"""A prediction longer than this many times its reference has run away."""

LIKELY_CER = 0.1
"""Where the search for the distance begins: pages below it are scored three times as fast, others are as exact."""


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
    prediction of the reference, in characters (code points), in grapheme clusters, and in words (between whitespace).

    Raises:
        EvaluationError: A pattern of the normalisation runs away on the page.
    """
    try:
        wanted, found = normalize(reference, normalization), normalize(prediction.text, normalization)
    except EvaluationError as error:
        error.where = prediction.image
        raise
    wanted_words, found_words = wanted.split(), found.split()
    char_edits = Levenshtein.distance(wanted, found, score_hint=int(LIKELY_CER * len(wanted)))
    word_edits = Levenshtein.distance(wanted_words, found_words)
    graphemes = _count_graphemes(wanted, found, char_edits)
    return PageScore(
        image=prediction.image,
        reference=wanted,
        prediction=found,
        num_reference_chars=len(wanted),
        num_prediction_chars=len(found),
        char_edits=char_edits,
        num_reference_words=len(wanted_words),
        num_prediction_words=len(found_words),
        word_edits=word_edits,
        runaway=prediction.truncated or len(found) > RUNAWAY_FACTOR * len(wanted),
        num_reference_graphemes=graphemes.reference,
        num_prediction_graphemes=graphemes.prediction,
        grapheme_edits=graphemes.edits,
        num_shared_words=_count_shared(wanted_words, found_words) if word_edits else len(wanted_words),
        repeated=bool(char_edits) and is_repeated(wanted, found),
    )


class _Graphemes(NamedTuple):
    reference: int
    prediction: int
    edits: int


def _count_graphemes(reference: str, prediction: str, char_edits: int) -> _Graphemes:
    # Cutting takes longer than all the rest, and most texts have no cluster of several characters.
    if are_single(reference) and are_single(prediction):
        return _Graphemes(len(reference), len(prediction), char_edits)
    wanted, found = split_graphemes(reference), split_graphemes(prediction)
    edits = Levenshtein.distance(wanted, found) if char_edits else 0
    return _Graphemes(len(wanted), len(found), edits)


def _count_shared(reference: Sequence[str], prediction: Sequence[str]) -> int:
    # As the total of `Counter(reference) & Counter(prediction)`, in half the time.
    left = dict(Counter(reference))
    shared = 0
    for word in prediction:
        if count := left.get(word, 0):
            left[word] = count - 1
            shared += 1
    return shared


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
