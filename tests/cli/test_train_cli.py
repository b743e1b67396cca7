import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.train import command
from ocrtune.errors import ConfigError

pytest.importorskip("torch")

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@dataclass
class Result:
    run: Path = Path("runs/x")

    def as_dict(self):
        return {"run": str(self.run)}


@pytest.fixture
def trained(monkeypatch):
    """The recipes that were given to training, which does nothing here."""
    recipes = []

    def train(config):
        recipes.append(config)
        return Result()

    monkeypatch.setattr("ocrtune.training.train", train)
    monkeypatch.setattr("ocrtune.cli.train.report_run", lambda run: f"the report of {run}")
    monkeypatch.setattr("ocrtune.cli.train.write_report", lambda report, path: recipes.append((report, path)))
    return recipes


def test_overrides_reach_the_recipe_in_their_order(trained):
    result = run("tiny-demo", "--set", "training.max_steps=3", "--set", "training.max_steps=4", "--json")
    assert result.exit_code == 0
    recipe, _ = trained
    assert (recipe.model, recipe.training.max_steps) == ("builtin", 4)
    assert json.loads(result.stdout) == {"run": "runs/x", "report": "runs/x/report.html"}


def test_a_report_is_written_and_people_are_told_where_it_lies_on_stderr_alone(trained):
    result = run("tiny-demo")
    assert result.stdout == ""
    assert "report: runs/x/report.html" in result.stderr
    assert trained[1] == ("the report of runs/x", Path("runs/x/report.html"))


def test_a_wrong_recipe_is_told_before_anything_is_loaded(trained):
    with pytest.raises(ConfigError, match=r"training.max_stepz: unknown key, did you mean 'max_steps'"):
        run("tiny-demo", "--set", "training.max_stepz=3")
    assert trained == []
