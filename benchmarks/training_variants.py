"""One way of training a small model over epochs of pages, measured in a process of its own.

`python benchmarks/training_variants.py prepare FOLDER` writes model and pages into a folder;
`python benchmarks/training_variants.py NAME FOLDER EPOCHS` trains as the variant called NAME does. Before each step
it prints a line `ready` and waits for a line on its input, so that several processes can take turns. Either prints
one JSON object as its last line. `training_step.py` runs and compares them.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch import nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from ocrtune.config import Config, parse_config
from ocrtune.inputs.collate import collate
from ocrtune.models.tiny import TinyShape, tiny_config, tiny_tensors, train_tiny_tokenizer
from ocrtune.records import ModelInputs
from ocrtune.sources import open_image, read_pages, write_jsonl
from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.sampler import BucketSampler
from ocrtune.training.train import Plan, make_plan, make_trainer, tune_model
from speed_variants import load_plain, with_features

SHAPE = TinyShape(
    view_px=256,
    sam_width=152,
    sam_layers=4,
    sam_window=8,
    neck_width=48,
    middle_width=104,
    encoder_width=208,
    encoder_layers=8,
    decoder_width=256,
    decoder_layers=4,
    dense_width=1368,
    expert_width=176,
    experts=64,
    experts_per_token=6,
    shared_experts=2,
)
"""DeepSeek-OCR at a fifth of its widths and a third of its layers."""

VOCABULARY_SIZE = 8576
"""The head then has the share of the parameters a token goes through that it has in DeepSeek-OCR: 29 %."""

MODE = {"global_px": 256, "tile_px": 128, "max_tiles": 9}
NUM_PAGES = 40
BATCH_SIZE = 8
LINES_ON_A_PAGE = range(1, 7)
SEED = 0

Collator = Callable[[list[ModelInputs]], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to train, in the parts in which the ways differ.

    Attributes:
        title: For tables.
        ocrtune: `ocrtune.training` itself; otherwise transformers' own class and Trainer, with what follows.
        vision: One forward of the vision encoder for each image, or one for all views of a size.
        logits: At every position, or only where something is learned.
        experts: One after another, or all of a layer in one grouped product.
        order: Pages at random, or with those of like length together.
    """

    title: str
    ocrtune: bool = False
    vision: Literal["image by image", "batched"] = "image by image"
    logits: Literal["everywhere", "supervised"] = "everywhere"
    experts: Literal["one by one", "grouped"] = "one by one"
    order: Literal["random", "by length"] = "random"


EXPERTS = {"one by one": "eager", "grouped": "grouped_mm"}
"""What transformers calls them."""

