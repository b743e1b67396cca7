import json

import pytest
import torch
import typer
from golden_batches import IMAGE_ID, copied, read_golden
from typer.testing import CliRunner

from ocrtune.cli import doctor
from ocrtune.errors import ModeError


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(doctor.command)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def batch_file(tmp_path):
    def write(change=None):
        batch = copied(read_golden("deepseek_ocr").batch.published())
        if change is not None:
            change(batch)
        torch.save(batch, tmp_path / "batch.pt")
        return tmp_path / "batch.pt"

    return write


def check(run, path, *more):
    return run("--batch", path, "--family", "deepseek_ocr", "--image-token-id", IMAGE_ID, *more)


def test_a_right_batch_exits_with_0(run, batch_file):
    result = check(run, batch_file(), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"findings": [], "errors": 0, "warnings": 0}


def test_a_broken_batch_exits_with_1_and_says_why(run, batch_file):
    result = check(run, batch_file(lambda batch: batch.update(images_seq_mask=None)), "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["errors"] == 1
    (finding,) = told["findings"]
    assert finding["code"] == "sequence-mask-missing"
    assert finding["hint"]
    assert "sequence-mask-missing" in result.stderr


def test_warnings_alone_exit_with_0(run, batch_file):
    result = check(run, batch_file(lambda batch: batch["labels"][0].fill_(-100)), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["warnings"] == 1


def test_people_are_told_on_stderr_and_stdout_stays_empty(run, batch_file):
    result = check(run, batch_file(lambda batch: batch.update(images_seq_mask=None)))
    assert result.stdout == ""
    assert "1 error, 0 warnings" in result.stderr


def test_a_batch_needs_its_family(run, batch_file):
    result = run("--batch", batch_file())
    assert isinstance(result.exception, ModeError)
    assert "deepseek_ocr2" in result.exception.hint


def test_the_machine_is_told_to_people(run):
    result = run()
    assert result.exit_code == 0
    for word in ("python", "torch", "device", "precision, lora", "free disk"):
        assert word in result.stdout


def test_the_machine_is_one_json_object(run):
    told = json.loads(run("--json").stdout)
    assert {"python", "packages", "device", "precision", "findings", "errors", "warnings"} <= told.keys()
