"""`ocrtune predict` killed at any time loses nothing and writes nothing twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import make_tiny_model, random_page

import ocrtune

NUM_PAGES = 24


@pytest.fixture(scope="module")
def model(golden, tmp_path_factory):
    tiny = make_tiny_model(golden, tmp_path_factory.mktemp("model") / "model", "deepseek_ocr")
    card = {"format": 1, "version": "0.1.0", "inputs": tiny.recipe.as_dict()}
    card |= {"tuning": None, "base": None, "step": 0, "scores": None}
    (tiny.folder / "ocrtune.json").write_text(json.dumps(card), encoding="utf-8")
    return tiny.folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for number in range(NUM_PAGES):
        random_page("", (80 + 9 * (number % 4), 70), number).images[0].save(folder / f"{number:02d}.png")
    (folder / "05.png").write_bytes(b"no picture")
    return folder


def start(model, scans, out):
    # A batch of one page is a window of four: there are many moments to be killed at.
    options = ["--batch-size", "1", "--max-new-tokens", "6", "--format", "txt", "--on-error", "skip"]
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from ocrtune.cli import main; main()",
            "predict",
            model,
            scans,
            "-o",
            out,
            "--device",
            "cpu",
            *options,
        ],
        env={**os.environ, "PYTHONPATH": str(Path(ocrtune.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(path):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.txt")}


def test_a_run_killed_again_and_again_ends_with_the_same_files(model, scans, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert start(model, scans, whole).wait() == 0
    partial = out / "predictions.jsonl.partial" / "predictions.jsonl"
    for wanted_rows in (1, 12):
        process = start(model, scans, out)
        deadline = time.monotonic() + 100
        while process.poll() is None and time.monotonic() < deadline:
            if partial.exists() and partial.read_bytes().count(b"\n") >= wanted_rows:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.stderr.read()
        assert not (out / "predictions.jsonl").exists()
    last = start(model, scans, out)
    _, told = last.communicate()
    assert last.returncode == 0, told
    assert f" of {NUM_PAGES}" in told.split("going on after page", 1)[1]
    assert rows_of(out / "predictions.jsonl") == rows_of(whole / "predictions.jsonl")
    assert [row["image"] for row in rows_of(out / "predictions.skipped.jsonl")] == ["05.png"]
    assert files_of(out) == files_of(whole)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert len(rows_of(out / "predictions.jsonl")) == NUM_PAGES - 1
