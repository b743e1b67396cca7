"""Training from random weights on pages that are made while they are learned from."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from ocrtune.config import parse_config, write_config
from ocrtune.data import split_by_document
from ocrtune.data.held_out import held_out_pages, spread
from ocrtune.data.streams import open_stream
from ocrtune.errors import ConfigError, SequenceTooLong
from ocrtune.inputs import Tokenizer
from ocrtune.inputs.streamed import MOST_TRIED, StreamedExamples
from ocrtune.models.tiny import RECIPE, build_tiny_checkpoint
from ocrtune.reports import report_run
from ocrtune.sources import read_pages
from ocrtune.training import train

STEPS, SAVE_EVERY, BATCH = 28, 4, 4


@pytest.fixture(scope="module")
def lines(tmp_path_factory, synth_font):
    """A recipe of short lines in one font, so that a machine without fonts will do."""
    path = tmp_path_factory.mktemp("synth") / "lines.yaml"
    path.write_text(
        f"seed: 3\nfonts: {{paths: ['{synth_font}']}}\nletters: {{shortest: 6, longest: 12, alike: {BATCH}}}\n",
        encoding="utf-8",
    )
    return path


def config(lines, folder, **training):
    return parse_config(
        {
            "model": "builtin-random",
            "run": {"folder": str(folder), "seed": 5},
            "data": {"uri": f"synth:{lines}"},
            "tuning": {"method": "full", "parts": ["vision", "projector", "decoder"]},
            "optimizer": {"learning_rate": 1e-3},
            "training": {
                "max_steps": STEPS,
                "batch_size": BATCH,
                "save_every_steps": SAVE_EVERY,
                "log_every_steps": 1,
                "guidance": {},
                **training,
            },
        }
    )


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return {row["step"]: row["loss"] for row in rows(folder) if "loss" in row}


@pytest.fixture(scope="module")
def uninterrupted(lines, tmp_path_factory):
    return train(config(lines, tmp_path_factory.mktemp("whole") / "run"))


def test_a_model_learns_from_nothing_and_is_told_where_letters_stand(uninterrupted):
    seen = rows(uninterrupted.run)
    assert losses(uninterrupted.run)[STEPS] < losses(uninterrupted.run)[1]
    assert {"vision_accuracy", "decoder_accuracy", "attention_accuracy"} <= seen[0].keys()
    assert (uninterrupted.last / "guidance.safetensors").is_file()


def test_a_killed_run_goes_on_with_the_losses_of_an_uninterrupted_one(
    lines, uninterrupted, tmp_path, tensors_of
):
    folder = tmp_path / "run"
    recipe = tmp_path / "run.yaml"
    write_config(config(lines, folder, workers=1), recipe)
    _train_until_killed(recipe, folder, step=2 * SAVE_EVERY + 1)
    assert STEPS not in losses(folder)
    # Without the process that made the lines before: an example depends on its number alone.
    tree = config(lines, folder).model_dump(mode="json")
    resumed = train(parse_config({**tree, "run": {**tree["run"], "resume": True}}))
    assert losses(resumed.run) == losses(uninterrupted.run)
    first, second = tensors_of(uninterrupted.last), tensors_of(resumed.last)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def _train_until_killed(recipe, folder, *, step):
    """A process of its own, killed for good once it has logged `step`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from ocrtune.cli import main; main()", "train", str(recipe)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "metrics.jsonl").exists() and max(losses(folder), default=0) >= step:
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    _, talk = process.communicate()
    assert process.returncode == -signal.SIGKILL, talk.decode()


def test_examples_of_a_stream_depend_on_their_number_alone(lines, tmp_path):
    tokenizer = Tokenizer.read(build_tiny_checkpoint(tmp_path / "tiny", seed=0))
    first, second = (
        StreamedExamples(open_stream(f"synth:{lines}").page, 10, RECIPE, tokenizer) for _ in range(2)
    )
    backwards = {number: second[number] for number in reversed(range(10))}
    for number in range(10):
        np.testing.assert_array_equal(first[number].input_ids, backwards[number].input_ids)
        np.testing.assert_array_equal(first[number].views[0].tiles, backwards[number].views[0].tiles)
    assert len({tuple(example.input_ids) for example in first}) > 5


def test_a_stream_has_no_end_so_steps_must_be_counted(lines, tmp_path):
    with pytest.raises(ConfigError, match="no end"):
        train(config(lines, tmp_path / "run", max_steps=None))


def test_held_out_pages_of_a_stream_are_the_same_each_time(lines):
    stream = open_stream(f"synth:{lines}")
    assert [page.text for page in stream.first(5)] == [page.text for page in stream.first(5)]


def test_the_report_of_a_run_shows_lines_of_its_held_out_stream(lines, tmp_path):
    tree = config(lines, tmp_path / "run", max_steps=2, batch_size=2).model_dump(mode="json")
    tree["data"]["validation_uri"] = f"synth:{lines}"
    tree["evaluation"] = {"every_steps": 2, "max_pages": 3, "decoding": {"max_new_tokens": 4}}
    train(parse_config(tree))
    report = report_run(tmp_path / "run")
    references = [page.reference for page in report.pages]
    assert references == [page.text for page in open_stream(f"synth:{lines}").first(3)]
    assert report.cards[0].pages == 3


def test_the_report_finds_the_pages_of_a_run_on_files_that_is_scored_on_a_stream(
    lines, tmp_path, monkeypatch
):
    monkeypatch.setattr("ocrtune.data.streams.MOST_LOOKED_AT", 9)
    tree = config(lines, tmp_path / "run", guidance=None).model_dump(mode="json")
    tree["data"] = {"uri": "builtin", "validation_uri": f"synth:{lines}"}
    tree["evaluation"]["max_pages"] = 4
    run = parse_config(tree)
    splits = split_by_document(read_pages("builtin"), run.data, run.run.seed)
    assert [page.name for page in held_out_pages(run)] == [page.name for page in spread(splits.validation, 4)]


def test_a_page_that_is_too_long_is_listed_and_another_one_stands_for_it(lines, tmp_path):
    tokenizer = Tokenizer.read(build_tiny_checkpoint(tmp_path / "tiny", seed=0))
    make = open_stream(f"synth:{lines}").page
    longest = max(len(example) for example in StreamedExamples(make, 10, RECIPE, tokenizer))
    tight = replace(RECIPE, max_tokens=longest - 1)
    with pytest.raises(SequenceTooLong):
        list(StreamedExamples(make, 10, tight, tokenizer))
    skipped = []
    examples = list(StreamedExamples(make, 10, tight, tokenizer, on_too_long=skipped.append))
    assert len(examples) == 10
    assert max(len(example) for example in examples) < longest
    assert skipped
    assert {finding.code for finding in skipped} == {SequenceTooLong.code}


def test_a_stream_of_nothing_but_long_pages_is_an_error(lines, tmp_path):
    tokenizer = Tokenizer.read(build_tiny_checkpoint(tmp_path / "tiny", seed=0))
    make = open_stream(f"synth:{lines}").page
    skipped = []
    examples = StreamedExamples(
        make, 10, replace(RECIPE, max_tokens=8), tokenizer, on_too_long=skipped.append
    )
    with pytest.raises(SequenceTooLong):
        examples[0]
    assert len(skipped) == MOST_TRIED - 1
