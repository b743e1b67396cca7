"""Runs on shards: resumed to the bit, each page once an epoch, broken pages told, mixtures counted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib import import_module

import numpy as np
import pytest
from tiny_shards import (
    PAGES,
    PAGES_OF_SHARD,
    SHARDS,
    numbers_of,
    png,
    word,
    write_parquets,
    write_tars,
)
from typer.testing import CliRunner

from ocrtune.cli.app import app
from ocrtune.config import parse_config, write_config
from ocrtune.errors import ConfigError, ImageError, ImageLeaked, TooManySkipped, TrainingError
from ocrtune.training import train


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    return write_tars(tmp_path_factory.mktemp("tars") / "shards")


@pytest.fixture(scope="module")
def uris(tars, tmp_path_factory):
    return {
        "webdataset": tars,
        "parquet": write_parquets(tmp_path_factory.mktemp("parquets") / "shards"),
    }


@pytest.fixture(scope="module")
def shard_config(recipe):
    """(uri, folder, overrides) → the recipe of a run of seconds."""

    def make(uri, folder, *overrides):
        return recipe.config(
            folder,
            f"data.uri={json.dumps(uri)}",
            "data.validation_documents=[]",
            "evaluation.every_steps=null",
            "training.max_steps=null",
            "training.epochs=2",
            "training.batch_size=2",
            "optimizer.schedule=constant",
            *overrides,
        )

    return make


def rows(folder):
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def losses(folder):
    return {row["step"]: row["loss"] for row in rows(folder) if "loss" in row}


def read_json(result, name):
    return json.loads((result.run / name).read_text())


def skipped_in(folder):
    return [json.loads(line) for line in (folder / "skipped.jsonl").read_text().splitlines()]


def resumed(config):
    tree = config.model_dump(mode="json")
    return parse_config({**tree, "run": {**tree["run"], "resume": True}})


@pytest.fixture
def batches(monkeypatch):
    """Names of the pages of each batch that is made, in order; of loaders without workers."""
    seen = []
    run = import_module("ocrtune.training.train")
    collate = run.collate

    def listen(inputs, *args, **keys):
        seen.append([row.name for row in inputs])
        return collate(inputs, *args, **keys)

    monkeypatch.setattr(run, "collate", listen)
    return seen


@pytest.fixture(scope="module", params=[("webdataset", "auto"), ("webdataset", 2), ("parquet", 2)], ids=str)
def whole(request, uris, shard_config, tmp_path_factory):
    """A run without interruption, and how to make the recipe of one that is killed."""
    kind, workers = request.param

    def config(folder):
        return shard_config(uris[kind], folder, f"training.workers={workers}", "training.save_every_steps=4")

    return train(config(tmp_path_factory.mktemp("whole") / "run")), config


def test_a_killed_run_on_shards_goes_on_with_the_losses_of_an_uninterrupted_one(whole, tmp_path, tensors_of):
    uninterrupted, config = whole
    folder = tmp_path / "run"
    write_config(config(folder), tmp_path / "run.yaml")
    _train_until_killed(tmp_path / "run.yaml", folder, step=5)
    assert uninterrupted.steps not in losses(folder)
    goes_on = train(resumed(config(folder)))
    assert losses(goes_on.run) == losses(uninterrupted.run)
    assert len(losses(goes_on.run)) == goes_on.steps == 2 * PAGES // 2
    first, second = tensors_of(uninterrupted.last), tensors_of(goes_on.last)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert read_json(goes_on, "mixture.json") == read_json(uninterrupted, "mixture.json")


def _train_until_killed(recipe, folder, *, step):
    """A process of its own, killed for good once it has logged `step`."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from ocrtune.cli import main; main()", "train", str(recipe)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if max(losses_so_far(folder), default=0) >= step:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    _, talk = process.communicate()
    assert process.returncode == -signal.SIGKILL, talk.decode()


