"""Vision features computed by several processes, ours or those of torchrun."""

import importlib
import json
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest
from two_processes import run_in_two_processes

from ocrtune.errors import TrainingError
from ocrtune.training.filling import fill_cache

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
EPOCHS = ("training.max_steps=null", "training.epochs=2", "training.batch_size=1")


def test_processes_of_our_own_share_the_work_and_what_they_have_to_say_is_said_once(
    recipe, tmp_path, manifest, monkeypatch, capfd
):
    """A page goes between the check of all pages and the work on them, as it may in hours."""
    shutil.copytree(manifest.parent, tmp_path / "pages")
    filling = importlib.import_module("ocrtune.training.filling")
    prepare_data = filling.prepare_data

    def prepare_and_lose(*arguments):
        data = prepare_data(*arguments)
        (tmp_path / "pages" / "3.png").unlink()
        return data

    monkeypatch.setattr(filling, "prepare_data", prepare_and_lose)
    data = f"data.uri={tmp_path / 'pages' / manifest.name}"
    filled = fill_cache(recipe.config(tmp_path / "run", *LORA, *EPOCHS, data), processes=2)
    assert (filled.pages, filled.skipped, filled.computed, filled.images, filled.processes) == (
        10,
        1,
        9,
        9,
        2,
    )
    told = capfd.readouterr().err
    assert told.count("the image does not exist") == 1
    assert "9 computed, 0 not kept, 1 page(s) skipped" in told


def test_a_process_that_was_killed_is_told(recipe, tmp_path, monkeypatch):
    class Killed:
        """Stands for a pool one of whose processes the system has ended."""

        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, *_):
            share = Future()
            share.set_exception(BrokenProcessPool("terminated abruptly"))
            return share

    monkeypatch.setattr("ocrtune.training.filling_processes.ProcessPoolExecutor", Killed)
    with pytest.raises(TrainingError, match="was killed") as raised:
        fill_cache(recipe.config(tmp_path / "run", *LORA, *EPOCHS), processes=2)
    assert "fewer --processes" in raised.value.hint


def test_processes_of_torchrun_share_the_work(recipe, tmp_path):
    other = recipe.config(tmp_path / "other" / "run", *LORA, *EPOCHS)
    done = run_in_two_processes("cache", other, tmp_path / "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    told = json.loads(line)
    assert (told["found"], told["computed"], told["images"], told["processes"]) == (0, 10, 10, 2)
