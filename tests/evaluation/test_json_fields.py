import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation.json_fields import is_json, rate_fields, score_json

INVOICE = {
    "number": "A-17",
    "total": 12.5,
    "lines": [{"what": "ink", "price": 2}, {"what": "paper", "price": 10.5}],
}
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def score(reference, prediction):
    return score_json(json.dumps(reference), json.dumps(prediction))


def states(score) -> dict[str, str]:
    return {field.path: field.state for field in score.fields}


def test_each_field_is_right_wrong_missing_or_extra():
    answer = {"number": "A-11", "lines": [{"what": "ink", "price": 2.0, "unit": "l"}, {"what": "paper"}]}
    found = score(INVOICE, answer)
    assert states(found) == {
        "$.number": "wrong",
        "$.total": "missing",
        "$.lines[0].what": "right",
        "$.lines[0].price": "right",
        "$.lines[1].what": "right",
        "$.lines[1].price": "missing",
        "$.lines[0].unit": "extra",
    }
    assert found.accuracy == pytest.approx(3 / 7)
    assert found.ned == pytest.approx((1 / 4 + 1 + 1 + 1) / 7)


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (1, "1"), (None, ""), ([], {}), (0, False), ("a", "A"), ({}, None)]
)
def test_values_of_other_types_are_wrong(one, other):
    assert score([one], [other]).accuracy == 0


def test_numbers_are_equal_by_value_and_keys_may_come_in_any_order():
    assert score_json('{"a": 1, "b": [1e2]}', '{"b": [100.0], "a": 1.0}').accuracy == 1


@pytest.mark.parametrize("invalid", ["", "{", "the total is 12", '{"a": NaN}', "[" * 100_000, "{'a': 1}"])
def test_an_answer_that_is_no_json_counts_0(invalid):
    found = score_json('{"a": 1}', invalid)
    assert (found.is_valid, found.accuracy, found.ned) == (False, 0, 1)
    assert states(found) == {"$.a": "missing"}


def test_a_code_fence_is_taken_off():
    assert score_json('{"a": "```"}', '```json\n{"a": "```"}\n```\n').accuracy == 1


def test_names_of_odd_keys_are_quoted():
    assert states(score({"a b": {"": 1}}, {})) == {'$["a b"][""]': "missing", "$": "extra"}


def test_fields_are_rated_by_name_over_a_set():
    rates = rate_fields([score(INVOICE, INVOICE), score(INVOICE, {**INVOICE, "lines": INVOICE["lines"][:1]})])
    assert list(rates) == ["$.number", "$.total", "$.lines[*].what", "$.lines[*].price"]
    what = rates["$.lines[*].what"]
    assert (what.count, what.accuracy, what.missing, what.extra, what.ned) == (4, 0.75, 1, 0, 0.25)
    assert rates["$.total"].as_dict() == {"count": 2, "accuracy": 1, "ned": 0, "missing": 0, "extra": 0}


@given(values, values)
def test_accuracy_is_symmetric_between_0_and_1_and_1_for_the_same(one, other):
    assert score(one, one).accuracy == 1
    assert 0 <= score(one, other).accuracy == score(other, one).accuracy <= 1
    assert 0 <= score(one, other).ned <= 1


def test_only_objects_and_lists_make_a_page_one_of_json():
    assert [is_json(text) for text in (' {"a": 1}', '["a"]', "12", '"a"', "{a}", "[1] Smith", "")] == [
        True,
        True,
        *[False] * 5,
    ]


def test_a_fence_is_taken_off_in_time_that_grows_with_the_text_alone():
    assert score_json("[1]", "```json\n[1]\n```\n").accuracy == 1
    assert score_json("[1]", "```\n[1]```").accuracy == 1
    assert not score_json("[1]", "```json\n" + "\n " * 200_000 + "x").is_valid


def test_the_mark_of_a_note_is_no_json():
    assert not is_json("[12]")
    assert is_json("[]")
    assert is_json('["12"]')
    assert is_json('[{"a": 1}]')
