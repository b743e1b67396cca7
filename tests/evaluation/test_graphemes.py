import sys

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation import score_page
from ocrtune.evaluation.graphemes import _JOINING, _joining_characters, are_single, split_graphemes
from ocrtune.records import Prediction
from ocrtune.text import Normalization

RAW = Normalization(unicode="none", whitespace="keep")
awkward = st.text("ae\u0301\u0308\u200d😀👩🇩🇪가각कि्षุ\r\n\u0600 ")


@pytest.mark.parametrize(
    ("text", "clusters"),
    [
        ("e\u0301a", 2),
        ("कि", 1),
        ("🇩🇪🇫🇷", 2),
        ("👩\u200d👧", 1),
        ("각", 1),
        ("\r\n\n", 2),
        ("", 0),
    ],
)
def test_clusters_are_what_readers_take_for_one_character(text, clusters):
    assert len(split_graphemes(text)) == clusters


@given(st.text() | awkward)
def test_texts_that_need_no_cutting_are_told_right(text):
    if are_single(text):
        assert split_graphemes(text) == list(text)
    assert "".join(split_graphemes(text)) == text


def test_a_line_break_of_two_characters_needs_cutting():
    assert not are_single("a\r\nb")
    assert are_single("a\rb\n")


def test_all_characters_that_join_are_known():
    points = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assert _joining_characters() == set(_JOINING.findall("".join(map(chr, points))))


@given(st.text() | awkward, st.text() | awkward)
def test_both_ways_to_count_agree(reference, prediction):
    counts = score_page(reference, Prediction(image="a", text=prediction), RAW)
    assert counts.num_reference_graphemes == len(regex.findall(r"\X", reference))
    assert counts.num_prediction_graphemes == len(regex.findall(r"\X", prediction))
    assert counts.grapheme_edits <= max(counts.num_reference_graphemes, counts.num_prediction_graphemes)


def test_a_wrong_cluster_is_one_edit_however_many_characters_it_has():
    counts = score_page("👩\u200d👧 x", Prediction(image="a", text="? x"), RAW)
    assert (counts.grapheme_edits, counts.num_reference_graphemes, counts.char_edits) == (1, 3, 3)
