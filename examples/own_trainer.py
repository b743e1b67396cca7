"""Keep your own Trainer: ocrtune encodes, collates and checks; the model takes the published arguments.

Run it on a folder with a model, or without arguments on the small built-in one:

    python examples/own_trainer.py [MODEL_FOLDER] [MANIFEST]
"""

import sys
import tempfile
from pathlib import Path

from transformers import Trainer, TrainingArguments

from ocrtune.data import build_examples
from ocrtune.inputs import EncodedExamples, Tokenizer, read_recipe
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.sources import read_pages


def main(model_folder: Path, manifest: str) -> float:
    """Two steps with a plain Trainer; the training loss."""
    model = load_model(model_folder)  # fp32 weights: whatever the mixed precision, what learns is fp32
    tokenizer = Tokenizer.read(model_folder)
    recipe = read_recipe(model_folder)  # of a published folder: the family's own mode and prompt
    examples = build_examples(
        read_pages(manifest), model.family, prompt=recipe.prompt, normalization=recipe.normalization
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=2,
            max_steps=2,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
        ),
        train_dataset=EncodedExamples(examples, recipe, tokenizer),
        data_collator=lambda inputs: collate(inputs, model.family, pad_id=tokenizer.pad_id).published(),
    )
    return float(trainer.train().training_loss)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else build_tiny_checkpoint(Path(tempfile.mkdtemp()))
    loss = main(folder, sys.argv[2] if len(sys.argv) > 2 else "builtin")
    print(f"training loss {loss:.4f}")