def losses_so_far(folder):
    try:
        return losses(folder)
    except json.JSONDecodeError:  # a line is being written
        return {}


def test_each_epoch_has_every_page_once_and_ends_with_an_evaluation_and_a_checkpoint(
    tars, shard_config, recipe, tmp_path, batches
):
    # 24 pages in steps of 2 × 5 end within a step.
    result = train(
        shard_config(
            tars,
            tmp_path / "run",
            f"data.validation_uri={json.dumps(str(recipe.data))}",
            'data.allow=["image-leaked"]',  # the shards have the same pictures
            "evaluation.max_pages=3",
            "training.batch_size=5",
        )
    )
    names = [name for batch in batches for name in batch]
    every = sorted(f"{shard}.tar#{number:02}" for shard in range(SHARDS) for number in numbers_of(shard))
    assert [sorted(names[:PAGES]), sorted(names[PAGES:])] == [every, every]
    assert names[:PAGES] != names[PAGES:]
    assert result.steps == 10
    assert [row["step"] for row in rows(result.run) if "cer" in row] == [5, 10]
    assert (result.run / "checkpoints" / "checkpoint-5").is_dir()
    assert read_json(result, "summary.json")["train_pages"] == PAGES
    assert read_json(result, "summary.json")["validation_pages"] == 3
    assert read_json(result, "mixture.json") == [
        {
            "name": "shards",
            "uri": tars,
            "pages": PAGES,
            "examples_per_epoch": PAGES,
            "examples_seen": 2 * PAGES,
        }
    ]


@pytest.mark.parametrize("workers", ["auto", 0, 2])
def test_a_broken_page_is_listed_once_and_counted_however_often_it_comes(workers, shard_config, tmp_path):
    uri = write_tars(tmp_path / "shards", broken={7})
    config = shard_config(
        uri, tmp_path / "run", "data.on_error=skip", "training.epochs=3", f"training.workers={workers}"
    )
    result = train(config)
    assert result.steps == 3 * PAGES // 2
    assert [(row["code"], row["where"].rpartition("/")[2]) for row in skipped_in(result.run)] == [
        ("image", "1.tar#07.png")
    ]
    assert read_json(result, "summary.json")["skipped_by_reason"] == {"image": 1}


@pytest.mark.parametrize("workers", ["auto", 0, 2])
def test_without_leave_to_skip_a_broken_page_stops_a_run_with_its_name(workers, shard_config, tmp_path):
    uri = write_tars(tmp_path / "shards", broken={7})
    with pytest.raises(ImageError) as error:
        train(shard_config(uri, tmp_path / "run", f"training.workers={workers}"))
    assert error.value.where.endswith("1.tar#07.png")
    assert "\n" not in error.value.message


def test_more_broken_pages_than_allowed_stop_a_run_with_their_reasons(shard_config, tmp_path):
    uri = write_tars(tmp_path / "shards", broken=range(0, PAGES, 4))
    keys = ("data.on_error=skip", "training.epochs=4")
    with pytest.raises(TooManySkipped, match=r"3 of the last \d+ pages are left out: image 3") as error:
        train(shard_config(uri, tmp_path / "stopped", *keys))
    assert "max_skipped_share" in error.value.hint
    allowed = train(shard_config(uri, tmp_path / "allowed", *keys, "data.max_skipped_share=0.5"))
    assert read_json(allowed, "summary.json")["skipped_by_reason"] == {"image": 6}


def test_a_run_that_goes_on_keeps_the_list_of_what_it_left_out(shard_config, tmp_path):
    uri = write_tars(tmp_path / "shards", broken={3, 20})
    keys = ("data.on_error=skip", "data.max_skipped_share=0.5")
    first = train(shard_config(uri, tmp_path / "run", *keys, "training.max_steps=12"))
    assert first.num_skipped == 2
    before = skipped_in(first.run)
    config = shard_config(uri, tmp_path / "run", *keys, "training.max_steps=13")
    result = train(resumed(config))
    assert skipped_in(result.run) == before
    assert result.num_skipped == 2


