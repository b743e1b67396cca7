from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ocrtune.review import differences as module
from ocrtune.review.differences import differences

TEXTS = st.text("abc \n", max_size=24)


@given(TEXTS, TEXTS)
def test_spans_joined_are_both_texts_and_changes_never_touch(text, reading):
    spans = differences(text, reading)
    assert "".join(span.reference for span in spans) == text
    assert "".join(span.prediction for span in spans) == reading
    assert all(span.reference == span.prediction for span in spans if span.kind == "equal")
    assert not any("equal" not in {a.kind, b.kind} for a, b in pairwise(spans))


def test_single_letters_stay_single_and_chance_matches_are_joined():
    assert [tuple(span) for span in differences("have seen", "bave sccn")] == [
        ("replace", "h", "b"),
        ("equal", "ave s", "ave s"),
        ("replace", "ee", "cc"),
        ("equal", "n", "n"),
    ]
    assert [span.kind for span in differences("abcdefXghijkl", "123456X789012")] == ["replace"]


def test_texts_too_long_for_letters_are_compared_by_lines(monkeypatch):
    monkeypatch.setattr(module, "MOST_CELLS", 100)
    spans = differences("first line\nsecond lime\nthird\n", "first line\nsecond line\nthird\n")
    assert [tuple(span) for span in spans] == [
        ("equal", "first line\n", "first line\n"),
        ("replace", "second lime\n", "second line\n"),
        ("equal", "third\n", "third\n"),
    ]
