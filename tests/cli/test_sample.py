import json

import typer
from typer.testing import CliRunner

from ocrtune.cli.sample import command
from ocrtune.sources import read_pages

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_share_of_the_pages_is_written(tmp_path):
    result = run("builtin", "-n", "10%", "-o", tmp_path / "out", "--files", "copy", "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert (printed["pages"], printed["of"], printed["findings"]) == (26, 257, [])
    assert len(read_pages(printed["manifest"])) == 26
