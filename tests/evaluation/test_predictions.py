from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import read_predictions, write_predictions
from ocrtune.records import Attempt, Prediction, StopReason, TextBox, UnsureSpan

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(
        st.builds(
            Prediction,
            image=texts,
            text=texts,
            num_tokens=st.integers(0),
            truncated=st.booleans(),
            stop=st.none() | st.sampled_from(get_args(StopReason)),
            mean_logprob=st.none() | numbers,
            lowest_span=st.none() | st.builds(UnsureSpan, logprob=numbers, text=texts),
            seconds=st.none() | numbers,
            boxes=st.lists(st.builds(TextBox, label=texts, text=texts), max_size=2).map(tuple),
            attempts=st.lists(
                st.builds(
                    Attempt, mode=texts, stop=st.sampled_from(get_args(StopReason)), mean_logprob=numbers
                ),
                max_size=2,
            ).map(tuple),
        )
    )
)
def test_what_was_written_is_read(tmp_path_factory, predictions):
    unique = list({prediction.image: prediction for prediction in predictions}.values())
    path = tmp_path_factory.mktemp("predictions") / "p.jsonl"
    write_predictions(path, unique)
    assert read_predictions(path) == unique


def test_image_and_text_are_enough_and_other_keys_are_left_alone(tmp_path):
    (tmp_path / "p.jsonl").write_text('\ufeff{"image": "a", "text": "b", "score": 1}\n\n')
    assert read_predictions(tmp_path / "p.jsonl") == [Prediction(image="a", text="b")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: not JSON at column 2"),
        ('{"image": "a"}', "line 2: no `text`; its keys: `image`"),
        ('{"image": "a", "text": null}', "line 2: no `text`"),
        ('{"text": "a"}', "line 2: no `image`; its keys: `text`"),
        ("{}", "line 2: no `image`; its keys: none"),
        ('{"image": "a", "text": 1}', "line 2: `text` is a number, not a string"),
        ('{"image": "a", "text": "", "num_tokens": -1}', "line 2: `num_tokens` is -1, not a count"),
        ('{"image": "a", "text": "", "num_tokens": true}', "line 2: `num_tokens` is True, not a count"),
        ('{"image": "a", "text": "", "truncated": 1}', "line 2: `truncated` is a number, not true or false"),
        (
            '{"image": "a", "text": "", "stop": "tired"}',
            "line 2: `stop` is not one of eos, length, repetition",
        ),
        ('{"image": "a", "text": "", "mean_logprob": NaN}', "line 2: `mean_logprob` is not a number"),
        ('{"image": "a", "text": "", "boxes": [[1, 2]]}', "line 2: `boxes` is not a list of objects with"),
        ('{"image": "first", "text": ""}', "line 2: 'first' is there already, on line 1"),
    ],
)
def test_a_broken_line_is_told(line, problem, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"image": "first", "text": ""}\n' + line)
    with pytest.raises(EvaluationError) as caught:
        read_predictions(path)
    assert problem in caught.value.message
    assert caught.value.where == str(path)


def test_all_broken_lines_are_told_at_once(tmp_path):
    (tmp_path / "p.jsonl").write_text("{\n[]\n" * 20)
    with pytest.raises(EvaluationError, match="40 lines are broken") as caught:
        read_predictions(tmp_path / "p.jsonl")
    assert caught.value.message.endswith("and 20 more")
