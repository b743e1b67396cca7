import io
import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.evaluate import command
from ocrtune.cli.printing import print_json
from ocrtune.errors import EvaluationError
from ocrtune.sources import read_pages, write_jsonl

app = typer.Typer()
app.command()(command)


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = ({"image": page.name, "text": page.text.upper()} for page in read_pages("builtin"))
    write_jsonl(path, rows)
    return str(path)


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_json_is_one_object_with_the_known_keys(predictions):
    result = run(predictions, "--reference", "builtin", "--json")
    printed = json.loads(result.stdout)
    assert list(printed) == [
        "pages",
        "cer",
        "wer",
        "ned",
        "grapheme_cer",
        "bag_of_words_f1",
        "text_edit_distance",
        "exact_rate",
        "runaway_rate",
        "empty_rate",
        "repetition_rate",
        "structures",
        "normalization",
        "intervals",
        "explanation",
        "normalizations",
        "slices",
        "confusions",
        "findings",
    ]
    assert printed["pages"] == 257
    assert set(printed["cer"]) == {"micro", "macro", "median", "clipped"}
    assert printed["cer"]["micro"] > 0.5
    assert result.exit_code == 0


def test_the_normalisation_is_chosen_by_options(predictions):
    result = run(
        predictions,
        "-r",
        "builtin",
        "--case",
        "fold",
        "--unicode",
        "NFKC",
        "--whitespace",
        "collapse",
        "--json",
    )
    printed = json.loads(result.stdout)
    assert printed["cer"]["micro"] == 0
    assert printed["normalization"] == {"unicode": "NFKC", "whitespace": "collapse", "case": "fold"}


def test_without_json_a_table_is_on_stdout(predictions):
    result = run(predictions, "--reference", "builtin")
    for word in ("257 pages", "CER", "WER", "NED", "micro", "clipped", "ran away", "unicode NFC"):
        assert word in result.stdout


def test_findings_go_to_stderr_and_into_the_json(tmp_path):
    write_jsonl(
        tmp_path / "p.jsonl", [{"image": "images/p1_000.png", "text": "x"}, {"image": "no.png", "text": ""}]
    )
    result = run(str(tmp_path / "p.jsonl"), "--reference", "builtin", "--json")
    codes = [finding["code"] for finding in json.loads(result.stdout)["findings"]]
    assert codes == ["prediction-missing", "reference-missing"]
    assert "prediction-missing" in result.stderr
    assert "(256 times)" in result.stderr


def test_scores_of_each_page_are_written(predictions, tmp_path):
    result = run(predictions, "--reference", "builtin", "-o", str(tmp_path / "scores.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 257
    assert {"image", "char_edits", "cer"} <= set(rows[0])
    assert "scores of each page" in result.stderr


def test_a_folder_gets_everything_that_a_report_needs(predictions, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ocrtune", "evaluate", "my answers.jsonl"])
    result = run(predictions, "-r", "builtin", "-n", "trim", "-n", "fold", "--out", str(tmp_path / "scores"))
    written = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    assert (written["kind"], written["version"], written["reference"]) == ("evaluation", 1, "builtin")
    assert written["normalizations"][0]["cer"]["micro"] == 0
    assert written["command"] == "ocrtune evaluate 'my answers.jsonl'"
    assert len((tmp_path / "scores" / "pages.jsonl").read_text().splitlines()) == 257
    assert "scores, and scores of each page" in result.stderr


def test_the_table_has_intervals_slices_and_each_normalisation(predictions):
    result = run(predictions, "-r", "builtin", "-n", "trim", "-n", "fold+quotes", "--by", "document")
    for words in (
        "95% intervals by bootstrap over 6 documents",
        "CER by document (pages)",
        "CER by normalisation",
        "normalised: fold+quotes (unicode NFC, whitespace trim, case fold, pairs 17",
        "left out as no reading of their reference ",
        "exact ",
        "OmniDocBench text edit distance",
    ):
        assert words in result.stdout


def test_a_runaway_page_is_explained(tmp_path):
    rows = [{"image": page.name, "text": page.text} for page in read_pages("builtin")]
    rows[3]["text"] += " the works of the enemy" * 400
    write_jsonl(tmp_path / "p.jsonl", rows)
    result = run(str(tmp_path / "p.jsonl"), "-r", "builtin")
    assert "1 of 257 pages ran away and makes 100% of all edits" in result.stdout
    assert "without it 0.0%" in result.stdout
    assert "ran away 0.4%, empty 0.0%, repeating 0.4%" in result.stdout


def test_several_processes_give_the_same_numbers(predictions):
    one, two = (run(predictions, "-r", "builtin", "--json", "--workers", n).stdout for n in ("1", "2"))
    assert json.loads(one) == json.loads(two)


def test_names_and_single_options_cannot_both_say_what_is_made_equal(predictions):
    with pytest.raises(EvaluationError, match="--normalization and --case"):
        run(predictions, "-r", "builtin", "-n", "trim", "--case", "fold")


def test_a_mistake_is_raised_for_the_command_line_to_report(tmp_path):
    with pytest.raises(EvaluationError):
        run(str(tmp_path / "none.jsonl"), "--reference", "builtin")


def test_the_reference_must_be_given(predictions):
    result = run(predictions)
    assert result.exit_code == 2
    assert "--reference" in result.stderr


def test_json_is_written_to_any_stdout(monkeypatch):
    value = {"text": "שלום, é", "name": "scan\udcff.png"}
    for encoding in ("utf-8", "cp1252", "ascii"):
        raw = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding))
        print_json(value)
        sys.stdout.flush()
        assert json.loads(raw.getvalue().decode(encoding)) == value
