import json

import typer
from PIL import Image
from typer.testing import CliRunner

from ocrtune.cli.export_data import command

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_files_and_findings_are_printed_as_json(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("one\ntwo")
    result = run(tmp_path / "a.png", "--to", "alto", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert (printed["pages"], printed["errors"]) == (1, 0)
    assert printed["files"] == [str(tmp_path / "out" / "a.xml")]
    assert [finding["code"] for finding in printed["findings"]] == ["geometry-unknown"]


def test_pages_left_out_because_of_errors_exit_with_1(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    rows = [{"image": name, "text": "x"} for name in ("a.png", "gone.png")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(tmp_path / "m.jsonl", "--to", "page", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.xml"]
