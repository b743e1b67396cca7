import json

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.split import command
from ocrtune.sources import read_pages

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_parts_and_shares_are_told(tmp_path):
    result = run("builtin", "-o", tmp_path / "out", "--validation", 0.15, "--test", 0, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert set(printed["manifests"]) == {"train", "validation"}
    assert printed["pages"]["train"] + printed["pages"]["validation"] == 257
    assert printed["shares"]["validation"] == pytest.approx(0.15, abs=0.02)
    assert len(read_pages(printed["manifests"]["validation"])) == printed["pages"]["validation"]
    assert "validation: " in result.stderr


def test_pages_left_out_exit_with_1(tmp_path):
    rows = [{"image": "gone.png"}, *[{"images": [], "text": "x"}] * 3]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = run(tmp_path / "m.jsonl", "-o", tmp_path / "out", "--by", "page", "--test", 0)
    assert result.exit_code == 1
    assert "findings.jsonl" in result.stderr
