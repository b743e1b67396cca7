import json

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.facts import command

app = typer.Typer()
app.command()(command)


@pytest.fixture
def files(tmp_path):
    facts = [
        {"pdf": "a.pdf", "page": 1, "id": f"a_{number}", "type": "present", "text": f"word {number}"}
        for number in range(12)
    ]
    (tmp_path / "facts.jsonl").write_text(
        "".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8"
    )
    (tmp_path / "p.jsonl").write_text(
        json.dumps({"image": "a.pdf#1", "text": "word 3"}) + "\n", encoding="utf-8"
    )
    return [str(tmp_path / "p.jsonl"), "--facts", str(tmp_path / "facts.jsonl")]


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_json_is_one_object_with_the_known_keys(files):
    result = run(*files, "--json")
    printed = json.loads(result.stdout)
    assert list(printed) == ["overall", "mean_of_files", "types", "files", "documents", "failed", "findings"]
    assert printed["types"]["present"]["held"] == 1
    assert set(printed["overall"]) == {"rate", "held", "count", "low", "high"}
    assert len(printed["failed"]) == 11
    assert result.exit_code == 0


def test_without_json_a_table_and_the_first_failed_facts_are_on_stdout(files):
    result = run(*files)
    for word in (
        "12 facts",
        "present",
        "8.3%",
        "95 % interval",
        "a.pdf#1 a_0 (present): 'word 0' is not there",
        "and 1 more",
    ):
        assert word in result.stdout


def test_failed_facts_are_written_and_baselines_are_added(files, tmp_path):
    out = tmp_path / "failed.jsonl"
    result = run(*files, "--out", str(out), "--baseline")
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 11
    assert rows[0]["why"].startswith("'word 0' is not there")
    assert "baseline" in result.stdout
    assert "mean of files" in result.stdout
