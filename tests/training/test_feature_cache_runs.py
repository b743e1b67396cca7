"""Runs that read vision features instead of computing them learn what others learn, bit for bit."""

import importlib
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from transformers import TrainerCallback

from ocrtune.config import FeatureCacheSection, parse_config, write_config
from ocrtune.errors import ConfigError
from ocrtune.models import OcrModel
from ocrtune.training import train
from ocrtune.training.feature_decision import PagesToCome, decide_cache
from ocrtune.training.features import _free_bytes

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
DECODER = ("tuning.method=full", "tuning.parts=[decoder]")
EPOCHS = ("training.max_steps=null", "training.epochs=3", "training.batch_size=1")
NONE = ("training.feature_cache.use=off",)
USE = "training.feature_cache.use=on"


def metrics(result, key):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def equal(one, other):
    first, second = (load_file(next(run.last.glob("*.safetensors"))) for run in (one, other))
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture
def seen(monkeypatch):
    """Names of images that were opened to be encoded, and images that went through the vision part."""
    opened, computed = [], []
    # `ocrtune.inputs.encode` is the function; its module is reached by name.
    encoding = importlib.import_module("ocrtune.inputs.encode")
    open_image, encode_images = encoding.open_image, OcrModel.encode_images

    def opening(source):
        opened.append(Path(source).name)
        return open_image(source)

    def computing(self, images):
        computed.extend(images)
        return encode_images(self, images)

    monkeypatch.setattr(encoding, "open_image", opening)
    monkeypatch.setattr(OcrModel, "encode_images", computing)
    return opened, computed


@pytest.fixture(scope="module")
def plain(recipe, tmp_path_factory):
    """A run of three epochs that computes every feature each time."""
    return train(recipe.config(tmp_path_factory.mktemp("plain") / "run", *LORA, *EPOCHS, *NONE))


def test_a_run_with_cache_equals_one_without_and_opens_each_image_once(recipe, plain, tmp_path, seen):
    opened, computed = seen
    # Threads that are ahead open pages of the next epoch before those of this one are all computed.
    between_steps = "training.workers=0"
    cached = train(recipe.config(tmp_path / "cached", *LORA, *EPOCHS, between_steps))
    assert metrics(plain, "loss") == metrics(cached, "loss")
    assert metrics(plain, "validation_loss") == metrics(cached, "validation_loss")
    assert equal(plain, cached)
    # Eight pages to learn from, two held out.
    assert len(computed) == len(opened) == len(set(opened)) == 10
    told = cached.feature_cache
    assert told["epochs"] == [
        {"epoch": 1, "read": 0, "computed": 8},
        {"epoch": 2, "read": 8, "computed": 0},
        {"epoch": 3, "read": 8, "computed": 0},
    ]
    assert told["images"] == 10
    assert told["evaluation"]["computed"] == 2
    assert plain.feature_cache is None
    assert json.loads((cached.run / "summary.json").read_text())["feature_cache"] == told
    again = train(recipe.config(tmp_path / "again", *LORA, *EPOCHS))
    assert len(opened) == 10
    assert equal(plain, again)


@pytest.mark.parametrize("family", ["deepseek_ocr2", "unlimited_ocr"])
def test_other_families_learn_the_same_with_a_cache(tiny_base, recipe, tmp_path, family):
    mode = "{global_px: 768}" if family == "deepseek_ocr2" else "{global_px: 128}"
    overrides = (*LORA, "training.batch_size=1", f"inputs.mode={mode}", f"model={tiny_base(family)}")
    more = ("data.validation_documents=[d1,d2]", "evaluation.max_pages=1", "evaluation.every_steps=4")
    runs = [
        train(recipe.config(tmp_path / name, *overrides, *more, "training.max_steps=8", *switch))
        for name, switch in (("plain", NONE), ("cached", ()))
    ]
    assert metrics(runs[0], "loss") == metrics(runs[1], "loss")
    assert equal(*runs)
    assert [row["computed"] for row in runs[1].feature_cache["epochs"]] == [4, 0]


@pytest.mark.parametrize(
    ("tuning", "precision"),
    [(LORA, "fp32"), (LORA, "bf16"), (DECODER, "fp32")],
    ids=["lora", "lora bf16", "decoder"],
)
def test_batches_of_several_learn_the_same_but_for_rounding(recipe, tmp_path, tuning, precision):
    shared = (*tuning, "training.batch_size=4", "training.max_steps=8", f"training.precision={precision}")
    plain = train(recipe.config(tmp_path / "plain", *shared, *NONE))
    cached = train(recipe.config(tmp_path / "cached", *shared))
    # A feature that was computed beside other images may round otherwise.
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    np.testing.assert_allclose(metrics(plain, "loss"), metrics(cached, "loss"), rtol=tolerance)
    assert [row["computed"] for row in cached.feature_cache["epochs"]] == [8, 0, 0, 0]


