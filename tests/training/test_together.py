"""Packing, kept features, threads and checkpointing at once: a run learns what a plain one learns, and can be resumed."""

import importlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_shards import write_tars
from transformers import TrainerCallback

from ocrtune.training import train

LORA = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
SHARED = (
    *LORA,
    "optimizer.schedule=constant",
    "data.validation_documents=[d1,d2]",
    "evaluation.max_pages=1",
    "evaluation.every_steps=2",
    "training.epochs=3",
    "training.max_steps=null",
)
PLAIN = (
    "training.batch_size=1",
    "training.accumulation_steps=4",
    "training.workers=0",
    "training.feature_cache.use=off",
)
TOGETHER = ("training.batch_size=8", "training.pack_tokens=2000", "training.gradient_checkpointing=true")
SMALL_ROWS = (
    "training.batch_size=1",
    "training.accumulation_steps=2",
    "training.gradient_checkpointing=true",
)
MODES = {  # and tokens of a row for two or three pages
    "deepseek_ocr": ("{global_px: 128, tile_px: 64, max_tiles: 4}", 150),
    "deepseek_ocr2": ("{global_px: 768}", 330),
    "unlimited_ocr": ("{global_px: 128, tile_px: 64, max_tiles: 4}", 150),
}


def series(result, key):
    rows = [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def weights(result):
    return load_file(next(result.last.glob("*.safetensors")))


def equal(one, other):
    first, second = weights(one), weights(other)
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture
def run(recipe, tiny_base, tmp_path):
    def of(family, name, *overrides):
        mode, _ = MODES[family]
        more = (f"model={tiny_base(family)}", f"inputs.mode={mode}")
        return train(recipe.config(tmp_path / name / "run", *more, *SHARED, *overrides))

    return of


@pytest.mark.parametrize("family", list(MODES))
def test_everything_at_once_learns_what_a_plain_run_learns(run, family):
    # All four pages make a step, so that rows and order are no matter.
    plain = run(family, "plain", *PLAIN)
    together = run(family, "together", *TOGETHER)
    assert series(together, "loss") == pytest.approx(series(plain, "loss"), abs=1e-5)
    assert series(together, "validation_loss") == pytest.approx(series(plain, "validation_loss"), abs=1e-5)
    first, second = weights(plain), weights(together)
    assert first.keys() == second.keys()
    assert all(np.allclose(first[name], second[name], atol=1e-4) for name in first)
    assert [row["read"] for row in together.feature_cache["epochs"]] == [0, 4, 4]
    assert together.pack_fill is not None


@pytest.mark.parametrize("family", list(MODES))
def test_a_resumed_run_with_everything_on_equals_an_uninterrupted_one(run, family):
    rows = (*SMALL_ROWS, f"training.pack_tokens={MODES[family][1]}", "training.epochs=4")
    whole = run(family, "whole", *rows)
    stop = whole.steps // 2 + 1
    run(family, "parts", *rows, f"training.max_steps={stop}", "training.feature_cache.use=on")
    resumed = run(family, "parts", *rows, "run.resume=true")
    assert whole.steps > stop
    assert series(resumed, "loss") == series(whole, "loss")
    assert equal(whole, resumed)


def test_rows_and_single_pages_share_their_features(run, tmp_path):
    folder = f"training.feature_cache.folder={tmp_path / 'features'}"
    run("deepseek_ocr", "rows", *TOGETHER, folder)
    single = run("deepseek_ocr", "single", "training.batch_size=1", folder)
    assert [row["computed"] for row in single.feature_cache["epochs"]] == [0, 0, 0]


@pytest.fixture
def mixed(recipe, tmp_path):
    """Drawn anew in each epoch, with text alone, in small rows."""
    texts = tmp_path / "texts.jsonl"
    rows = [{"images": [], "prompt": f"Say word {n}.", "text": f"word {n}"} for n in range(5)]
    texts.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    sources = [{"uri": str(recipe.data), "weight": 2}, {"uri": str(texts), "weight": 1}]
    keys = ("data.uri=null", f"data.sources={json.dumps(sources)}", "data.validation_fraction=0")
    more = ("data.validation_documents=[]", "evaluation.every_steps=null", "training.save_every_steps=5")

    def of(name, *overrides):
        small = (*SMALL_ROWS, "training.pack_tokens=90", "training.feature_cache.use=on")
        return train(recipe.config(tmp_path / name / "run", *SHARED, *keys, *more, *small, *overrides))

    return of


def test_a_mixture_drawn_anew_in_each_epoch_is_the_same_however_it_is_loaded_and_resumed(mixed):
    whole = mixed("whole")
    between = mixed("between", "training.workers=0", "training.feature_cache.use=off")
    assert series(between, "loss") == pytest.approx(series(whole, "loss"), rel=1e-5)
    assert equal(whole, mixed("processes", "training.workers=2"))
    # In the middle of the second epoch, of which threads had begun the third.
    stop = whole.steps // 3 + 1
    mixed("parts", f"training.max_steps={stop}")
    resumed = mixed("parts", "run.resume=true")
    assert series(resumed, "loss") == series(whole, "loss")
    assert equal(whole, resumed)


@pytest.mark.parametrize(("rows", "passes"), [(1, None), (24, 1)])
def test_how_often_pages_of_a_packed_run_come_is_counted_in_pages(recipe, tmp_path, rows, passes, capsys):
    uri = f"data.uri={json.dumps(write_tars(tmp_path / 'shards'))}"
    keys = ("data.validation_documents=[]", "evaluation.every_steps=null", "training.pack_tokens=150")
    steps = ("training.epochs=1", "training.batch_size=1", f"training.max_steps={rows}")
    of_stream = train(recipe.config(tmp_path / "stream" / "run", *LORA, uri, *keys, *steps))
    assert (of_stream.feature_cache is None) == (passes is None)
    pages = ("evaluation.every_steps=null", "training.pack_tokens=600", "training.batch_size=1")
    # Eight pages fill one row, so each comes in every step.
    capsys.readouterr()
    train(recipe.config(tmp_path / "pages" / "run", *LORA, *pages, f"training.max_steps={rows}"))
    told = "each page comes once" if rows == 1 else f"each page comes {rows} times"
    assert told in capsys.readouterr().err


def test_a_run_whose_cache_is_removed_meanwhile_goes_on(run, tmp_path, monkeypatch):
    module = importlib.import_module("ocrtune.training.train")

    class Remove(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            shutil.rmtree(tmp_path / "removed" / "features", ignore_errors=True)

    original = module._callbacks
    rows = (*SMALL_ROWS, "training.pack_tokens=150")
    kept = run("deepseek_ocr", "kept", *rows)
    monkeypatch.setattr(module, "_callbacks", lambda *args, **kwargs: [*original(*args, **kwargs), Remove()])
    removed = run("deepseek_ocr", "removed", *rows)
    assert equal(kept, removed)
    assert removed.feature_cache["not_kept"] > 0
