"""Runs of the ways of training that `speed.py` compares, and a single step of one."""

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, set_seed

from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.train import Plan, make_plan, make_trainer, tune_model
from speed_features import CACHE, SPARING, features_of, settings_of, strip
from speed_given import features_file, give_features
from speed_plain import Batch, Examples, make_plain_trainer, native_batch
from speed_workloads import SEED, WORKLOADS, Regime, run_config

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a process is to measure.

    Attributes:
        folder: What `speed_workloads.prepare` filled.
        workload: A key of `WORKLOADS`.
        regime: What learns.
        variant: `plain`, `recipe`, `ours`, `given`, `cached`: the second epoch of `ours`, or a key of `SPARING`.
        used: Of `ours`: names of the features that are on; all without it.
        threads: Of torch.
        for_memory: Freed memory is given back at once, so that the peak is that of tensors; it costs time.
    """

    folder: str
    workload: str
    regime: Regime
    variant: str
    used: tuple[str, ...] | None = None
    threads: int = 2
    for_memory: bool = False


def begin(request: Request) -> None:
    """What libraries and ocrtune say goes to a file of the folder."""
    log = os.open(Path(request.folder) / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)
    torch.set_num_threads(request.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trainer and what it was made of."""

    facts: Any
    plan: Plan
    data: TrainingData
    trainer: Trainer
    collate: Callable[[list[Any]], Batch]
    batch_size: int
    packs: bool = False
    keeps: bool = False


def make_run(request: Request, pages: str | None = None) -> Run:
    """The trainer of a request, on the pages of its workload or on others."""
    facts, is_plain = WORKLOADS[request.workload], request.variant in {"plain", "recipe"}
    features = features_of(request.workload)
    used = () if is_plain else tuple(features) if request.used is None else request.used
    settings, keeps = settings_of(features, used), keeps_features(request)
    settings |= SPARING.get(request.variant, {})
    if keeps:
        folder = tempfile.mkdtemp(dir=request.folder)
        settings |= {**CACHE.on, "training.feature_cache.folder": folder}
    elif CACHE.exists:
        settings |= CACHE.off
    config = run_config(
        Path(request.folder),
        request.workload,
        request.regime,
        # Nothing is kept of pages that come once; the clock stops the run in time.
        epochs=2 if keeps else 1,
        pages=pages,
        settings=settings,
    )
    plan = make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    set_seed(SEED)
    if is_plain:
        trainer = make_plain_trainer(plan, data, request.workload, by_one=request.variant == "recipe")
    else:
        trainer = make_our_trainer(plan, data)
        strip(trainer, features, used)
    # Checkpoints are no part of a step.
    trainer.args.save_strategy = "no"
    if request.variant == "given":
        give_features(trainer, data.train, features_file(Path(request.folder), request.workload))
    return Run(
        facts=facts,
        plan=plan,
        data=data,
        trainer=trainer,
        # While threads work ahead the trainer's own gives promises of batches.
        collate=trainer.data_collator,
        batch_size=1 if request.variant == "recipe" else facts.batch_size,
        keeps=keeps,
        packs=settings.get("training.pack_tokens") is not None,
    )


def make_our_trainer(plan: Plan, data: TrainingData) -> Trainer:
    """The trainer of `ocrtune train`, with its cache of features where the package has one."""
    tuned = tune_model(plan)
    if not CACHE.exists:
        return make_trainer(plan, tuned, data)
    features = importlib.import_module("ocrtune.training.features").open_features(
        plan.config,
        run=plan.folder.path,
        model=tuned.model,
        recipe=plan.recipe,
        policy=plan.policy,
        data=data,
    )
    return make_trainer(plan, tuned, data, features)


def working_ahead(run: Run) -> AbstractContextManager[None]:
    """The threads that make batches ahead of the loop, where ocrtune has them."""
    loading = getattr(run.plan, "loading", None)
    if loading is None or not hasattr(run.trainer, "prefetching"):
        return nullcontext()
    return run.trainer.prefetching(loading.threads, pinned=loading.pinned)


def keeps_features(request: Request) -> bool:
    """Vision features are kept by ocrtune with all its features, where they do not change."""
    whole = request.variant in {"ours", "cached"} and request.used is None
    return whole and CACHE.exists and request.regime != "all"


def step_on(run: Run, examples: Examples) -> float:
    """An optimizer step at rate 0 on examples, in the forwards the run cuts them into; returns its loss.

    Weights stay as they are; the optimizer has its moments afterwards.
    """
    trainer = run.trainer
    trainer.model.train()
    num_items = torch.tensor(sum(int((example.labels[1:] != IGNORED_LABEL).sum()) for example in examples))
    loss = 0.0
    for start in range(0, len(examples), run.batch_size):
        batch = batch_of(run, examples[start : start + run.batch_size])
        part = trainer.compute_loss(trainer.model, batch, num_items_in_batch=num_items)
        part.backward()
        loss += float(part.detach())
    with rate_zero(trainer.optimizer):
        trainer.optimizer.step()
    trainer.model.zero_grad()
    return loss


def batch_of(run: Run, examples: Examples) -> Batch:
    """The batch of examples as the run collates them; in a packed run they are one row.

    A run that keeps features is not to meet these pages before it is timed, so its own collator is not asked.
    """
    if run.keeps:
        return native_batch(run.plan, examples)
    return run.collate([list(examples)] if run.packs else list(examples))


@contextmanager
def rate_zero(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """The optimizer moves nothing."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    yield
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
