"""Runs of packed rows: they learn what padded rows teach, and go on as if they had never stopped."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_shards import PAGES, write_tars
from two_processes import run_in_two_processes

from ocrtune.data.mixing import Mixture, Share
from ocrtune.errors import ConfigError
from ocrtune.training import train
from ocrtune.training.packed import PackedSampler

ROWS = ("training.pack_tokens=90", "training.max_steps=null", "training.batch_size=1")
SHARED = ("optimizer.schedule=constant", "evaluation.every_steps=null", "data.validation_documents=[]")


def series(folder, key):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row[key] for row in rows if key in row]


def epochs(sampler, count):
    for epoch in range(count):
        sampler.set_epoch(epoch)
        yield list(sampler)


def mixture(num_pages, num_examples, seed=0):
    starts = np.cumsum([0, *num_pages[:-1]]).tolist()
    shares = tuple(
        Share(name=str(number), uri="", start=start, num_pages=pages, num_examples=examples)
        for number, (start, pages, examples) in enumerate(zip(starts, num_pages, num_examples, strict=True))
    )
    return Mixture(shares, seed)


class TestSampler:
    @given(st.lists(st.integers(1, 900), min_size=1, max_size=150), st.integers(1, 8), st.integers(0, 3))
    def test_an_epoch_has_every_example_once_in_as_many_packs_as_the_others(self, lengths, rows, seed):
        sampler = PackedSampler(np.array(lengths), 1000, rows=rows, seed=seed)
        for packs in epochs(sampler, 6):
            assert len(packs) == len(sampler)
            assert sorted(place for pack in packs for place in pack) == list(range(len(lengths)))
        assert len(sampler) % rows == 0 or len(sampler) == len(lengths)

    @given(st.lists(st.integers(50, 900), min_size=20, max_size=80), st.integers(0, 3))
    def test_a_mixture_keeps_its_shares_in_as_many_packs_each_epoch(self, lengths, seed):
        few = len(lengths) // 4
        mixed = mixture((few, len(lengths) - few), (2 * few, len(lengths) // 2), seed)
        sampler = PackedSampler(
            np.array(lengths), 1000, rows=1, accumulation_steps=2, seed=seed, mixture=mixed, num_epochs=5
        )
        for packs in epochs(sampler, 5):
            assert len(packs) == len(sampler)
            places = np.array([place for pack in packs for place in pack])
            assert mixed.count(places) == [2 * few, len(lengths) // 2]
        steps = -(-len(sampler) // 2)
        assert sampler.count_seen(2 * steps, mixed) == [4 * few, 2 * (len(lengths) // 2)]

    def test_the_same_seed_and_epoch_give_the_same_packs_and_others_do_not(self):
        lengths = np.random.default_rng(0).integers(100, 900, 200)
        one, same, other = (list(epochs(PackedSampler(lengths, 2000, rows=1, seed=s), 3)) for s in (1, 1, 2))
        assert one == same
        assert all({*map(frozenset, a)} != {*map(frozenset, b)} for a, b in pairwise([*one, *other]))

    def test_the_fullest_row_comes_first_in_the_first_epoch(self):
        lengths = np.array([*np.random.default_rng(0).integers(100, 900, 200), 5000])
        sampler = PackedSampler(lengths, 2000, rows=1, seed=0)
        assert sampler.num_over_budget == 1
        firsts = [packs[0] for packs in epochs(sampler, 3)]
        assert firsts[0] == (200,)
        assert firsts[1:] != [(200,)] * 2

    def test_steps_do_not_depend_on_how_forwards_cut_them(self):
        lengths = np.random.default_rng(0).integers(100, 900, 64)
        by_rows = PackedSampler(lengths, 2000, rows=2, seed=0)
        by_devices = PackedSampler(lengths, 2000, rows=2, accumulation_steps=3, seed=0)
        assert list(by_rows) == list(by_devices)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """An uninterrupted run of two epochs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    config = recipe.config(folder, *SHARED, *ROWS, "training.epochs=2", "training.accumulation_steps=2")
    return train(config), config


def test_a_run_learns_from_every_page_once_an_epoch_in_the_steps_it_said(whole):
    result, _ = whole
    (row,) = json.loads((result.run / "mixture.json").read_text())
    assert row["examples_seen"] == 2 * row["examples_per_epoch"] == 2 * result.num_train_pages
    assert len(series(result.run, "loss")) == result.steps
    assert result.steps % 2 == 0
    assert 0.5 < result.pack_fill <= 1
    assert json.loads((result.run / "summary.json").read_text())["pack_fill"] == result.pack_fill
    assert all(0 < fill <= 1 for fill in series(result.run, "fill"))
    assert series(result.run, "tokens_per_s")


