import json
import sys

import pytest
import typer
from tiny_reviews import LINES, read_rows, write_lines, write_predictions
from typer.testing import CliRunner

from ocrtune.cli.review import command
from ocrtune.errors import MissingDependency
from ocrtune.review import Change, open_review

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def lines(tmp_path):
    write_lines(tmp_path / "lines")
    return tmp_path / "lines"


def test_an_export_needs_no_server_and_tells_what_it_left_out(tmp_path, lines, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    path = write_predictions(tmp_path)
    review = open_review(str(path), reference=str(lines))
    review.store.save(Change(number=1, version=0, key="a-key", text="gerous for use.", state="good"))
    review.store.save(Change(number=2, version=0, key="b-key", text="x", state="skip"))
    review.store.close()
    out = lines / "corrected.jsonl"
    result = run(path, "--reference", lines, "--export", out, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert (printed["pages"], printed["corrected"], printed["left_out"]) == (3, 1, {"skip": 1})
    assert "1 marked to be left out" in result.stderr
    texts = {row["image"]: row["text"] for row in read_rows(out)}
    assert texts["cut.png"] == "gerous for use."
    assert texts["good.png"] == LINES["good.png"][0]


def test_an_image_that_cannot_be_read_exits_with_1(lines):
    (lines / "odd.png").unlink()
    assert run(lines, "--export", lines / "corrected.jsonl").exit_code == 1


def test_without_a_web_server_the_command_says_how_to_get_one(lines, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "ocrtune.review.serving", raising=False)
    with pytest.raises(MissingDependency, match="uvicorn is not installed") as error:
        run(lines)
    assert "ocrtune[review]" in error.value.hint
