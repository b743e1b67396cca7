import json

import pytest
from report_pages import rates, side_result, side_row, write_json, write_rows

from ocrtune.errors import ReportError, SourceError
from ocrtune.reports import read_report
from ocrtune.reports.scores import Interval


def test_a_comparison_keeps_both_sides_the_verdict_and_the_parts(comparison, scan):
    report = read_report(comparison)
    assert report.kind == "comparison"
    assert report.sides == ("base", "tuned")
    assert report.title == "base and tuned on scans"
    assert [card.cer.micro.value for card in report.cards] == [0.1234, 0.0456]
    assert report.cards[0].cer.micro.interval == Interval(low=0.1234 - 0.0111, high=0.1234 + 0.0222)
    assert report.cards[0].cer.macro.interval is None
    assert report.verdict.probability == 0.987
    assert report.slices[0].verdict.difference.value == 0.142857
    assert report.confusions[0].counts == (7, 7)
    assert report.pages[0].image == scan
    assert [reading.text for reading in report.pages[1].readings] == ["the end", "the cnd"]
    assert report.pages[0].readings[1].facts == ("mean log-probability of a token -0.25",)
    assert report.notes == ()


def test_an_evaluation_has_one_side(comparison):
    (comparison / "comparison.json").unlink()
    result = {**side_result("x", 0.1), "predictions": "runs/a/predictions.jsonl", "reference": "builtin"}
    result["slices"] = [
        {"column": "script", "value": "Latin", "pages": 2, "cer": rates(0.1), "intervals": {"rates": {}}}
    ]
    write_json(comparison / "evaluation.json", result)
    write_rows(comparison / "pages.jsonl", [{"image": "1.png", "reference": "a", **side_row("a", 0.0, 0)}])
    report = read_report(comparison)
    assert report.sides == ("a",)
    assert report.slices[0].cers[0].value == 0.1
    assert report.verdict is None


def test_pictures_that_moved_are_missed_and_found_again_by_the_reference(comparison, scan, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    scan.rename(folder / "1.png")
    report = read_report(comparison)
    assert [page.image for page in report.pages] == [None, None]
    assert report.notes[0].startswith("2 pages without a picture")
    report = read_report(comparison, reference=str(folder))
    assert [page.image for page in report.pages] == [folder / "1.png", None]
    with pytest.raises(SourceError):
        read_report(comparison, reference=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("comparison.json", "{", "cannot be read"),
        ("comparison.json", "[]", "not of form 1"),
        ("comparison.json", '{"version": 2}', "not of form 1"),
        ("comparison.json", "{}", "missing or of a wrong kind"),
        ("pages.jsonl", '{"image": "1.png"}\n', "missing or of a wrong kind"),
        ("pages.jsonl", "\nx\n", "no JSON"),
        ("pages.jsonl", "[1]\n", "no JSON object"),
    ],
)
def test_a_broken_folder_is_one_clear_error(comparison, name, content, message):
    (comparison / name).write_text(content)
    with pytest.raises(ReportError, match=message):
        read_report(comparison)


def test_a_folder_of_something_else_says_what_is_wanted(tmp_path):
    with pytest.raises(ReportError, match="no run, evaluation or comparison"):
        read_report(tmp_path)
    with pytest.raises(ReportError, match="there is no folder"):
        read_report(tmp_path / "gone")


def test_keys_that_a_later_version_adds_are_left_alone(comparison):
    result = json.loads((comparison / "comparison.json").read_text())
    result["new"] = result["sides"][0]["newer"] = [1]
    write_json(comparison / "comparison.json", result)
    assert read_report(comparison).sides == ("base", "tuned")