VARIANTS = {
    "plain": Variant(title="plain native path"),
    "defaults": Variant(title="transformers' defaults", vision="batched", experts="grouped"),
    "ocrtune": Variant(
        title="ocrtune",
        ocrtune=True,
        vision="batched",
        logits="supervised",
        experts="grouped",
        order="by length",
    ),
    "experts": Variant(title="plain, experts alone changed", experts="grouped"),
    "vision": Variant(title="plain, vision alone changed", vision="batched"),
    "logits": Variant(title="plain, logits alone changed", logits="supervised"),
    "order": Variant(title="plain, order alone changed", order="by length"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The epochs of one variant.

    Attributes:
        cpu_s: Processor time of each epoch; reading and encoding of pages included, loading and saving not.
        positions: Positions computed in all of them, padding included.
        peak_mib: Most memory of the process up to the end of the last epoch.
        loaded_mib: Most memory up to the first step.
        first_loss: Loss of the first eight pages before anything was learned.
        first_gradient_norm: Norm of its gradient over all parameters.
    """

    cpu_s: list[float]
    positions: int
    peak_mib: float
    loaded_mib: float
    first_loss: float
    first_gradient_norm: float


def main(what: str, folder: Path, *epochs: str) -> None:
    torch.set_num_threads(1)
    result = prepare(folder) if what == "prepare" else measured(VARIANTS[what], folder, int(epochs[0]))
    print(json.dumps(result))


def prepare(folder: Path) -> dict[str, Any]:
    """Write the model to `model` and the pages to `pages`, and tell what they are."""
    parameters = write_model(folder / "model")
    write_pages(folder / "pages")
    config = run_config(folder)
    plan = make_plan(config)
    rows = list(prepare_data(config, plan.recipe, plan.tokenizer).train)
    return {
        "model": {
            "family": plan.family.name,
            "shape": asdict(SHAPE),
            "vocabulary": VOCABULARY_SIZE,
            "parameters": parameters,
        },
        "pages": {
            "number": len(rows),
            "lines_on_a_page": [LINES_ON_A_PAGE.start, LINES_ON_A_PAGE.stop - 1],
            "mode": MODE,
            "tiles": sum(len(row.views[0].tiles) for row in rows),
            "tokens": sum(len(row.input_ids) for row in rows),
            "shortest_tokens": min(len(row.input_ids) for row in rows),
            "longest_tokens": max(len(row.input_ids) for row in rows),
            "image_tokens": sum(int(row.image_mask.sum()) for row in rows),
            "supervised_tokens": sum(int((row.labels != -100).sum()) for row in rows),
        },
        "batch_size": BATCH_SIZE,
        "precision": plan.policy.base_dtype,
        "tuning": config.tuning.method,
    }


def write_model(folder: Path) -> int:
    """A model from a seed, in published layout; returns how many parameters it has."""
    folder.mkdir(parents=True)
    tokenizer = train_tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = tiny_config(tokenizer, SHAPE)
    # As in the published models, the embedding has more rows than the tokenizer has tokens.
    config["text_config"]["vocab_size"] = VOCABULARY_SIZE
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = tiny_tensors(VOCABULARY_SIZE, SHAPE, seed=SEED)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(tensor.size for tensor in tensors.values())


def write_pages(folder: Path) -> None:
    """Pages of one to six consecutive lines of the sample book, so that tiles and lengths vary."""
    (folder / "images").mkdir(parents=True)
    lines = read_pages("builtin")
    draw = np.random.default_rng(SEED)
    rows = []
    for number in range(NUM_PAGES):
        count = int(draw.integers(LINES_ON_A_PAGE.start, LINES_ON_A_PAGE.stop))
        first = int(draw.integers(0, len(lines) - count))
        chosen = lines[first : first + count]
        name = f"images/{number:02d}.png"
        stack([open_image(line.images[0]) for line in chosen]).save(folder / name)
        rows.append({"image": name, "text": "\n".join(line.text or "" for line in chosen)})
    write_jsonl(folder / "manifest.jsonl", rows)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures one under another on white."""
    size = (max(picture.width for picture in pictures), sum(picture.height for picture in pictures))
    page, top = Image.new("RGB", size, "white"), 0
    for picture in pictures:
        page.paste(picture, (0, top))
        top += picture.height
    return page


def run_config(folder: Path, *, epochs: int = 1) -> Config:
    """Epochs over the pages: full fine-tuning on a CPU, without held-out pages or checkpoints."""
    return parse_config(
        {
            "model": str(folder / "model"),
            "run": {"folder": str(folder / "run"), "resume": True, "seed": SEED},
            "data": {"uri": str(folder / "pages" / "manifest.jsonl"), "validation_fraction": 0},
            "inputs": {"mode": MODE},
            "tuning": {"method": "full", "parts": ["decoder", "projector", "vision"]},
            "training": {
                "epochs": epochs,
                "batch_size": BATCH_SIZE,
                "device": "cpu",
                "save_every_steps": 1_000_000,
            },
        }
    )


def measured(variant: Variant, folder: Path, epochs: int) -> dict[str, Any]:
    """The variant and its measurement in one dictionary."""
    config = run_config(folder, epochs=epochs)
    plan = make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    set_seed(SEED)
    if variant.ocrtune:
        trainer: Trainer = make_trainer(plan, tune_model(plan), data)
    else:
        trainer = make_plain_trainer(variant, plan, data)
    return {**asdict(variant), **asdict(measure(trainer, batch_of(plan, data.train[:BATCH_SIZE])))}


def measure(trainer: Trainer, first_batch: dict[str, Any]) -> Measurement:
    """Train; one forward and backward of `first_batch` before it is not counted."""
    loaded_mib = peak_mib()
    first_loss = warm_up(trainer, first_batch)
    first_gradient_norm = take_gradient_norm(trainer.model)
    clock, positions = Clock(), CountedPositions(trainer.data_collator)
    trainer.add_callback(clock)
    trainer.data_collator = positions
    trainer.train()
    return Measurement(
        cpu_s=clock.cpu_s,
        positions=positions.total,
        peak_mib=clock.peak_mib,
        loaded_mib=loaded_mib,
        first_loss=first_loss,
        first_gradient_norm=first_gradient_norm,
    )


class CountedPositions:
    """A collator that counts the positions of the batches it makes, padding included."""

    def __init__(self, collator: Collator) -> None:
        self.total = 0
        self._collator = collator

    def __call__(self, inputs: list[ModelInputs]) -> dict[str, Any]:
        """The collator's batch."""
        batch = self._collator(inputs)
        self.total += batch["input_ids"].numel()
        return batch


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped to mypy
    """Times each epoch up to the end of its last step, and waits for its turn before each step.

    At the end of a step the Trainer tells so before it saves anything.
    """

    def __init__(self) -> None:
        self.cpu_s: list[float] = []
        self.peak_mib = 0.0
        self._epoch_began_s = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """The first batch is read after this."""
        self._epoch_began_s = time.process_time()
        self.cpu_s.append(0.0)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Waiting takes no processor time."""
        print("ready", flush=True)
        sys.stdin.readline()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The last step of an epoch is the last to be written."""
        self.cpu_s[-1] = time.process_time() - self._epoch_began_s
        self.peak_mib = peak_mib()


class PlainTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped to mypy
    """transformers' Trainer as it is, but for what the variant says.

    Args:
        variant: What differs from the Trainer's own way.
        lengths: Tokens of each example.
        **kwargs: Passed on.
    """

    def __init__(self, variant: Variant, lengths: list[int], **kwargs: Any) -> None:
        self._variant = variant
        self._lengths = lengths
        super().__init__(**kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if self._variant.order == "by length":
            return BucketSampler(self._lengths, BATCH_SIZE, seed=SEED)
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        return sampler

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The model's own loss, of a batch arranged as the variant says."""
        if self._variant.vision == "image by image":
            inputs = with_features(model, inputs)
        if self._variant.logits == "supervised":
            inputs = with_targets(inputs)
        return super().compute_loss(model, inputs, *args, **kwargs)


def with_targets(inputs: dict[str, Any]) -> dict[str, Any]:
    """The batch with what makes transformers' classes compute logits only where something is learned."""
    targets = nn.functional.pad(inputs["labels"][:, 1:], (0, 1), value=-100)
    keep = targets != -100
    return {**inputs, "logits_to_keep": keep, "shift_labels": targets[keep]}


def make_plain_trainer(variant: Variant, plan: Plan, data: TrainingData) -> PlainTrainer:
    """The class of transformers itself with the same weights, in its Trainer with its defaults."""
    arguments = TrainingArguments(
        output_dir=str(plan.folder.path / "plain"),
        num_train_epochs=plan.config.training.epochs,
        per_device_train_batch_size=BATCH_SIZE,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    return PlainTrainer(
        variant,
        data.train.lengths(),
        model=load_plain(plan.base, EXPERTS[variant.experts]),
        args=arguments,
        train_dataset=data.train,
        data_collator=lambda inputs: batch_of(plan, inputs),
    )


def batch_of(plan: Plan, inputs: Sequence[ModelInputs]) -> dict[str, Any]:
    return collate(inputs, plan.family, pad_id=plan.tokenizer.pad_id).native()


def warm_up(trainer: Trainer, batch: dict[str, Any]) -> float:
    """The loss of a batch in training mode; its gradients are left in the model."""
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return float(loss.detach())


def take_gradient_norm(model: nn.Module) -> float:
    """The norm of all gradients, which are then dropped."""
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad(set_to_none=True)
    return float(torch.stack(norms).norm())


def peak_mib() -> float:
    """Most memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, Linux in KiB.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
