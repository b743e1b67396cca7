import json

import pytest
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.errors import ReportError


@pytest.fixture
def folder(tmp_path):
    """A folder of an evaluation of one page."""
    rates = {"micro": 0.25, "macro": 0.25, "median": 0.25, "clipped": 0.25}
    result = {
        "pages": 1,
        "cer": rates,
        "predictions": "a.jsonl",
        "reference": "builtin",
        "normalization": {"case": "fold"},
    }
    row = {
        "image": "1.png",
        "reference": "abcd",
        "prediction": "abcx",
        "cer": 0.25,
        "char_edits": 1,
        "runaway": False,
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(result))
    (tmp_path / "pages.jsonl").write_text(json.dumps(row))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_page_is_written_into_the_folder_and_the_numbers_are_printed(folder):
    result = run(folder, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "report": str(folder / "report.html"),
        "format": "html",
        "kind": "evaluation",
        "title": "a on builtin",
        "pages": 1,
        "cer": {"a": 0.25},
        "probability_better": None,
    }
    assert "25.0" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("kind", "told"), [("text", "CER"), ("md", "## a on builtin"), ("card", "license: CHOOSE")]
)
def test_other_formats_go_to_stdout_or_to_a_file(folder, tmp_path, kind, told):
    printed = run(folder, "--format", kind)
    assert told in printed.stdout
    assert run(folder, "--format", kind, "--out", tmp_path / "x").exit_code == 0
    assert (tmp_path / "x").read_text() == printed.stdout


def test_a_folder_of_something_else_is_raised_for_the_command_line_to_report(tmp_path):
    assert isinstance(run(tmp_path).exception, ReportError)
