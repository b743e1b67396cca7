"""Two texts → where they differ, also of texts too long for a comparison letter by letter."""

from typing import cast

from rapidfuzz.distance import Levenshtein

from ocrtune.evaluation import DiffSpan, diff_spans
from ocrtune.evaluation.scoring import DiffKind

MOST_CELLS = 400_000_000
"""Up to so many letters times letters, texts are compared letter by letter: half a second at most."""


def differences(text: str, reading: str) -> list[DiffSpan]:
    """The spans in which `reading` is another than `text`, which takes the place of the reference in them.

    No two changes touch. Equal letters between changes that are longer on both sides are equal by chance, and are joined with them.
    """
    return _join_changes(_spans(text, reading))


def _spans(text: str, reading: str) -> list[DiffSpan]:
    if len(text) * len(reading) <= MOST_CELLS:
        return diff_spans(text, reading)
    ours, theirs = text.splitlines(keepends=True), reading.splitlines(keepends=True)
    spans: list[DiffSpan] = []
    for edit in Levenshtein.opcodes(ours, theirs):
        before = "".join(ours[edit.src_start : edit.src_end])
        after = "".join(theirs[edit.dest_start : edit.dest_end])
        is_short = edit.tag == "replace" and len(before) * len(after) <= MOST_CELLS
        whole = [DiffSpan(cast(DiffKind, edit.tag), before, after)]
        spans += diff_spans(before, after) if is_short else whole
    return spans


def _join_changes(spans: list[DiffSpan]) -> list[DiffSpan]:
    joined: list[DiffSpan] = []
    for span in spans:
        joined.append(span)
        while num_joined := _joinable(joined):
            # What was joined may be long enough now for the equal letters before it.
            joined[-num_joined:] = [_one_change(joined[-num_joined:])]
    return joined


def _joinable(spans: list[DiffSpan]) -> int:
    """How many spans at the end are one change; 0 for none."""
    kinds = [span.kind != "equal" for span in spans[-3:]]
    if kinds[-2:] == [True, True]:
        return 2
    if kinds != [True, False, True]:
        return 0
    before, equal, after = spans[-3:]
    return 3 if len(equal.reference) < min(_length(before), _length(after)) else 0


def _length(span: DiffSpan) -> int:
    return max(len(span.reference), len(span.prediction))


def _one_change(spans: list[DiffSpan]) -> DiffSpan:
    text = "".join(span.reference for span in spans)
    reading = "".join(span.prediction for span in spans)
    return DiffSpan("replace" if text and reading else "delete" if text else "insert", text, reading)
