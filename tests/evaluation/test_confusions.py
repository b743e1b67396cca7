import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation import count_confusions, score_page, show_character
from ocrtune.evaluation.confusions import MOST_BLOCK_CHARS
from ocrtune.records import Prediction
from ocrtune.sources import read_pages
from ocrtune.text import Normalization

RAW = Normalization(unicode="none", whitespace="keep")
TEXT = read_pages("builtin")[5].text


def confusions_of(*pairs):
    return count_confusions(score_page(one, Prediction(image="a", text=other), RAW) for one, other in pairs)


def table(found):
    return {(each.reference, each.prediction): each.count for each in found.characters}


def test_letters_are_counted_by_what_they_were_read_for():
    found = confusions_of(("the cat sat", "tbe cat sat"), ("then and there", "tben and thare"), (TEXT, TEXT))
    assert table(found) == {("h", "b"): 2, ("e", "a"): 1}
    assert [each.count for each in found.characters] == [2, 1]


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        ("modern times", "modem times", {("rn", "m"): 1}),
        ("a clear day", "a dear day", {("cl", "d"): 1}),
        ("the works", "the wrks", {("o", ""): 1}),
        ("the works", "the woorks", {("", "o"): 1}),
        ("on the hill", "onthe hill", {(" ", ""): 1}),
        ("one\ntwo three", "one two three", {("\n", " "): 1}),
    ],
)
def test_a_stretch_is_what_people_see_in_it(reference, prediction, expected):
    assert table(confusions_of((reference, prediction))) == expected


def test_text_left_out_or_made_up_is_no_confusion_of_letters():
    lost = confusions_of((TEXT * 3, TEXT * 2))
    added = confusions_of((TEXT * 3, TEXT * 3 + "z" * (MOST_BLOCK_CHARS + 1)))
    assert (lost.characters, lost.omitted_chars, lost.added_chars) == ((), len(TEXT), 0)
    assert (added.characters, added.omitted_chars, added.added_chars) == ((), 0, MOST_BLOCK_CHARS + 1)


def test_pages_that_are_no_reading_are_counted_and_left_out():
    found = confusions_of(("abcdef", "uvwxyz"), ("abcdef", ""), ("abcdef", "abcdex"))
    assert found.pages_left_out == 2
    assert table(found) == {("f", "x"): 1}


def test_scripts_are_told_apart_and_look_alikes_counted():
    found = confusions_of(("Cape Hope camp", "Сaре Hоpe cжmp"))  # noqa: RUF001
    (script,) = found.scripts
    assert (script.reference, script.prediction, script.count, script.look_alikes) == (
        "Latin",
        "Cyrillic",
        5,
        4,
    )
    assert confusions_of(("ab 1", "ab l")).scripts == ()


@given(st.text("abcd ", max_size=40), st.integers(0, 2**32))
def test_every_edit_is_in_the_table_or_counted_beside_it(reference, seed):
    chance = random.Random(seed)
    prediction = "".join(chance.choice([letter] * 6 + ["", "x", letter * 2]) for letter in reference)
    score = score_page(reference, Prediction(image="a", text=prediction), RAW)
    found = count_confusions([score])
    counted = sum(max(len(one), len(other)) * count for (one, other), count in table(found).items())
    if not found.pages_left_out:
        assert counted + max(found.omitted_chars, found.added_chars) == score.char_edits


def test_characters_without_shape_are_shown():
    assert [show_character(text) for text in ("", " ", "\n", "rn", "\u200b")] == [
        "∅",
        "␣",
        "⏎",
        "rn",
        "U+200B",
    ]
