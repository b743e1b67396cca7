import json

import pytest
import typer
from typer.testing import CliRunner

from ocrtune.cli.export import command
from ocrtune.errors import ExportError

pytest.importorskip("torch")

app = typer.Typer()
app.command()(command)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    from tiny_models import make_tiny_model

    return make_tiny_model(golden, tmp_path_factory.mktemp("model") / "model", "deepseek_ocr2").folder


def test_json_is_one_object_with_folder_difference_and_findings(model, tmp_path):
    out = tmp_path / "out"
    result = run(model, "-o", out, "--dtype", "bfloat16", "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed["folder"] == str(out)
    assert printed["dtype"] == "bfloat16"
    assert 0 < printed["max_difference"] < 0.2
    assert [finding["code"] for finding in printed["findings"]] == ["config-native"]
    assert (out / "model.safetensors").exists()


def test_people_are_told_what_to_know_on_stderr_alone(model, tmp_path):
    result = run(model, "-o", tmp_path / "out")
    assert result.stdout == ""
    assert "warning config-native" in result.stderr
    assert f"exported to {tmp_path / 'out'}" in result.stderr
    with pytest.raises(ExportError, match="has files in it"):
        run(model, "-o", tmp_path / "out")
    assert run(model, "-o", tmp_path / "out", "--overwrite").exit_code == 0
