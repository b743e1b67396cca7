"""`ocrtune cache`: what it keeps is all that training reads, however many processes compute it and however they end."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from ocrtune.config import write_config
from ocrtune.errors import ConfigError, TrainingError
from ocrtune.models.known_features import FeatureSource
from ocrtune.training import train
from ocrtune.training.filling import fill_cache

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
EPOCHS = ("training.max_steps=null", "training.epochs=2", "training.batch_size=1")
NONE = "training.feature_cache.use=off"


def losses(result):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [(row.get("loss"), row.get("validation_loss"), row.get("cer")) for row in rows]


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("deepseek_ocr", ()),
        ("deepseek_ocr2", ("inputs.mode.global_px=768", "data.validation_documents=[d1,d2]")),
        ("unlimited_ocr", ()),
        ("deepseek_ocr", ("tuning.method=full",)),
        ("unlimited_ocr", ("training.precision=bf16", "training.pack_tokens=120")),
    ],
)
def test_what_is_kept_is_all_that_training_reads_and_it_learns_the_same(
    recipe, tiny_base, tmp_path, family, overrides
):
    shared = (*LORA, *EPOCHS, "evaluation.max_pages=1", f"model={tiny_base(family)}", *overrides)
    config = recipe.config(tmp_path / "run", *shared)
    first, second = fill_cache(config), fill_cache(config)
    assert first.computed == first.pages == first.images == second.found == second.images
    assert second.computed == 0
    # The decoder, of the same or another dtype, is not in the key.
    told = (result := train(config)).feature_cache
    assert [row["computed"] for row in told["epochs"]] == [0, 0]
    assert told["evaluation"]["computed"] == 0
    assert told["folder"] == first.folder
    if "training.precision=bf16" not in overrides:
        assert losses(train(recipe.config(tmp_path / "plain", *shared, NONE))) == losses(result)


def test_another_precision_reads_nothing_of_what_is_there(recipe, tmp_path):
    config = recipe.config(tmp_path / "run", *LORA, *EPOCHS)
    other = recipe.config(tmp_path / "run", *LORA, *EPOCHS, "training.precision=bf16")
    first, second = fill_cache(config), fill_cache(other)
    assert (second.found, second.computed) == (0, first.computed)
    assert first.folder != second.folder


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


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM], ids=["error", "ctrl-c", "sigterm"])
def test_what_was_computed_before_it_was_broken_off_is_there_for_the_next(
    recipe, tmp_path, monkeypatch, number
):
    config = recipe.config(tmp_path / "run", *LORA, *EPOCHS)
    complete = FeatureSource.complete

    def break_off(self, model, arguments):
        if self.counts["computed"] == 4 and number is None:
            raise MemoryError
        if self.counts["computed"] == 4:
            os.kill(os.getpid(), number)
        return complete(self, model, arguments)

    ends = {None: MemoryError, signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}
    with monkeypatch.context() as patch:
        patch.setattr(FeatureSource, "complete", break_off)
        with pytest.raises(ends[number]):
            fill_cache(config)
    after = fill_cache(config)
    assert (after.found, after.computed) == (4, 6)


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


def test_a_recipe_whose_features_change_is_refused(recipe, tmp_path):
    with pytest.raises(ConfigError, match="vision learn"):
        fill_cache(recipe.config(tmp_path))


def test_processes_of_torchrun_share_the_work(recipe, tmp_path):
    other = recipe.config(tmp_path / "other" / "run", *LORA, *EPOCHS)
    write_config(other, tmp_path / "recipe.yaml")
    (tmp_path / "start.py").write_text("from ocrtune.cli import main; main()")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "start.py"), "cache", str(tmp_path / "recipe.yaml"), "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    told = json.loads(line)
    assert (told["found"], told["computed"], told["images"], told["processes"]) == (0, 10, 10, 2)
