import json

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.compare import command
from ocrtune.errors import EvaluationError
from ocrtune.sources import read_pages, write_jsonl

app = typer.Typer()
app.command()(command)


@pytest.fixture
def sides(tmp_path):
    """A reads every fifth letter wrong, B every tenth."""
    paths = []
    for name, step in (("base", 5), ("tuned", 10)):
        rows = (
            {
                "image": page.name,
                "text": "".join(
                    "#" if place % step == 1 else letter for place, letter in enumerate(page.text)
                ),
            }
            for page in read_pages("builtin")
        )
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        paths.append(str(tmp_path / f"{name}.jsonl"))
    return paths


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_both_sides_the_difference_and_how_sure_it_is_are_printed(sides):
    result = run(*sides, "-r", "builtin", "--by", "document")
    for words in (
        "A is base, B is tuned",
        "CER micro",
        ">99.9%",
        "micro CER by document",
        "B reads 253 pages better, 0 worse, 4 as A does",
        "drawn 1000 times with seed 0",
        "normalised: trim (unicode NFC",
    ):
        assert words in result.stdout
    assert result.exit_code == 0


def test_json_is_one_object_and_the_folder_has_it_too(sides, tmp_path):
    result = run(*sides, "-r", "builtin", "--json", "-o", str(tmp_path / "out"), "--a-name", "before")
    printed = json.loads(result.stdout)
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert printed == {key: written[key] for key in printed}
    assert [side["name"] for side in printed["sides"]] == ["before", "tuned"]
    assert printed["differences"]["rates"]["cer"]["micro"]["b_is_better"] == 1
    assert len(printed["better"]) == 253


def test_findings_go_to_stderr(sides, tmp_path):
    write_jsonl(tmp_path / "few.jsonl", [{"image": "images/p1_000.png", "text": "x"}])
    result = run(sides[0], str(tmp_path / "few.jsonl"), "-r", "builtin", "--json")
    assert "'few' has not read the page, and it is not compared (256 times)" in result.stderr
    assert json.loads(result.stdout)["pages"] == 1


def test_a_mistake_is_raised_for_the_command_line_to_report(sides):
    with pytest.raises(EvaluationError, match="no normalisation 'fould'"):
        run(*sides, "-r", "builtin", "-n", "fould")


def test_measures_of_structure_have_a_line_each(tmp_path):
    for name, text in (("m", "One.\n\nTwo."), ("a", "Two.\n\nOne."), ("b", "One.\n\nTwo.")):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"image": f"{n}.png", "text": text} for n in range(10)])
    result = run(*(str(tmp_path / f"{name}.jsonl") for name in "ab"), "-r", str(tmp_path / "m.jsonl"))
    assert "order_ned: A 100.0%, B 0.0%" in result.stdout
    assert "(-100.00 to -100.00), B is better: >99.9%; 10 pages, 0 is best" in result.stdout
