import json
from dataclasses import dataclass

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.cache import command

pytest.importorskip("torch")

app = typer.Typer()
app.command()(command)


@dataclass
class Filled:
    processes: int

    def as_dict(self):
        return {"processes": self.processes}


def test_recipe_and_processes_reach_the_filling_and_the_result_is_told_as_json(monkeypatch):
    recipes = []

    def fill_cache(config, *, processes):
        recipes.append(config)
        return Filled(processes)

    monkeypatch.setattr("ocrtune.training.filling.fill_cache", fill_cache)
    result = CliRunner().invoke(
        app,
        ["tiny-demo", "--set", "training.max_steps=3", "--processes", "2", "--json"],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    assert recipes[0].training.max_steps == 3
    assert json.loads(result.stdout) == {"processes": 2}