@pytest.mark.parametrize(
    "how",
    [
        (),
        ("training.gradient_checkpointing=true",),
        ("tuning.method=lora", "tuning.parts=[decoder]", "training.router_loss=0.1"),
    ],
)
def test_a_step_over_all_pages_learns_what_a_padded_one_learns(recipe, tmp_path, how):
    # All twelve pages make one step, so their order and rows are no matter.
    shared = (*SHARED, *how, "training.max_steps=2", "training.batch_size=12")
    padded = train(recipe.config(tmp_path / "padded", *shared))
    packed = train(recipe.config(tmp_path / "packed", *shared, "training.pack_tokens=90"))
    assert series(packed.run, "loss") == pytest.approx(series(padded.run, "loss"), abs=1e-5)
    assert series(packed.run, "grad_norm") == pytest.approx(series(padded.run, "grad_norm"), rel=1e-4)


def test_a_resumed_run_learns_what_an_uninterrupted_one_learns(whole, recipe, tmp_path, tensors_of):
    result, _ = whole
    stop = result.steps // 2 + 1
    shared = (*SHARED, *ROWS, "training.accumulation_steps=2", "training.epochs=2")
    train(recipe.config(tmp_path / "run", *shared, f"training.max_steps={stop}"))
    resumed = train(recipe.config(tmp_path / "run", *shared, "run.resume=true"))
    assert series(resumed.run, "loss") == series(result.run, "loss")
    first, second = tensors_of(result.last), tensors_of(resumed.last)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert resumed.pack_fill == result.pack_fill


def test_two_processes_learn_what_one_learns(recipe, tmp_path):
    shared = (*SHARED, *ROWS, "training.epochs=2")
    config = recipe.config(tmp_path / "two", *shared)
    run = run_in_two_processes("train", config, tmp_path / "two.yaml")
    assert run.returncode == 0, run.stderr
    one = train(recipe.config(tmp_path / "one", *shared, "training.batch_size=2"))
    assert series(tmp_path / "two", "loss") == pytest.approx(series(one.run, "loss"), rel=1e-4)
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["pack_fill"] == one.pack_fill


@pytest.fixture
def shards(recipe, tmp_path):
    def config(folder, *overrides, broken=()):
        uri = write_tars(tmp_path / f"shards-{folder}", broken=broken)
        return recipe.config(
            tmp_path / folder,
            f"data.uri={json.dumps(uri)}",
            "data.on_error=skip",
            *SHARED,
            *ROWS,
            *overrides,
        )

    return config


def test_a_packed_stream_resumes_as_if_it_had_not_stopped(shards):
    whole = train(shards("whole", "training.max_steps=8"))
    parts = shards("parts", "training.max_steps=5")
    train(parts)
    longer = parts.training.model_copy(update={"max_steps": 8})
    resuming = parts.run.model_copy(update={"resume": True})
    resumed = train(parts.model_copy(update={"training": longer, "run": resuming}))
    assert series(resumed.run, "loss") == series(whole.run, "loss")
    assert resumed.steps == 8
    (row,) = json.loads((whole.run / "mixture.json").read_text())
    assert 8 < row["examples_seen"] <= 3 * PAGES
    (same,) = json.loads((resumed.run / "mixture.json").read_text())
    assert same["examples_seen"] == row["examples_seen"]


def test_a_packed_stream_lists_a_page_whose_image_is_broken(shards):
    result = train(shards("run", "training.max_steps=8", broken=(3,)))
    assert result.skipped_by_reason == {"image": 1}


def test_a_packed_stream_learns_the_same_with_workers_that_encode(shards):
    alone = train(shards("alone", "training.max_steps=4"))
    helped = train(shards("helped", "training.max_steps=4", "training.workers=1"))
    assert series(alone.run, "loss") == series(helped.run, "loss")


def test_nobody_knows_how_many_steps_a_packed_stream_has(shards):
    with pytest.raises(ConfigError, match=r"training\.pack_tokens"):
        train(shards("run"))


def test_guidance_and_packed_rows_are_refused_together(recipe, tmp_path):
    with pytest.raises(ConfigError, match="pack_tokens"):
        recipe.config(tmp_path / "run", *ROWS, "training.guidance={}")


def test_the_examples_of_each_source_of_a_packed_stream_are_counted(shards, manifest):
    other = json.dumps(write_tars(manifest.parent / "shards", broken=()))
    sources = f"[{{uri: {other}, weight: 3, name: shards}}, {{uri: {json.dumps(str(manifest))}, weight: 1}}]"
    result = train(shards("run", "training.max_steps=6", "data.uri=null", f"data.sources={sources}"))
    rows = json.loads((result.run / "mixture.json").read_text())
    seen = [row["examples_seen"] for row in rows]
    assert min(seen) > 0
    assert sum(seen) > 6
    assert result.num_train_pages == sum(seen)
