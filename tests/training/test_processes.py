"""Runs of two processes, as on two devices: they learn what one learns, and one of them writes and speaks."""

import json
from types import SimpleNamespace

import pytest
from tiny_shards import write_tars
from two_processes import run_in_two_processes

from ocrtune.training import train
from ocrtune.training.trainer import OcrTrainer

# Without a decay the first part of a run learns as it would in a longer one.
SHARED = ("optimizer.schedule=constant", "evaluation.max_pages=3")


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def series(folder, key):
    return [row[key] for row in metrics(folder) if key in row]


@pytest.fixture(scope="module")
def two(recipe, tmp_path_factory):
    """A run of two processes that is stopped and goes on, its recipe, and what it said."""
    folder = tmp_path_factory.mktemp("two")
    config = recipe.config(folder / "run", *SHARED, "training.batch_size=2", "training.max_steps=2")
    first = run_in_two_processes("train", config, folder / "first.yaml", "--json")
    assert first.returncode == 0, first.stderr
    again = recipe.config(folder / "run", *SHARED, "training.batch_size=2", "run.resume=true")
    second = run_in_two_processes("train", again, folder / "second.yaml")
    assert second.returncode == 0, second.stderr
    return folder / "run", config, first


def test_two_processes_learn_what_one_learns_also_after_a_resume(two, recipe, tmp_path):
    folder, _, _ = two
    config = recipe.config(tmp_path / "run", *SHARED, "training.batch_size=4")
    train(config)
    assert series(folder, "loss") == pytest.approx(series(tmp_path / "run", "loss"), rel=1e-4)
    assert len(series(folder, "loss")) == 4
    assert series(folder, "validation_loss") == pytest.approx(
        series(tmp_path / "run", "validation_loss"), rel=1e-3
    )


def test_held_out_pages_are_read_once_each_by_both_processes_together(two):
    folder, _, _ = two
    for step in (2, 4):
        lines = (folder / "predictions" / f"step-{step:06d}.jsonl").read_text().splitlines()
        assert len({json.loads(line)["image"] for line in lines}) == len(lines) == 3


def test_one_process_writes_and_speaks(two):
    folder, _, first = two
    (line,) = [line for line in first.stdout.splitlines() if line.startswith("{")]
    assert json.loads(line)["steps"] == 2
    assert first.stderr.count("step 1 of 2: loss") == first.stderr.count("report: ") == 1
    assert "2 processes learn together" in first.stderr
    # One for each time it was started.
    assert len(list((folder / "tensorboard").iterdir())) == 2
    assert [row["step"] for row in metrics(folder) if "loss" in row] == [1, 2, 3, 4]


def test_an_error_of_one_process_ends_the_other(two, tmp_path):
    _, config, _ = two
    failed = run_in_two_processes("train", config, tmp_path / "again.yaml")
    assert failed.returncode != 0
    assert failed.stderr.count("holds a run already") == 1


def test_two_processes_learn_every_page_of_shards_once_an_epoch_and_list_a_broken_one_once(recipe, tmp_path):
    config = recipe.config(
        tmp_path / "run",
        f"data.uri={json.dumps(write_tars(tmp_path / 'shards', broken=(3,)))}",
        "data.validation_documents=[]",
        "data.on_error=skip",
        "evaluation.every_steps=null",
        "training.max_steps=null",
        "training.epochs=2",
    )
    run = run_in_two_processes("train", config, tmp_path / "shards.yaml")
    assert run.returncode == 0, run.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    # 24 pages, 2 processes, batches of 2, 2 epochs.
    assert (summary["steps"], summary["skipped_by_reason"]) == (12, {"image": 1})
    (row,) = json.loads((tmp_path / "run" / "mixture.json").read_text())
    assert (row["pages"], row["examples_seen"]) == (24, 48)
    materials = json.loads((tmp_path / "run" / "materials.json").read_text())
    assert materials["workers_of_all_devices"] == "2"


def test_a_process_that_is_not_to_save_writes_no_checkpoint(tmp_path):
    # The Trainer asks each process to save; two that write one file fall over each other.
    trainer = OcrTrainer.__new__(OcrTrainer)
    trainer.args = SimpleNamespace(should_save=False, output_dir=str(tmp_path))
    trainer._save(str(tmp_path / "checkpoint"))
    assert not list(tmp_path.iterdir())
