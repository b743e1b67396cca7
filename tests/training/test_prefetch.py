"""Batches made ahead by threads are those made between steps; memory is bounded, and no thread is left behind."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest
import torch
from tiny_shards import write_tars

from ocrtune.errors import ImageError
from ocrtune.models.precision import DeviceFacts
from ocrtune.training import train
from ocrtune.training.prefetch import (
    FEWEST_AHEAD,
    MOST_THREADS,
    PrefetchedBatches,
    choose_loading,
    num_bytes,
)

CPU = torch.device("cpu")
CARD = DeviceFacts(kind="cuda", capability=(8, 0), name="a card")


class Numbers:
    """Stand for examples: the number is what an example holds, `broken` ones raise."""

    def __init__(self, count, *, broken=(), gate=None):
        self.count, self.broken, self.gate = count, broken, gate
        self.made = []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.gate is not None:
            self.gate.wait()
        if index in self.broken:
            raise ImageError("the image cannot be read", where=f"page {index}")
        self.made.append(index)
        return index


def stack(numbers):
    return {"labels": torch.tensor(numbers), "more": {"pixels": torch.zeros(10, dtype=torch.uint8)}}


BATCH_BYTES = num_bytes(stack([0, 1]))


def promises(batches, examples, size=2):
    """What a data loader without processes gives: a promise for each batch, when it is asked for."""
    for start in range(0, len(examples), size):
        yield batches.submit(list(range(start, min(start + size, len(examples)))))


def labels(batches):
    return [batch["labels"].tolist() for batch in batches]


@pytest.fixture
def of_threads():
    """Prefetched batches, closed at the end."""
    made = []

    def make(examples, threads=3, **keys):
        made.append(PrefetchedBatches(examples, stack, threads=threads, **keys))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("at_once", [1, 3])
def test_batches_come_in_order_and_once_in_each_pass(of_threads, threads, at_once):
    examples = Numbers(21)
    batches = of_threads(examples, threads)
    expected = [list(range(start, min(start + 2, 21))) for start in range(0, 21, 2)]
    for _ in range(2):
        source = promises(batches, examples)
        taken = []
        while new := batches.take(source, at_once, CPU):
            taken += new
        assert labels(taken) == expected
        assert batches.num_promised == 0


@pytest.mark.parametrize(("room", "most"), [(0.5, 1), (3.5, 3), (1000, FEWEST_AHEAD)])
def test_no_more_batches_are_made_ahead_than_memory_is_given(of_threads, room, most):
    examples = Numbers(60)
    batches = of_threads(examples, most_bytes=int(room * BATCH_BYTES))
    source = promises(batches, examples)
    assert batches.num_promised == 0
    for _ in range(5):
        batches.take(source, 1, CPU)
        assert batches.num_promised == most


def test_only_one_batch_is_made_before_it_is_known_how_large_they_are(of_threads):
    gate = threading.Event()
    examples = Numbers(20, gate=gate)
    batches = of_threads(examples)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(batches.take, promises(batches, examples), 1, CPU)
        assert batches.num_promised <= 1
        gate.set()
        assert labels(first.result()) == [[0, 1]]


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_comes_when_its_batch_is_due_and_not_before(of_threads, threads):
    examples = Numbers(20, broken={5})
    batches = of_threads(examples, threads)
    source = promises(batches, examples)
    assert labels(batches.take(source, 1, CPU) + batches.take(source, 1, CPU)) == [[0, 1], [2, 3]]
    with pytest.raises(ImageError) as error:
        batches.take(source, 1, CPU)
    assert (error.value.message, error.value.where) == ("the image cannot be read", "page 5")


def test_the_next_pass_is_begun_before_this_one_ends_and_nothing_is_made_twice(of_threads):
    examples = Numbers(6)
    batches = of_threads(examples, next_pass=lambda: iter([[4, 5], [2, 3], [0, 1]]))
    for order in ([[0, 1], [2, 3], [4, 5]], [[4, 5], [2, 3], [0, 1]]):
        source = (batches.submit(indices) for indices in order)
        taken = [batches.take(source, 1, CPU) for _ in order]
        assert [labels(each) for each in taken] == [[each] for each in order]
        assert batches.num_promised == 3
        batches.take(source, 1, CPU)
    batches.close()
    # Of the third pass, which nobody asks for, what was begun.
    assert set(Counter(examples.made).values()) <= {2, 3}


def test_a_pass_that_is_another_than_was_expected_is_believed(of_threads):
    examples = Numbers(6)
    batches = of_threads(examples, next_pass=lambda: iter([[4, 5], [2, 3], [0, 1]]))
    for order in ([[0, 1], [2, 3], [4, 5]], [[4, 5], [0, 1], [2, 3]]):
        source = (batches.submit(indices) for indices in order)
        taken = [batches.take(source, 1, CPU) for _ in order]
        assert [labels(each) for each in taken] == [[each] for each in order]


def test_what_is_not_begun_when_threads_are_stopped_is_never_made(of_threads):
    gate = threading.Event()
    gate.set()
    examples = Numbers(40, gate=gate)
    batches = of_threads(examples, threads=1)
    source = promises(batches, examples)
    gate.clear()
    promised = [next(source) for _ in range(10)]
    threading.Timer(0.05, gate.set).start()
    batches.close()
    assert len(examples.made) <= 2 * 2
    assert promised[-1].cancelled()


def test_who_makes_batches_is_decided_by_device_and_cores():
    cpu = DeviceFacts(kind="cpu", name="CPU")
    assert choose_loading("auto", cpu, streamed=False, cores=32).threads == 1
    threads = [
        choose_loading("auto", CARD, streamed=False, cores=cores).threads for cores in (1, 2, 4, 8, 64)
    ]
    assert threads == [1, 1, 3, 7, MOST_THREADS]
    assert choose_loading("auto", CARD, streamed=True, cores=64).threads == 1
    asked = choose_loading(4, CARD, streamed=False)
    assert (asked.threads, asked.processes) == (0, 4)
    none = choose_loading(0, CARD, streamed=False)
    assert (none.threads, none.processes) == (0, 0)
    assert [choose_loading("auto", device, streamed=False).pinned for device in (cpu, CARD)] == [False, True]


def test_processes_share_the_memory_for_decoded_pages():
    alone, four = (choose_loading(workers, CARD, streamed=False) for workers in ("auto", 4))
    assert alone.kept_pages_bytes == 4 * four.kept_pages_bytes


def rows(result):
    return [json.loads(line) for line in (result.run / "metrics.jsonl").read_text().splitlines()]


def losses(result):
    return [row["loss"] for row in rows(result) if "loss" in row]


def threads_of_batches():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ocrtune-batch")]


MOST_TILES = '{"global_px": 256, "tile_px": 128, "max_tiles": 6}'


@pytest.fixture(scope="module")
def by_workers(recipe, tmp_path_factory):
    """Runs that differ in nothing but who makes the batches; pages have tiles, steps three forwards."""

    def run(workers, *overrides):
        folder = tmp_path_factory.mktemp("by_workers") / "run"
        keys = (f"training.workers={workers}", "training.accumulation_steps=3", f"inputs.mode={MOST_TILES}")
        return train(recipe.config(folder, *keys, *overrides))

    return run


def test_threads_processes_and_neither_train_the_same_model_bit_for_bit(by_workers, tensors_of, monkeypatch):
    runs = {workers: by_workers(workers) for workers in ("auto", 0, 2)}
    # As beside a card: several threads, of which the later page may be ready first.
    run = import_module("ocrtune.training.train")
    monkeypatch.setattr(
        run, "choose_loading", lambda *_, **__: choose_loading("auto", CARD, streamed=False, cores=4)
    )
    monkeypatch.setattr("ocrtune.training.prefetch._pin", lambda batch: batch)
    runs["three threads"] = by_workers("auto")
    (first, *others) = runs.values()
    weights = tensors_of(first.last)
    for other in others:
        assert losses(other) == losses(first)
        assert all(np.array_equal(tensor, weights[name]) for name, tensor in tensors_of(other.last).items())
    assert threads_of_batches() == []


def test_a_run_says_what_share_of_its_steps_went_by_in_waiting(by_workers):
    result = by_workers(0, "training.max_steps=2")
    shares = [row["waiting_share"] for row in rows(result) if "loss" in row]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)
    summary = json.loads((result.run / "summary.json").read_text())
    assert summary["waiting_share"] == pytest.approx(result.waiting_share, abs=1e-4)
    assert min(shares) <= result.waiting_share <= max(shares)


def test_no_batch_of_a_run_is_made_twice_though_each_epoch_is_begun_before_it_comes(
    recipe, tmp_path, monkeypatch
):
    run = import_module("ocrtune.training.train")
    made, collate = [], run.collate
    monkeypatch.setattr(
        run, "collate", lambda rows, *args, **keys: made.append(rows) or collate(rows, *args, **keys)
    )
    result = train(recipe.config(tmp_path / "run", "training.max_steps=null", "training.epochs=3"))
    assert result.steps == 3 * 4
    assert len(made) == result.steps


def test_an_error_in_a_thread_stops_the_run_with_its_place_and_leaves_no_thread(recipe, tmp_path):
    uri = json.dumps(write_tars(tmp_path / "shards", broken=(7,)))
    config = recipe.config(
        tmp_path / "run",
        f"data.uri={uri}",
        "data.validation_documents=[]",
        "evaluation.every_steps=null",
        "training.max_steps=null",
        "training.epochs=1",
    )
    with pytest.raises(ImageError) as error:
        train(config)
    assert error.value.where.endswith("1.tar#07.png")
    assert threads_of_batches() == []