def test_loader_processes_read_what_is_kept(recipe, plain, tmp_path):
    workers = train(recipe.config(tmp_path / "workers", *LORA, *EPOCHS, "training.workers=2"))
    assert equal(plain, workers)
    assert [row["read"] for row in workers.feature_cache["epochs"]] == [0, 8, 8]


def test_a_resumed_run_equals_an_uninterrupted_one_also_when_the_cache_is_gone(recipe, tmp_path):
    shared = (*LORA, *EPOCHS, "evaluation.every_steps=12", "training.save_every_steps=12")
    uninterrupted = train(recipe.config(tmp_path / "a" / "run", *shared))
    for name in ("b", "c"):
        stop_after(12, recipe.config(tmp_path / name / "run", *shared))
    for shard in (tmp_path / "c" / "features").rglob("*.safetensors"):
        shard.unlink()
    for name, read in (("b", [4, 8]), ("c", [0, 4])):
        resumed = train(recipe.config(tmp_path / name / "run", *shared, "run.resume=true"))
        assert equal(uninterrupted, resumed)
        assert metrics(uninterrupted, "loss") == metrics(resumed, "loss")
        assert [row["read"] for row in resumed.feature_cache["epochs"]] == read


def stop_after(step, config):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step >= step

    return with_callback(Stop(), config)


def with_callback(callback, config):
    module = importlib.import_module("ocrtune.training.train")
    original = module._callbacks
    module._callbacks = lambda *args, **kwargs: [*original(*args, **kwargs), callback]
    try:
        return module.train(config)
    finally:
        module._callbacks = original


def test_an_image_that_changes_on_disk_is_computed_anew(recipe, tmp_path, manifest):
    folder = tmp_path / "pages"
    folder.mkdir()
    for path in manifest.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    data = f"data.uri={folder / manifest.name}"
    first = train(recipe.config(tmp_path / "first", *LORA, *EPOCHS, data))
    with Image.open(folder / "3.png") as image:
        changed = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    changed.save(folder / "3.png")
    second = train(recipe.config(tmp_path / "second", *LORA, *EPOCHS, data))
    assert [row["computed"] for row in first.feature_cache["epochs"]] == [8, 0, 0]
    assert [row["computed"] for row in second.feature_cache["epochs"]] == [1, 0, 0]


def test_an_image_that_changes_between_epochs_under_its_name_is_computed_anew(recipe, tmp_path, manifest):
    folder = tmp_path / "pages"
    shutil.copytree(manifest.parent, folder)
    page, before = folder / "3.png", (folder / "3.png").stat()

    def change(step):
        if step == 8:  # the end of the first epoch
            with Image.open(page) as image:
                changed = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            changed.save(page)
            os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))

    config = recipe.config(
        tmp_path / "run", *LORA, *EPOCHS, f"data.uri={folder / manifest.name}", "training.workers=0"
    )
    told = at_each_step(change, config).feature_cache
    assert [row["computed"] for row in told["epochs"]] == [8, 1, 0]
    assert told["images"] == 11


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM], ids=["error", "ctrl-c", "sigterm"])
def test_what_a_run_computed_before_it_was_broken_off_is_there_for_the_next(recipe, tmp_path, number):
    never = ("evaluation.every_steps=100", "training.save_every_steps=100", "training.workers=0")

    def break_off(step):
        if step == 5 and number is None:
            raise RuntimeError("broken off")
        if step == 5:
            os.kill(os.getpid(), number)

    config = recipe.config(tmp_path / "first", *LORA, *EPOCHS, *never)
    ends = {None: RuntimeError, signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}
    with pytest.raises(ends[number]):
        at_each_step(break_off, config)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    after = train(recipe.config(tmp_path / "second", *LORA, *EPOCHS, *never)).feature_cache
    assert [(row["read"], row["computed"]) for row in after["epochs"]] == [(5, 3), (8, 0), (8, 0)]


