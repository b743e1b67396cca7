"""One way of training, measured in a process of its own; `speed.py` runs and compares them.

`plain` is transformers' own class in its Trainer with its defaults. `recipe` is what most public scripts do: vision image
by image, experts one after another, one page in a forward. `ours` is `ocrtune.training` as `ocrtune train` runs it,
`ours without …` lacks features (see `speed_features.py`), `given` has the vision features handed over from a file, which is
what no cache can beat.
"""

import ctypes
import importlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrConfig
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import UnlimitedOcrForConditionalGeneration

from ocrtune.inputs.collate import collate
from ocrtune.inputs.kept import KNOWN_IMAGES
from ocrtune.models.loss import supervised_loss
from ocrtune.models.tuning import apply_tuning
from ocrtune.records import ModelInputs
from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.train import Plan, make_plan, make_trainer, tune_model
from speed_features import CACHE, features_of, set_experts, settings_of, strip, with_pixels
from speed_workloads import SEED, WORKLOADS, Regime, growth_points, run_config

IGNORED_LABEL = -100
MATMUL_SIDE = 2048
MATMUL_REPEATS = 5
DECODER_REPEATS = 2
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SMALL_BLOCK_BYTES = 65536
MOST_PLAIN_POSITIONS = 1700
"""Of a batch with logits everywhere: more would need more than 6 GB."""

