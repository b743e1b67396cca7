import json

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from ocrtune.cli.importing import command
from ocrtune.errors import SourceError
from ocrtune.sources import read_pages

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def table(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a & b.png")
    (tmp_path / "t.csv").write_text("scan;what\na & b.png;x\ngone.png;y\n")
    return tmp_path / "t.csv"


def test_options_reach_the_source_and_errors_exit_with_1(table, tmp_path):
    options = [part for pair in ("image=scan", "text=what", "delimiter=;") for part in ("--option", pair)]
    result = run("csv", table, *options, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    assert (printed["pages"], printed["errors"]) == (1, 1)
    assert [page.text for page in read_pages(printed["manifest"])] == ["x"]


def test_sound_files_of_any_kind_exit_with_0(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert run("auto", tmp_path / "a.png", "-o", tmp_path / "out").exit_code == 0


def test_options_need_a_kind(table, tmp_path):
    with pytest.raises(SourceError, match="auto is none"):
        run("auto", table, "--option", "image=scan", "-o", tmp_path / "out")


def test_a_data_set_of_the_hub_is_a_kind(tmp_path):
    with pytest.raises(SourceError, match="'nobody/gone' cannot be reached"):
        run("hub", "nobody/gone", "--option", "split=train[:10%]", "-o", tmp_path / "out")
