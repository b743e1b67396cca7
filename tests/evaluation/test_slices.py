import pytest

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import evaluate, evaluate_predictions, score_page, slice_scores, write_predictions
from ocrtune.evaluation.columns import describe_pages
from ocrtune.evaluation.slices import MOST_VALUES
from ocrtune.records import Page, Prediction
from ocrtune.sources import write_jsonl
from ocrtune.text import Normalization


def page(name: str, text: str, document: str = "") -> Page:
    return Page(name=name, images=(), text=text, document=document)


def test_source_script_and_length_are_known_without_a_file():
    pages = [page("old/1.png", "Слово и дело"), page("new/2.png", "word" * 200), page("3.png", "12 : 34")]
    assert describe_pages(pages, []) == {
        "source": ["old", "new", ""],
        "script": ["Cyrillic", "Latin", "Common"],
        "length": ["under 100", "500–1999", "under 100"],
    }


def test_columns_are_read_from_manifest_and_predictions(tmp_path):
    rows = [
        {"image": f"{number}.png", "text": "abcd", "year": 1800 + number % 2, "source": "hub"}
        for number in range(4)
    ]
    write_jsonl(tmp_path / "m.jsonl", rows)
    answers = [
        {"image": f"{number}.png", "text": "abcx" if number % 2 else "abcd", "tiles": number // 2}
        for number in range(4)
    ]
    write_jsonl(tmp_path / "p.jsonl", answers)
    found = evaluate(tmp_path / "p.jsonl", str(tmp_path / "m.jsonl"), by=["year"])
    slices = {(each.column, each.value): (each.pages, each.cer.micro) for each in found.slices}
    assert slices == {
        ("year", "1800"): (2, 0.0),
        ("year", "1801"): (2, 0.25),
        ("tiles", "0"): (2, 0.125),
        ("tiles", "1"): (2, 0.125),
    }
    assert found.columns["source"] == ["hub"] * 4


def test_a_column_that_nobody_has_is_an_error_that_names_those_there_are(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "a.png", "text": "a", "year": 1800}])
    write_predictions(tmp_path / "p.jsonl", [Prediction(image="a.png", text="a")])
    with pytest.raises(EvaluationError, match="no page has a column 'yaer'") as caught:
        evaluate(tmp_path / "p.jsonl", str(tmp_path / "m.jsonl"), by=["yaer"])
    assert caught.value.hint.startswith("did you mean 'year'?")
    assert "script" in caught.value.hint


def test_slices_part_the_pages_and_have_intervals_of_their_own():
    pages = [page(str(number), "abcd", document=f"d{number % 5}") for number in range(20)]
    answers = [Prediction(image=str(number), text="abcx" if number < 10 else "abcd") for number in range(20)]
    found = evaluate_predictions(answers, pages, by=["document"])
    assert [each.value for each in found.slices] == ["d0", "d1", "d2", "d3", "d4"]
    assert sum(each.pages for each in found.slices) == 20
    assert {each.intervals.unit for each in found.slices} == {"page"}
    assert found.intervals.unit == "document"


def test_many_values_are_the_largest_and_one_slice_of_others():
    values = [str(number) for number in range(100)] * 2 + ["big"] * 5
    scores = [score_page("ab", Prediction(image="a", text="ab"), Normalization())] * len(values)
    slices = slice_scores(scores, values, {"shelf": values})
    assert len(slices) == MOST_VALUES + 1
    assert (slices[0].value, slices[0].pages) == ("big", 5)
    assert slices[-1].value == f"{101 - MOST_VALUES} other values"
    assert sum(each.pages for each in slices) == len(values)


def test_a_column_with_one_value_makes_no_slices():
    scores = [score_page("ab", Prediction(image="a", text="ab"), Normalization())] * 3
    assert slice_scores(scores, list("abc"), {"source": ["x", "x", "x"]}) == ()