Batch = dict[str, Any]
Examples = Sequence[ModelInputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a process is to measure.

    Attributes:
        folder: What `speed_workloads.prepare` filled.
        workload: A key of `WORKLOADS`.
        regime: What learns.
        variant: `plain`, `recipe`, `ours`, `given`, or `cached`: the second epoch of `ours`.
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
    facts = WORKLOADS[request.workload]
    features = features_of(request.workload)
    used = tuple(features) if request.used is None else request.used
    settings, keeps = settings_of(features, used), keeps_features(request)
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
    if request.variant in {"plain", "recipe"}:
        trainer = make_plain_trainer(plan, data, request)
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


def make_plain_trainer(plan: Plan, data: TrainingData, request: Request) -> Trainer:
    """The class of transformers itself with the same weights, in its Trainer with its defaults."""
    facts, by_one = WORKLOADS[request.workload], request.variant == "recipe"
    model = load_plain(plan.base, experts="eager" if by_one else None)
    apply_tuning(model, plan.config.tuning, plan.policy, seed=SEED)
    arguments = TrainingArguments(
        output_dir=str(plan.folder.path / "plain"),
        num_train_epochs=1,
        per_device_train_batch_size=1 if by_one else facts.batch_size,
        gradient_accumulation_steps=facts.step_size if by_one else facts.accumulation,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        log_level="error",
    )
    trainer_class = ImageByImage if by_one else Trainer
    collator = partial(native_batch, plan)
    return trainer_class(model=model, args=arguments, train_dataset=data.train, data_collator=collator)


def load_plain(base: Path, experts: str | None = None) -> nn.Module:
    """The class of transformers with the weights of a folder in published layout; experts its default way without a name."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    native = UnlimitedOcrConfig(
        text_config=config["text_config"],
        vision_config=config["vision_config"],
        image_token_id=config["image_token_id"],
    )
    chosen = {} if experts is None else {"experts_implementation": experts}
    model: nn.Module = UnlimitedOcrForConditionalGeneration.from_pretrained(
        base, config=native, dtype=torch.float32, **chosen
    )
    return model


class ImageByImage(Trainer):  # type: ignore[misc]  # transformers is untyped to mypy
    """transformers' Trainer, with vision as the published code does it."""

    def compute_loss(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """The model's own loss, of features made image by image."""
        return super().compute_loss(model, with_features(model, inputs), *args, **kwargs)


def with_features(model: Any, inputs: Batch) -> Batch:
    """The batch with vision features in place of pixels, made image by image."""
    inputs = with_pixels(inputs)
    tiles = split_tiles(inputs["pixel_values_local"], inputs["num_local_patches"])
    features = [
        model.get_image_features(
            global_view[None], cut, None if cut is None else [len(cut)], None if cut is None else [grid]
        ).pooler_output[0]
        for global_view, cut, grid in zip(inputs["pixel_values"], tiles, inputs["patches_grid"], strict=True)
    ]
    return replace_pixels(inputs, features)


def replace_pixels(inputs: Batch, features: Sequence[Tensor]) -> Batch:
    """The batch with features of each image in place of what says what the images are."""
    pixel_keys = {"pixel_values", "pixel_values_local", "num_local_patches", "patches_grid"}
    return {
        **{key: value for key, value in inputs.items() if key not in pixel_keys},
        "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=list(features))},
    }


def split_tiles(tiles: Tensor | None, counts: list[int]) -> list[Tensor | None]:
    """The tiles of each image."""
    if tiles is None:
        return [None] * len(counts)
    return [cut if len(cut) else None for cut in torch.split(tiles, counts)]


def native_batch(plan: Plan, inputs: Examples) -> Batch:
    """A padded batch in the native form, its pixels ready for any class, and nothing in it that is looked up or kept."""
    batch = collate(inputs, plan.family, pad_id=plan.tokenizer.pad_id).native()
    batch.pop(KNOWN_IMAGES, None)
    return with_pixels(batch)


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


def features_file(folder: Path, workload: str) -> Path:
    """Where the vision features of a workload's pages lie."""
    return folder / f"{workload}.features.safetensors"


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


def decoder_seconds(run: Run, examples: Examples) -> float:
    """Forward and backward of a batch with features given, without the optimizer: the fastest of a few."""
    batch = batch_of(run, examples)
    times = []
    for _ in range(DECODER_REPEATS):
        began_s = time.perf_counter()
        run.trainer.compute_loss(run.trainer.model, dict(batch)).backward()
        times.append(time.perf_counter() - began_s)
    return min(times)


def count_work(request: Request) -> dict[str, float]:
    """FLOPs of one optimizer step that cannot be avoided, per part: the least that computes this loss.

    Of each example alone, so that padding counts nothing; logits where something is learned; the experts a token goes
    through; causal attention as half of full; backward only to what learns and what lies between.
    """
    begin(request)
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
    return per_step | {"decoder_first_batch": totals["decoder_first_batch"]}


def count_flops(work: Callable[[], None]) -> int:
    """FLOPs of products, convolutions and attention that `work` computes."""
    aten = torch.ops.aten
    formulas = {
        aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,  # noqa: SLF001  # names of torch's operators
        aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward_flops,  # noqa: SLF001
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        work()
    return int(counter.get_total_flops())


def attention_flops(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    dropout: float = 0.0,  # noqa: ARG001  # torch's operator has it
    is_causal: bool = False,
    **_: Any,
) -> int:
    """Two products of (B, heads, L, D), half of them where attention is causal."""
    batch, heads, length, width = query
    pairs = length * key[2] // (2 if is_causal else 1)
    return 2 * batch * heads * pairs * (width + value[3])


def attention_backward_flops(_: Sequence[int], *forward: Any, **__: Any) -> int:
    """Twice the forward; what a kernel computes once more is no work.

    Args:
        forward: After the gradient: query, key, value, output, logsumexp, dropout, whether it is causal.
    """
    query, key, value, _out, _sums, *rest = forward
    return 2 * attention_flops(query, key, value, *rest[:2])


def matmul_rate() -> float:
    """FLOP/s of a large fp32 product with the threads of the run, the fastest of a few."""
    first, second = torch.rand(2, MATMUL_SIDE, MATMUL_SIDE)
    times = []
    for _ in range(MATMUL_REPEATS):
        began_s = time.perf_counter()
        torch.mm(first, second)
        times.append(time.perf_counter() - began_s)
    return 2 * MATMUL_SIDE**3 / min(times)


def grow(request: Request) -> dict[str, dict[int, float | None]]:
    """Seconds of a step, once each: over tiles, answers and pages in a batch; None where memory would not do."""
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
    of_one_batch = Run(**{**run_parts(run), "batch_size": len(examples)})
    began_s = time.perf_counter()
    step_on(of_one_batch, examples)
    return time.perf_counter() - began_s


def run_parts(run: Run) -> Mapping[str, Any]:
    """The fields of a run by name."""
    return {name: getattr(run, name) for name in Run.__slots__}


def give_memory_back() -> None:
    """Otherwise glibc keeps what a program frees, and the peak of the process is not that of its tensors."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, SMALL_BLOCK_BYTES)


def peak_mib() -> float:
    """Most memory of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kibibytes, on a Mac bytes.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
