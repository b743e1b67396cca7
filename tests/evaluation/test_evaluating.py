import json
from dataclasses import asdict

import pytest
from PIL import Image

from ocrtune.errors import EvaluationError, SourceError
from ocrtune.evaluation import evaluate, evaluate_predictions, write_predictions, write_scores
from ocrtune.records import Page, Prediction
from ocrtune.sources import read_pages, write_jsonl
from ocrtune.text import Normalization


def page(name: str, text: str | None = "abc") -> Page:
    return Page(name=name, images=(), text=text)


def answer(image: str, text: str = "abc") -> Prediction:
    return Prediction(image=image, text=text)


def test_perfect_predictions_of_the_sample_lines_score_0(tmp_path):
    pages = read_pages("builtin")
    write_predictions(tmp_path / "p.jsonl", [answer(page.name, page.text) for page in reversed(pages)])
    found = evaluate(tmp_path / "p.jsonl", "builtin")
    assert found.scorecard.pages == 257
    assert found.scorecard.cer.micro == 0
    assert found.findings == ()
    assert [score.image for score in found.scores] == [page.name for page in pages]


def test_a_folder_may_be_the_reference(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("abcd\n")
    write_predictions(tmp_path / "p.jsonl", [answer("a.png", "abce")])
    assert evaluate(tmp_path / "p.jsonl", str(tmp_path)).scorecard.cer.micro == 0.25


def test_a_page_without_prediction_is_scored_as_empty_and_found():
    found = evaluate_predictions([answer("a")], [page("a"), page("b"), page("c")])
    assert found.scorecard.pages == 3
    assert found.scorecard.cer.micro == pytest.approx(2 / 3)
    (finding,) = found.findings
    assert (finding.code, finding.severity, finding.count) == ("prediction-missing", "error", 2)
    assert finding.where == "b; c"


def test_a_prediction_without_reference_is_found_and_not_scored():
    found = evaluate_predictions(
        [answer("a"), answer("stray", "x" * 99), answer("silent")], [page("a"), page("silent", None)]
    )
    assert (found.scorecard.pages, found.scorecard.cer.micro) == (1, 0)
    (finding,) = found.findings
    assert (finding.code, finding.severity, finding.count) == ("reference-missing", "warning", 2)


def test_a_page_without_text_or_prediction_is_no_finding():
    assert evaluate_predictions([answer("a")], [page("a"), page("silent", None)]).findings == ()


def test_an_empty_reference_is_a_reference():
    assert evaluate_predictions([answer("a", "")], [page("a", "")]).scorecard.cer.micro == 0


def test_the_normalisation_is_used_and_stated():
    found = evaluate_predictions([answer("a", "ABC")], [page("a")], normalization=Normalization(case="fold"))
    assert found.scorecard.cer.micro == 0
    assert found.as_dict()["normalization"]["case"] == "fold"
    assert evaluate_predictions([answer("a", "ABC")], [page("a")]).scorecard.cer.micro == 1


def test_truncated_answers_count_as_runaway():
    cut = Prediction(image="a", text="abc", truncated=True)
    assert evaluate_predictions([cut], [page("a")]).scorecard.runaway_rate == 1


def test_an_image_with_two_predictions_is_an_error():
    with pytest.raises(EvaluationError, match="'a' has two predictions"):
        evaluate_predictions([answer("a"), answer("a", "b")], [page("a")])


def test_no_match_at_all_is_an_error_that_shows_how_names_differ():
    with pytest.raises(EvaluationError, match="none of 1 predictions belongs to any of 1 pages") as caught:
        evaluate_predictions([answer("/data/scans/a.png")], [page("scans/a.png")])
    assert (
        caught.value.hint
        == "`image` must be as the reference writes it: 'scans/a.png', not '/data/scans/a.png'"
    )
    with pytest.raises(EvaluationError) as caught:
        evaluate_predictions([answer("x")], [page("y")])
    assert "letter by letter" in caught.value.hint


def test_a_reference_without_any_text_is_an_error():
    with pytest.raises(EvaluationError, match="no page of the reference has a text"):
        evaluate_predictions([answer("a")], [page("a", None)])


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(EvaluationError, match="no file"):
        evaluate(tmp_path / "p.jsonl", "builtin")
    write_predictions(tmp_path / "p.jsonl", [answer("a")])
    with pytest.raises(SourceError, match="no file or folder"):
        evaluate(tmp_path / "p.jsonl", "nowhere.jsonl")


def test_scores_of_each_page_are_written_with_counts_and_rates(tmp_path):
    found = evaluate_predictions([answer("a", "abd"), answer("b")], [page("a"), page("b", "abc é")])
    write_scores(tmp_path / "scores.jsonl", found.scores)
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == ["a", "b"]
    assert {key: rows[1][key] for key in asdict(found.scores[1])} == asdict(found.scores[1])
    assert (rows[0]["cer"], rows[0]["wer"], rows[0]["ned"]) == (
        pytest.approx(1 / 3),
        1.0,
        pytest.approx(1 / 3),
    )


def test_a_manifest_that_names_images_with_folders_matches_as_written(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [{"image": "x/../a.png", "text": "abc"}])
    write_jsonl(tmp_path / "p.jsonl", [{"image": "x/../a.png", "text": "abc"}])
    assert evaluate(tmp_path / "p.jsonl", str(tmp_path / "m.jsonl")).scorecard.cer.micro == 0


def test_tables_are_scored_where_a_page_has_one_whatever_is_normalised():
    table = "Guns\n\n<table><tr><td>a</td><td>{}</td></tr></table>"
    pages = [page("1", table.format("46")), page("2")]
    answers = [answer("1", table.format("45")), answer("2")]
    also = [Normalization(whitespace="collapse")]
    evaluation = evaluate_predictions(answers, pages, also=also)
    # Half of the letters of one of three nodes below the table.
    assert evaluation.scores[0].structures["teds"] == pytest.approx(1 - 0.5 / 3)
    assert evaluation.scores[0].structures["order_ned"] == 0
    assert evaluation.scores[1].structures == {}
    assert evaluation.scorecard.structures["teds"].pages == 1
    assert evaluation.others[0][0].structures == {}
