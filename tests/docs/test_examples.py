import importlib.util
from pathlib import Path

from ocrtune.models.tiny import build_tiny_checkpoint

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


def test_every_example_is_run_by_a_test():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["own_trainer.py"]
