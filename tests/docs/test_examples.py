import importlib.util
import json
from pathlib import Path

import pytest

from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.sources import read_pages

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_somebodys_own_trainer_learns_from_our_batches_in_the_published_form(tmp_path):
    folder = build_tiny_checkpoint(tmp_path / "base")
    loss = load("own_trainer").main(folder, "builtin")
    # The small model reads lines; one that knew nothing of its 360 tokens would have a loss of ln(360), or 5.9.
    assert 0 < loss < 2


@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="no Chromium")
def test_what_was_corrected_in_the_browser_is_learned_from_and_compared(tmp_path):
    more = ("training.max_steps=1", "evaluation.every_steps=1", "evaluation.decoding.max_new_tokens=4")
    options = [word for change in more for word in ("--set", change)]
    folder = tmp_path / "loop"
    num_corrected = load("review_loop").main(folder, most=3, more=options)
    rows = [json.loads(line) for line in (folder / "corrected-1.jsonl").read_text().splitlines()]
    texts = {page.name: page.text for page in read_pages("builtin")}
    assert {Path(row["image"]).name: row["text"] for row in rows} == {
        Path(name).name: texts[name] for name in list(texts)[:3]
    }
    changes = (folder / "corrected-1.changes.jsonl").read_text().splitlines()
    assert len(changes) == num_corrected > 0
    assert json.loads((folder / "comparison" / "comparison.json").read_text())["pages"] == 3
    assert "before and after" in (folder / "report.html").read_text()


def test_every_example_is_run_by_a_test():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["own_trainer.py", "review_loop.py"]