def at_each_step(act, config):
    """Train, with something done after each step."""

    class Act(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            act(state.global_step)

    return with_callback(Act(), config)


def test_the_disk_a_folder_is_to_lie_on_is_found_where_folders_above_may_not_be_seen(tmp_path, monkeypatch):
    seen, disk_usage = [], shutil.disk_usage

    def ask(folder):
        seen.append(folder)
        if len(seen) < 3:
            raise PermissionError(folder)
        return disk_usage(folder)

    monkeypatch.setattr("ocrtune.training.features.shutil.disk_usage", ask)
    assert _free_bytes(tmp_path / "theirs" / "features") > 0
    assert seen == [tmp_path / "theirs" / "features", tmp_path / "theirs", tmp_path]


def test_a_limit_keeps_some_pages_and_the_run_learns_the_same(recipe, plain, tmp_path):
    # Shards are written at each evaluation, of which this run has many.
    few = ("training.feature_cache.limit_gb=0.000006", USE, "evaluation.every_steps=2")
    limited = train(recipe.config(tmp_path / "limited", *LORA, *EPOCHS, *few))
    told = limited.feature_cache
    assert equal(plain, limited)
    assert told["not_kept"] > 0
    assert 0 < told["images"] < 10
    assert told["bytes"] <= 6000


def test_a_folder_that_cannot_be_written_to_costs_nothing_unless_it_was_asked_for(recipe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = f"training.feature_cache.folder={tmp_path / 'file' / 'features'}"
    assert train(recipe.config(tmp_path / "run", *LORA, *EPOCHS, folder)).feature_cache is None
    with pytest.raises(ConfigError, match="cannot be written to"):
        train(recipe.config(tmp_path / "other", *LORA, *EPOCHS, folder, USE))


def test_pages_that_are_made_anew_are_not_kept_but_held_out_ones_are(recipe, tmp_path, manifest, synth_font):
    lines = tmp_path / "lines.yaml"
    lines.write_text(f"seed: 3\nfonts: {{paths: ['{synth_font}']}}\nletters: {{shortest: 3, longest: 4}}\n")
    held_out = f"data.validation_uri={manifest}"
    pages = (f"data.uri=synth:{lines}", held_out, "data.validation_documents=[]")
    endless = recipe.config(tmp_path / "run", *LORA, *pages)
    told = train(endless).feature_cache
    assert (told["epochs"], told["images"]) == ([], 2)
    assert told["evaluation"]["computed"] == 2


def test_a_recipe_that_keeps_what_changes_is_refused(recipe, tmp_path):
    with pytest.raises(ConfigError, match="projector learn by"):
        recipe.config(tmp_path, "tuning.parts=[decoder,projector]", USE)


@pytest.mark.parametrize(
    ("written", "meant"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("yes", "on")]
)
def test_the_switch_is_read_as_yaml_writes_it(recipe, tmp_path, written, meant):
    config = recipe.config(tmp_path, *LORA, f"training.feature_cache.use={written}")
    assert config.training.feature_cache.use == meant
    write_config(config, tmp_path / "again.yaml")
    assert parse_config(config.model_dump()).training.feature_cache.use == meant


GOOD = PagesToCome(num_train=1900, passes=3, num_validation=100, tokens=903, token_bytes=2560)


@pytest.mark.parametrize(
    ("section", "pages", "free_gb", "kept", "reason"),
    [
        ({}, {}, 50, (True, True), "each page comes 3 times; 903 image tokens a page × 2,000 pages: 4.6 GB"),
        ({}, {"passes": 1}, 50, (False, True), "each page comes once"),
        ({"use": "on"}, {"passes": 1}, 50, (True, True), "each page comes once"),
        ({}, {"passes": 1, "num_validation": 0}, 50, (False, False), "each page comes once"),
        ({}, {"num_train": None}, 50, (False, True), "pages of a stream without end never come twice"),
        ({"limit_gb": 4.0}, {}, 50, (False, False), "more than the 4.0 GB allowed or free"),
        ({}, {}, 4, (False, False), "more than the 4.0 GB allowed or free"),
        ({"use": "on", "limit_gb": 4.0}, {}, 50, (True, True), "as many pages as fit are kept"),
    ],
)
def test_what_is_kept_is_decided_by_what_comes_and_what_fits(section, pages, free_gb, kept, reason):
    to_come = PagesToCome(
        **{name: pages.get(name, getattr(GOOD, name)) for name in PagesToCome.__dataclass_fields__}
    )
    decided = decide_cache(FeatureCacheSection(**section), to_come, free_bytes=round(free_gb * 1e9))
    assert (decided.trains, decided.evaluates) == kept
    assert reason in decided.reason
