"""One way of training, measured in a process of its own; `speed.py` runs and compares them.

`plain` is transformers' own class in its Trainer with its defaults. `recipe` is what most public scripts do: vision image
by image, experts one after another, one page in a forward. `ours` is `ocrtune.training` as `ocrtune train` runs it,
`ours without …` lacks features (see `speed_features.py`), `given` has the vision features handed over from a file, which is
what no cache can beat.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from flops import count_flops, fastest, matmul_rate
from ocrtune.models.loss import supervised_loss
from peak_memory import give_memory_back, peak_mib
from speed_features import set_experts
from speed_given import features_file
from speed_plain import Examples, native_batch, with_features
from speed_runs import IGNORED_LABEL, Request, Run, batch_of, begin, make_run, step_on, working_ahead
from speed_workloads import growth_points

DECODER_REPEATS = 2
GRADIENT_AND_MOMENTS = 3
GROWTH_REPEATS = 2
MOST_PLAIN_POSITIONS = 1700
"""Of a batch with logits everywhere: more would need more than 6 GB."""


@dataclass(slots=True)
class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped to mypy
    """Warms up before the first step, times each epoch, and stops after so many of them."""

    warm_up: Callable[[], None]
    num_epochs: int
    epochs: list[float] = field(default_factory=list)
    began_s: float = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Model and optimizer are there by now."""
        self.warm_up()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """The first batch is read after this."""
        self.began_s = time.perf_counter()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002  # the Trainer's hook
        """Of all callbacks the last: what ocrtune does at the end of an epoch is in it."""
        self.epochs.append(time.perf_counter() - self.began_s)
        control.should_training_stop = len(self.epochs) == self.num_epochs


def measure(request: Request) -> dict[str, Any]:
    """Train as the request says: seconds a step, loss of the first examples, peak memory, rate of a matmul."""
    begin(request)
    if request.for_memory:
        give_memory_back()
    run = make_run(request)
    first_loss: list[float] = []
    examples = run.data.train[: run.facts.step_size]
    num_epochs = 2 if request.variant == "cached" else 1
    clock = Clock(lambda: first_loss.append(step_on(run, examples)), num_epochs)
    run.trainer.add_callback(clock)
    with working_ahead(run):
        run.trainer.train()
    result = {
        "s_per_step": clock.epochs[-1] * run.facts.step_size / len(run.data.train),
        "first_loss": first_loss[0],
        "peak_mib": peak_mib(),
        "matmul_flops_per_s": matmul_rate(),
    }
    if request.variant == "given" and not request.for_memory:
        result["decoder_s"] = decoder_seconds(run, examples[: run.facts.batch_size])
    return result


def write_features(request: Request) -> None:
    """The vision features of all pages of a workload, for `given`."""
    begin(request)
    run = make_run(request)
    features = {}
    with torch.no_grad():
        for number, example in enumerate(run.data.train):
            batch = with_features(run.trainer.model, native_batch(run.plan, [example]))
            features[str(number)] = batch["mm_encoder_outputs"]["image"].pooler_output[0].contiguous()
    save_file(features, features_file(Path(request.folder), request.workload))


def decoder_seconds(run: Run, examples: Examples) -> float:
    """Forward and backward of a batch with features given, without the optimizer: the fastest of a few."""
    batch = batch_of(run, examples)
    model = run.trainer.model
    return fastest(lambda: run.trainer.compute_loss(model, dict(batch)).backward(), DECODER_REPEATS)


def count_work(request: Request) -> dict[str, float]:
    """FLOPs of one optimizer step that cannot be avoided, per part, and memory: the least that computes this loss.

    Of each example alone, so that padding counts nothing; logits where something is learned; the experts a token goes
    through; causal attention as half of full; backward only to what learns and what lies between.
    """
    begin(request)
    process_mib = peak_mib()
    run = make_run(request)
    model = run.trainer.model.train()
    # Only products that torch itself computes are counted.
    set_experts(model, "eager")
    steps = len(run.data.train) / run.facts.step_size
    totals = {"all": 0, "vision": 0, "decoder": 0, "decoder_first_batch": 0, "targets": 0}
    for number, example in enumerate(run.data.train):
        batch = native_batch(run.plan, [example])
        whole = count_flops(lambda batch=batch: supervised_loss(model, batch).loss.backward())
        with torch.no_grad():
            given = with_features(model, batch)
        decoder = count_flops(lambda given=given: supervised_loss(model, given).loss.backward())
        totals["all"] += whole
        totals["decoder"] += decoder
        totals["vision"] += whole - decoder
        totals["targets"] += int((batch["labels"][:, 1:] != IGNORED_LABEL).sum())
        if number < run.facts.batch_size:
            totals["decoder_first_batch"] += decoder
    per_step = {key: value / steps for key, value in totals.items()}
    held_mib = process_mib + adamw_mib(model)
    return per_step | {"decoder_first_batch": totals["decoder_first_batch"], "held_mib": held_mib}


def adamw_mib(model: torch.nn.Module) -> float:
    """What every way to train in fp32 holds at the end of a backward pass: weights, gradients and two moments."""
    sizes = [
        parameter.nbytes * (1 + GRADIENT_AND_MOMENTS * parameter.requires_grad)
        for parameter in model.parameters()
    ]
    return sum(sizes) / 2**20


def grow(request: Request) -> dict[str, dict[int, float | None]]:
    """Seconds of a step, the fastest of a few: over tiles, answers and pages in a batch; None where memory would not do."""
    begin(request)
    run = make_run(request, pages="growth")
    run.trainer.create_optimizer()
    step_on(run, run.data.train[:1])
    times: dict[str, dict[int, float | None]] = {}
    for curve, points in growth_points().items():
        times[curve] = {}
        for value, places in points.items():
            examples = [run.data.train[place] for place in places]
            times[curve][value] = time_batch(run, examples, plain=request.variant == "plain")
    return times


def time_batch(run: Run, examples: Examples, *, plain: bool) -> float | None:
    """Seconds of an optimizer step on one batch, collating included; None where it would need too much memory."""
    positions = len(examples) * max(len(example) for example in examples)
    if plain and positions > MOST_PLAIN_POSITIONS:
        return None
    of_one_batch = replace(run, batch_size=len(examples))
    return fastest(lambda: step_on(of_one_batch, examples), GROWTH_REPEATS)
