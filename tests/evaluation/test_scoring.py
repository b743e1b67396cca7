from itertools import pairwise

import jiwer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ocrtune.evaluation import diff_spans, score_page
from ocrtune.records import Prediction
from ocrtune.sources import read_pages
from ocrtune.text import Normalization

RAW = Normalization(unicode="none", whitespace="keep")
WORDS = Normalization(whitespace="collapse")


def score(reference: str, prediction: str, normalization=RAW, **rest):
    return score_page(reference, Prediction(image="a.png", text=prediction, **rest), normalization)


def naive_distance(one, other) -> int:
    """Levenshtein by its definition."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        above, row = row, [i]
        for j, right in enumerate(other, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (left != right)))
    return row[-1]


short = st.text("ab \n", max_size=12)


@given(short, short)
def test_edits_are_the_least_number_that_turns_one_text_into_the_other(reference, prediction):
    counts = score(reference, prediction)
    assert counts.char_edits == naive_distance(reference, prediction)
    assert counts.word_edits == naive_distance(reference.split(), prediction.split())
    assert counts.num_reference_chars == len(reference)
    assert counts.num_prediction_words == len(prediction.split())


words = st.lists(st.text("abcdeé中", min_size=1, max_size=6), min_size=1, max_size=12).map(" ".join)


@given(words, words)
def test_page_rates_agree_with_jiwer(reference, prediction):
    counts = score(reference, prediction, WORDS)
    assert counts.char_edits / counts.num_reference_chars == pytest.approx(jiwer.cer(reference, prediction))
    assert counts.word_edits / counts.num_reference_words == pytest.approx(jiwer.wer(reference, prediction))


@pytest.mark.parametrize(
    ("reference", "prediction", "chars", "word_edits"),
    [
        ("kitten", "sitting", 3, 1),
        ("a b c", "a c", 2, 1),
        ("", "", 0, 0),
        ("", "abc", 3, 1),
        ("abc", "", 3, 1),
        ("naïve", "naive", 1, 1),
        ("😀a", "a", 1, 1),
    ],
)
def test_known_distances(reference, prediction, chars, word_edits):
    counts = score(reference, prediction)
    assert (counts.char_edits, counts.word_edits) == (chars, word_edits)


def test_what_the_normalisation_makes_equal_is_no_edit():
    assert score("É  x\n", "E\u0301 X", Normalization(case="fold")).char_edits == 0
    assert score("É  x\n", "E\u0301 X").char_edits > 0
    assert score("a\nb", "a b", WORDS).char_edits == 0


def test_the_score_keeps_both_texts_as_normalised():
    counts = score(" a  b ", "A", Normalization(case="fold"))
    assert (counts.reference, counts.prediction, counts.image) == ("a b", "a", "a.png")


@pytest.mark.parametrize(
    ("reference", "prediction", "truncated", "runaway"),
    [
        ("abc", "abcabc", False, False),
        ("abc", "abcabca", False, True),
        ("abc", "abc", True, True),
        ("", "", False, False),
        ("", "a", False, True),
    ],
)
def test_longer_than_twice_the_reference_or_cut_is_runaway(reference, prediction, truncated, runaway):
    assert score(reference, prediction, truncated=truncated).runaway is runaway


def test_length_is_compared_as_normalised():
    assert not score("abc", "abc" + " " * 50, Normalization()).runaway


@given(st.text("abc ", max_size=30), st.text("abc ", max_size=30))
def test_spans_join_to_both_texts_and_differ_by_the_distance(reference, prediction):
    spans = diff_spans(reference, prediction)
    assert "".join(span.reference for span in spans) == reference
    assert "".join(span.prediction for span in spans) == prediction
    edits = sum(max(len(span.reference), len(span.prediction)) for span in spans if span.kind != "equal")
    assert edits == score(reference, prediction).char_edits
    kinds = [span.kind for span in spans]
    assert all(one != other for one, other in pairwise(kinds))


@given(st.text("abc", max_size=20), st.text("abc", max_size=20))
def test_each_kind_of_span_has_the_sides_it_says(reference, prediction):
    for kind, wanted, found in diff_spans(reference, prediction):
        assert (kind == "equal") == (wanted == found)
        assert (kind == "insert") == (wanted == "")
        assert (kind == "delete") == (found == "")


def test_equal_texts_are_one_span_and_empty_ones_none():
    assert diff_spans("same", "same") == [("equal", "same", "same")]
    assert diff_spans("", "") == []


@given(st.integers(0, 256), st.integers(0, 256))
def test_real_lines_agree_with_jiwer(one, other):
    lines = [page.text for page in LINES]
    assume(one != other)
    counts = score(lines[one], lines[other], WORDS)
    assert counts.char_edits / counts.num_reference_chars == pytest.approx(
        jiwer.cer(lines[one], lines[other])
    )
    assert counts.word_edits / counts.num_reference_words == pytest.approx(
        jiwer.wer(lines[one], lines[other])
    )


LINES = read_pages("builtin")
