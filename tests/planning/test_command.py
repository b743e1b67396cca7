"""`ocrtune doctor RUN.yaml`."""

import json

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli import doctor
from ocrtune.errors import ConfigError
from ocrtune.sources import sample_path

PAGES = f"data.uri={sample_path('vicksburg_pages') / 'manifest.jsonl'}"


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(doctor.command)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def test_a_plan_names_memory_time_reasons_and_settings(run):
    result = run("lora-gundam", "--card", "4090", "--set", PAGES)
    assert result.exit_code == 0
    for words in ("AdamW's moments", "each later one", "fits on", "--set training.batch_size=", "data sheet"):
        assert words in result.stdout


def test_json_is_one_object_on_stdout(run):
    result = run("lora-gundam", "--card", "T4", "--set", PAGES, "--json")
    told = json.loads(result.stdout)
    assert told["card"]["name"] == "T4"
    assert told["plan"]["fits"]


def test_a_run_that_cannot_fit_exits_with_1_and_prints_no_settings(run):
    result = run("full", "--card", "4090", "--set", PAGES)
    assert result.exit_code == 1
    assert "does not fit on" in result.stdout
    assert "take it over" not in result.stdout


def test_settings_without_lists_can_be_taken_over_as_they_are_printed(run):
    told = json.loads(run("lora-t4", "--card", "T4", "--set", PAGES, "--json").stdout)
    size = told["settings"]["training.batch_size"]
    steps = told["settings"]["training.accumulation_steps"]
    again = run(
        "lora-t4",
        *("--card", "T4", "--set", PAGES, "--json"),
        *("--set", f"training.batch_size={size}", "--set", f"training.accumulation_steps={steps}"),
    )
    assert json.loads(again.stdout)["plan"]["examples_of_a_step"] == told["plan"]["examples_of_a_step"]


@pytest.mark.parametrize("arguments", [("--card", "T4"), ("--set", "training.epochs=1")])
def test_options_of_a_plan_without_a_recipe_are_an_error_with_a_hint(run, arguments):
    result = run(*arguments)
    assert isinstance(result.exception, ConfigError)
    assert "ocrtune doctor RUN.yaml" in result.exception.hint
