import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import evaluate, evaluate_predictions, score_page, slice_scores, write_predictions
from ocrtune.evaluation.columns import describe_pages
from ocrtune.evaluation.slices import MOST_VALUES
from ocrtune.records import Page, Prediction
from ocrtune.sources import read_pages, write_jsonl
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


@pytest.mark.parametrize("kind", ["lines.csv", "lines.parquet", "csv:lines.csv", "lines.json", "utf16.jsonl"])
def test_columns_of_tables_slice_pages_as_those_of_manifests_do(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"image": f"{n}.png", "text": "abcd", "year": 1800 + n % 2} for n in range(4)]
    if kind.endswith(".csv"):
        lines = ["image,text,year", *(",".join(map(str, row.values())) for row in rows)]
        Path("lines.csv").write_text("\n".join(lines) + "\n")
    elif kind.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), kind)
    elif kind == "utf16.jsonl":
        Path(kind).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-16")
    else:
        write_jsonl(Path(kind), rows)
    answers = [Prediction(image=page.name, text="abcx") for page in read_pages(kind)]
    write_predictions(Path("p.jsonl"), answers)
    found = evaluate(Path("p.jsonl"), kind, by=["year"])
    assert found.columns["year"] == ["1800", "1801", "1800", "1801"]


def test_a_source_without_rows_says_where_columns_are_read_from(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    write_predictions(tmp_path / "p.jsonl", [Prediction(image="a.png", text="abc")])
    with pytest.raises(EvaluationError, match="no page has a column 'year'") as caught:
        evaluate(tmp_path / "p.jsonl", str(tmp_path), by=["year"])
    assert "columns are read from manifests, CSV, Parquet" in caught.value.hint


def test_a_null_in_one_file_leaves_the_column_to_the_next(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "a.png", "text": "a", "tiles": None}])
    write_jsonl(tmp_path / "p.jsonl", [{"image": "a.png", "text": "a", "tiles": 6}])
    found = evaluate(tmp_path / "p.jsonl", str(tmp_path / "m.jsonl"), by=["tiles"])
    assert found.columns["tiles"] == ["6"]
