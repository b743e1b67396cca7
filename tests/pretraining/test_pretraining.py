import json
import math

import pytest
import torch
import typer
from typer.testing import CliRunner

from batches import as_example
from exams import SAMPLE_DOCUMENT, make_exams
from ocrtune.models import load_checkpoint, load_model
from ocrtune.models.tensors import published_tensors
from train import Metrics, Progress, Recipe, last_checkpoint, main, pretrain


def recipe(steps, **changes):
    return Recipe(steps=steps, shortest=8, log_every=1, evaluate_every=1, bf16=False, **changes)


@pytest.fixture(scope="module")
def exams(source):
    return {"held_out_fonts": [as_example(line) for line in source.held_out(1, 6)]}


def test_two_steps_give_a_checkpoint_that_loads_and_rows_that_are_finite(tmp_path, source, exams):
    folder = pretrain(tmp_path, source, recipe(2), exams, None)
    assert folder == last_checkpoint(tmp_path)
    before, after = (published_tensors(load_model(path)) for path in (source.tokenizer_folder, folder))
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    numbers = [value for row in rows for value in row.values() if isinstance(value, int | float)]
    assert all(map(math.isfinite, numbers))
    assert [row["step"] for row in rows] == [1, 1, 2, 2]
    assert {"loss", "vision_loss", "decoder_accuracy", "attention_loss"} <= rows[0].keys()
    assert {"held_out_fonts_cer", "held_out_fonts_accuracy"} <= rows[1].keys()


def test_a_checkpoint_carries_the_mode_it_was_taught_in(tmp_path, source, exams):
    loaded = load_checkpoint(pretrain(tmp_path, source, recipe(1), exams, None), device="cpu")
    assert loaded.recipe.mode.global_px == loaded.recipe.mode.tile_px == 64
    assert loaded.card.step == 1


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, source, exams):
    whole = pretrain(tmp_path / "whole", source, recipe(3, warmup_steps=1, last_share=1.0), exams, None)
    pretrain(tmp_path / "halves", source, recipe(1, warmup_steps=1, last_share=1.0), exams, None)
    halves = pretrain(tmp_path / "halves", source, recipe(3, warmup_steps=1, last_share=1.0), exams, None)
    wanted, found = (published_tensors(load_model(path)) for path in (whole, halves))
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=0, rtol=0)


def test_the_rate_warms_up_and_falls_to_its_last_share():
    plan = Recipe(learning_rate=1.0, warmup_steps=10, last_share=0.1)
    assert plan.rate(0, 0.0) == pytest.approx(0.1)
    assert plan.rate(9, 0.0) == pytest.approx(1.0)
    assert plan.rate(500, 0.5) == pytest.approx(0.55)
    assert plan.rate(999, 1.0) == plan.rate(1200, 1.2) == pytest.approx(0.1)


def test_a_run_is_done_by_minutes_where_they_are_given():
    progress = Progress(step=50, elapsed_s=30)
    assert progress.done(Recipe(minutes=1)) == 0.5
    assert progress.done(Recipe(steps=200)) == 0.25


def test_rows_behind_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)))
    Metrics(path, 2).write({"step": 4})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 4]


def test_exams_are_held_out_lines_and_one_sample_page(source):
    exams = make_exams(source)
    assert {name: len(examples) > 20 for name, examples in exams.items()} == {
        "held_out_fonts": True,
        "sample_page": True,
    }
    assert {example.document for example in exams["sample_page"]} == {SAMPLE_DOCUMENT}


def test_the_command_says_what_is_missing(tmp_path):
    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "run"), "--texts", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: no paragraph of English")
    assert not done.stdout
