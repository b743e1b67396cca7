import json
import subprocess
import sys

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from ocrtune.cli.synth import command
from ocrtune.errors import ConfigError, SynthError
from ocrtune.sources import read_pages
from ocrtune.synth import RECIPES, read_synth_config

app = typer.Typer()
app.command()(command)
SHORT = ("--set", "letters.longest=10", "--processes", 1)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_json_is_one_object_and_the_pages_lie_in_the_folder(tmp_path):
    result = run("lines-en", "-o", tmp_path / "lines", "--count", 4, *SHORT, "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed.pop("elapsed_s") >= 0
    assert printed == {
        "manifest": str(tmp_path / "lines/manifest.jsonl"),
        "findings": str(tmp_path / "lines/findings.json"),
        "pages": 4,
        "resumed": 0,
        "skipped_texts": 0,
    }
    assert len(read_pages(printed["manifest"])) == 4


def test_people_are_told_on_stderr_alone(tmp_path):
    result = run("lines-en", "-o", tmp_path, "--count", 3, *SHORT)
    assert result.stdout == ""
    assert f"3 pages in 0 s: {tmp_path / 'manifest.jsonl'}" in result.stderr


def test_options_go_before_the_recipe_and_are_written_with_it(tmp_path):
    (tmp_path / "mine.yaml").write_text("count: 900\nseed: 1\nlayouts: {paragraph: 1}\n", encoding="utf-8")
    run(
        tmp_path / "mine.yaml",
        "-o",
        tmp_path / "a",
        "--count",
        2,
        "--seed",
        7,
        "--set",
        "count=5",
        "--processes",
        1,
    )
    config = read_synth_config(tmp_path / "a/synth.yaml")
    assert (config.count, config.seed, config.layouts) == (2, 7, {"paragraph": 1.0})


def test_the_same_command_again_makes_nothing_anew(tmp_path):
    run("lines-en", "-o", tmp_path, "--count", 3, *SHORT)
    result = run("lines-en", "-o", tmp_path, "--count", 3, *SHORT, "--json")
    assert json.loads(result.stdout)["resumed"] == 3
    with pytest.raises(SynthError, match="differ in seed"):
        run("lines-en", "-o", tmp_path, "--count", 3, *SHORT, "--seed", 3)


@pytest.mark.parametrize(("out", "picture"), [("sheet.png", "sheet.png"), ("folder", "folder/preview.png")])
def test_a_preview_is_one_picture_and_no_pages(out, picture, tmp_path):
    result = run("lines-en", "-o", tmp_path / out, "--preview", 4, *SHORT, "--json")
    assert json.loads(result.stdout) == {"preview": str(tmp_path / picture), "pages": 4}
    with Image.open(tmp_path / picture) as image:
        assert image.width == 1600
        assert len(image.convert("L").getcolors()) > 50
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [picture.rpartition("/")[2]]


def test_everything_a_recipe_can_name_is_listed():
    printed = json.loads(run("--list", "--json").stdout)
    told = run("--list").stdout
    assert printed.keys() == {"recipes", "layouts", "degradations", "sets", "languages", "fonts"}
    assert set(printed["recipes"]) == set(RECIPES)
    assert "columns" in printed["layouts"]
    assert {"en", "ru", "el", "ar", "hi"} <= set(printed["languages"])
    assert "typical" in printed["sets"]
    assert printed["fonts"]["Latin"] > 0
    for name, description in printed["degradations"].items():
        assert description in told
        assert name in told


def test_without_a_recipe_it_is_said_which_there_are():
    with pytest.raises(SynthError, match=r"which recipe\?") as caught:
        run("-o", "x")
    assert "lines-en" in caught.value.hint


def test_a_wrong_key_on_the_command_line_is_told_like_one_in_a_file(tmp_path):
    with pytest.raises(ConfigError, match=r"letters\.longst: unknown key, did you mean 'longest'"):
        run("lines-en", "-o", tmp_path, "--set", "letters.longst=3")


def test_pages_are_made_without_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "sys.argv[0] = 'ocrtune'\nfrom ocrtune.cli import main\nmain()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "synth",
        "lines-en",
        "--count",
        "2",
        "--processes",
        "1",
        "-o",
        tmp_path,
    ]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