def test_held_out_pages_that_are_nearly_all_broken_stop_a_run_on_shards(tars, shard_config, tmp_path):
    uri = write_tars(tmp_path / "held-out", broken=range(PAGES))
    keys = (f"data.validation_uri={json.dumps(uri)}", "data.on_error=skip")
    with pytest.raises(TrainingError, match="would be skipped"):
        train(shard_config(tars, tmp_path / "run", *keys))


@pytest.fixture
def mixed_config(tars, recipe, shard_config, synth_font, tmp_path):
    """Shards, synthetic lines and rows of text alone, 3 : 2 : 1."""
    lines = tmp_path / "lines.yaml"
    lines.write_text(f"seed: 3\nfonts: {{paths: ['{synth_font}']}}\nletters: {{shortest: 3, longest: 5}}\n")
    general = tmp_path / "general.jsonl"
    texts = [{"images": [], "prompt": f"Say word {n}.", "text": f"word {n}"} for n in range(5)]
    general.write_text("".join(f"{json.dumps(row)}\n" for row in texts), encoding="utf-8")
    sources = [
        {"uri": tars, "name": "scans", "weight": 3, "prompts": {"free": 1, "<image>\nRead.": 1}},
        {"uri": f"synth:{lines}", "weight": 2},
        {"uri": str(general), "weight": 1},
    ]

    def make(name, *overrides, **of_scans):
        given = [{**sources[0], **of_scans}, *sources[1:]]
        return shard_config(
            None,
            tmp_path / name,
            f"data.sources={json.dumps(given)}",
            "training.max_steps=30",
            "training.save_every_steps=10",
            *overrides,
        )

    return make


def test_a_mixture_with_streams_has_the_shares_asked_for_and_is_told(mixed_config, batches):
    result = train(mixed_config("run"))
    seen = Counter(name.partition("/")[0] for batch in batches for name in batch)
    told = {row["name"]: row for row in read_json(result, "mixture.json")}
    assert {name: row["examples_seen"] for name, row in told.items()} == seen
    assert list(told) == ["scans", "lines", "general"]
    assert [row["pages"] for row in told.values()] == [PAGES, None, 5]
    assert [seen[name] / 60 for name in told] == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=0.12)


def test_a_mixture_with_streams_goes_on_where_it_stopped(mixed_config, tensors_of):
    whole = train(mixed_config("whole"))
    train(mixed_config("parts", "training.max_steps=10"))
    goes_on = train(resumed(mixed_config("parts")))
    assert losses(goes_on.run) == losses(whole.run)
    assert read_json(goes_on, "mixture.json") == read_json(whole, "mixture.json")
    first, second = tensors_of(whole.last), tensors_of(goes_on.last)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_what_stands_for_a_broken_page_of_a_mixture_is_of_its_source(mixed_config, batches, tmp_path):
    uri = write_tars(tmp_path / "shards", broken={1, 9, 17})
    result = train(mixed_config("run", "data.on_error=skip", "data.max_skipped_share=1", uri=uri))
    seen = Counter(name.partition("/")[0] for batch in batches for name in batch)
    assert result.num_skipped > 0
    assert {row["name"]: row["examples_seen"] for row in read_json(result, "mixture.json")} == seen


def test_a_single_stream_with_prompts_keeps_its_epochs(tars, shard_config, tmp_path, batches):
    sources = [{"uri": tars, "prompts": {"free": 1, "<image>\nRead.": 1}}]
    result = train(shard_config(None, tmp_path / "run", f"data.sources={json.dumps(sources)}"))
    assert result.steps == 2 * PAGES // 2
    assert set(Counter(name for batch in batches for name in batch).values()) == {2}


