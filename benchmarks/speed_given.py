"""Training of `speed.py` with vision features handed over from a file, which is what no cache can beat."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from transformers import Trainer

from ocrtune.records import ModelInputs
from speed_plain import Batch, Examples, replace_pixels


def features_file(folder: Path, workload: str) -> Path:
    """Where the vision features of a workload's pages lie."""
    return folder / f"{workload}.features.safetensors"


def give_features(trainer: Trainer, examples: Examples, file: Path) -> None:
    """Hand features over from the file in place of making them; nothing else of the trainer changes."""
    stored = load_file(file)
    # The views of an example are the same array whenever it is encoded.
    place_of = {key_of(example): str(number) for number, example in enumerate(examples)}
    collator = trainer.data_collator

    def collate_given(inputs: list[Any]) -> Batch:
        members = [example for row in inputs for example in (row if isinstance(row, list) else [row])]
        return replace_pixels(collator(inputs), [stored[place_of[key_of(example)]] for example in members])

    trainer.data_collator = collate_given


def key_of(example: ModelInputs) -> bytes:
    """The same for the same page."""
    return example.views[0].global_view.tobytes()