@pytest.mark.parametrize(
    ("of_scans", "overrides", "message"),
    [
        ({"max_pages": 3}, (), "no max_pages and no repeats"),
        ({"weight": 0.001}, (), "less than a thousandth"),
        ({}, ('data.validation_documents=["scans/0"]',), "no document can be held out"),
        ({}, ("training.max_steps=null",), "has no end"),
    ],
)
def test_what_a_mixture_with_streams_cannot_have_is_told(mixed_config, of_scans, overrides, message):
    with pytest.raises(ConfigError, match=message):
        train(mixed_config("run", *overrides, **of_scans))


def test_a_page_of_a_stream_that_is_held_out_too_is_not_learned_from(tars, shard_config, tmp_path, batches):
    (tmp_path / "held out.png").write_bytes(png(3))
    row = {"image": "held out.png", "text": word(3)}
    (tmp_path / "held-out.jsonl").write_text(json.dumps(row) + "\n")
    held_out = f"data.validation_uri={tmp_path / 'held-out.jsonl'}"
    with pytest.raises(ImageLeaked, match="the same image is among the pages held out") as caught:
        train(shard_config(tars, tmp_path / "stop", held_out))
    assert caught.value.where.endswith("03")
    batches.clear()
    result = train(shard_config(tars, tmp_path / "skip", held_out, "data.on_error=skip"))
    names = {name for batch in batches for name in batch}
    assert len(names) == PAGES - 1
    assert read_json(result, "summary.json")["skipped_by_reason"] == {"image-leaked": 1}
    batches.clear()
    train(shard_config(tars, tmp_path / "allow", held_out, 'data.allow=["image-leaked"]'))
    assert len({name for batch in batches for name in batch}) == PAGES


def test_a_mixture_with_streams_needs_weights(tars, recipe, shard_config, tmp_path):
    sources = json.dumps([{"uri": tars}, {"uri": str(recipe.data)}])
    with pytest.raises(ConfigError, match="needs a weight"):
        train(shard_config(None, tmp_path / "run", f"data.sources={sources}"))


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_shards_are_checked_read_and_scored_from_the_command_line(kind, uris, recipe, tmp_path):
    out, scores = tmp_path / "predictions.jsonl", tmp_path / "scores.jsonl"
    folder, _, options = uris[kind].partition("?")
    uri = f"{folder}/{{0..1}}.tar" if kind == "webdataset" else f"{folder}/1.parquet?{options}"
    run(0, "check", uri, "--family", "deepseek_ocr")
    run(0, "predict", recipe.model, uri, "-o", out, "--max-new-tokens", 2, "--device", "cpu")
    printed = run(0, "evaluate", out, "--reference", uri, "--out", scores, "--json")
    images = [json.loads(line)["image"] for line in out.read_text().splitlines()]
    if kind == "webdataset":
        expected = [f"{shard}.tar#{number:02}" for shard in range(2) for number in numbers_of(shard)]
    else:
        expected = [f"1.parquet#{row}" for row in range(1, PAGES_OF_SHARD + 1)]
    assert images == expected
    assert [json.loads(line)["image"] for line in scores.read_text().splitlines()] == images
    assert json.loads(printed.stdout)["pages"] == len(images)


def run(exit_code, *arguments):
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def test_pages_of_shards_go_through_a_frozen_vision_part_once(shard_config, tars, tmp_path):
    tuning = ("tuning.method=lora", "tuning.parts=[decoder]", "tuning.lora.rank=2")
    runs = {
        use: train(shard_config(tars, tmp_path / use, *tuning, f"training.feature_cache.use={use}"))
        for use in ("off", "auto")
    }
    told = runs["auto"].feature_cache["epochs"]
    assert [(row["epoch"], row["computed"], row["read"]) for row in told] == [(1, PAGES, 0), (2, 0, PAGES)]
    losses = [
        [json.loads(line).get("loss", 0.0) for line in (run.run / "metrics.jsonl").read_text().splitlines()]
        for run in runs.values()
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)
