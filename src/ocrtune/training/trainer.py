"""A `transformers.Trainer` with few overrides, each with its reason."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainingArguments

from ocrtune.config import OptimizerSection
from ocrtune.data.mixing import Mixture
from ocrtune.inputs.collate import normalize_views
from ocrtune.inputs.kept import KNOWN_IMAGES
from ocrtune.models import OcrModel, restore_learned, supervised_loss
from ocrtune.models.audit import require_finite, require_gradients
from ocrtune.models.known_features import FeatureSource
from ocrtune.models.precision import guard_trainables
from ocrtune.training.guidance import Guidance
from ocrtune.training.optimizer import make_optimizer
from ocrtune.training.packed import PackedSampler
from ocrtune.training.packing_counts import PackingCounts
from ocrtune.training.prefetch import Indices, PrefetchedBatches
from ocrtune.training.sampler import BucketSampler
from ocrtune.training.waiting import Waiting

FUSED_DEVICES = frozenset({"cuda", "cpu"})
"""Where AdamW updates all parameters in one kernel; on a CPU too it takes a quarter of the time."""

GUIDANCE = "guidance"
"""The key of a batch under which the targets of guidance stand."""

Evaluate = Callable[[OcrModel, int], dict[str, float]]
SaveWeights = Callable[[OcrModel, Path, int, float | None], None]


@dataclass(slots=True)
class Throughput:
    """Counts since the last log, for speeds."""

    tokens: int = 0
    images: int = 0
    since: float = field(default_factory=time.monotonic)

    def count(self, inputs: Mapping[str, Any]) -> None:
        """Add a batch; padding is no token, tiles are no images."""
        mask = inputs.get("attention_mask")
        self.tokens += inputs["input_ids"].numel() if mask is None else int(mask.sum())
        images = inputs.get(KNOWN_IMAGES, inputs.get("pixel_values"))
        self.images += 0 if images is None else len(images)

    def take(self, num_processes: int) -> dict[str, float]:
        """Speeds since the last call, over all processes; counting starts anew."""
        elapsed_s = max(time.monotonic() - self.since, 1e-9)
        speeds = {
            "tokens_per_s": self.tokens * num_processes / elapsed_s,
            "images_per_s": self.images * num_processes / elapsed_s,
        }
        self.tokens = self.images = 0
        self.since = time.monotonic()
        return speeds


class SkippedUpdates(TrainerCallback):
    """Counts optimizer steps that the loss scaler skipped because of overflowing fp16 gradients.

    Args:
        accelerator: Knows whether the last step was skipped.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.count = 0

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:  # noqa: D102  # the Trainer's hook
        self.count += int(self._accelerator.optimizer_step_was_skipped)


class FreshGradients(TrainerCallback):
    """Clears the gradients of the letter heads; the Trainer clears those of its model only.

    Args:
        guidance: The heads.
    """

    def __init__(self, guidance: Guidance) -> None:
        self._guidance = guidance

    def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: D102  # the Trainer's hook
        self._guidance.zero_grad()


class OcrTrainer(Trainer):
    """The Trainer, with this family of models done right.

    Args:
        model: The tuned model.
        args: The Trainer's arguments.
        optimizer_section: Rates and decay.
        lengths: Tokens of each example of `train_dataset`; None for a stream, which has an order of its own.
        mixture: Which examples come in an epoch; each once without it.
        bucketed: Examples of like length together.
        router_loss: Weight of the router's load-balancing loss.
        evaluate_model: Scores held-out pages; called with the model and the step.
        save_weights: Writes a checkpoint; called with the model, the folder, the step and the last CER.
        guidance: Tells a model that learns from nothing what stands where; batches bring its targets.
        packed_sampler: Gives packs of examples where rows are packed; nothing of a stream.
        packing: Counts packed rows.
        pixel_dtype: That of views once they are normalised; batches may bring them in uint8.
        features: Gives batches the vision features that are kept, and keeps others; None where none are.
        **kwargs: Passed on.
    """

    optimizer: torch.optim.Optimizer | None
    control: TrainerControl
    train_dataset: Any
    data_collator: Any

    def __init__(
        self,
        *,
        model: OcrModel,
        args: TrainingArguments,
        optimizer_section: OptimizerSection,
        lengths: NDArray[np.int64] | None,
        mixture: Mixture | None,
        bucketed: bool,
        router_loss: float,
        evaluate_model: Evaluate,
        save_weights: SaveWeights,
        guidance: Guidance | None = None,
        packed_sampler: PackedSampler | None = None,
        packing: PackingCounts | None = None,
        pixel_dtype: torch.dtype = torch.float32,
        features: FeatureSource | None = None,
        **kwargs: Any,
    ) -> None:
        self._packed_sampler = packed_sampler
        self.packing = packing or PackingCounts()
        self._optimizer_section = optimizer_section
        self._lengths = lengths
        self._mixture = mixture
        self._bucketed = bucketed
        self._router_loss = router_loss
        self._evaluate_model = evaluate_model
        self._save_weights = save_weights
        self._guidance = guidance
        self._pixel_dtype = pixel_dtype
        self._prefetched: PrefetchedBatches | None = None
        self._loader: Any = None
        self.waiting = Waiting()
        self._features = features
        self._guided: dict[str, list[float]] = defaultdict(list)
        self._forwards = 0
        self._throughput = Throughput()
        self._audited = False
        self._last_cer: float | None = None
        super().__init__(model=model, args=args, **kwargs)
        # It prints dictionaries; `Screen` tells people the same.
        self.remove_callback(PrinterCallback)
        self._skipped_updates = SkippedUpdates(self.accelerator)
        self.add_callback(self._skipped_updates)
        self.add_callback(self.packing)
        self.add_callback(self.waiting)
        if guidance is not None:
            self.add_callback(FreshGradients(guidance))
        # `compute_loss` divides by the tokens of the whole optimizer step; the Trainer counts them if it is told
        # that the model takes the count, and must not divide once more.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any]:
        """Buckets are made of optimizer steps, so that accumulation changes nothing; the Trainer's are not."""
        if self._packed_sampler is not None:
            return self._packed_sampler
        if self._lengths is None:
            return SequentialSampler(train_dataset)
        step_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return BucketSampler(
            self._lengths,
            step_size,
            seed=self.args.seed,
            bucketed=self._bucketed,
            mixture=self._mixture,
        )

    def count_seen(self, mixture: Mixture) -> list[int]:
        """How many examples of each source the run has learned from so far, resumed parts included."""
        sampler = self._get_train_sampler()
        assert isinstance(sampler, BucketSampler | PackedSampler)
        return sampler.count_seen(self.state.global_step, mixture)

    @contextmanager
    def prefetching(self, threads: int, *, pinned: bool) -> Iterator[None]:
        """For the time of the context `train` has batches made ahead by threads; none of them is left behind it."""
        if not threads:
            yield
            return
        examples, collate = self.train_dataset, self.data_collator
        self._prefetched = PrefetchedBatches(
            examples, collate, threads=threads, pinned=pinned, next_pass=self._next_pass
        )
        self.train_dataset, self.data_collator = Indices(len(examples)), self._prefetched.submit
        try:
            yield
        finally:
            self._prefetched.close()
            self._prefetched = None
            self.train_dataset, self.data_collator = examples, collate

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Remembered for `_next_pass`."""
        self._loader = super().get_train_dataloader()
        return self._loader

    def _next_pass(self) -> Iterator[list[Any]]:
        """Indices of each batch of the epoch after this one, on this process; none after the last."""
        epoch = int(self.state.epoch or 0) + 1
        if epoch >= self.state.num_train_epochs or self._loader is None:
            return iter(())
        self._loader.set_epoch(epoch)
        return iter(self._loader.batch_sampler)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | int | None]:
        """Batches that threads have made, where they do; and the time that it takes until they are there is counted."""
        with self.waiting.for_batches():
            if self._prefetched is None:
                batches = list(islice(epoch_iterator, num_batches))
            else:
                batches = self._prefetched.take(epoch_iterator, num_batches, device)
        return batches, self._get_num_items_in_batch(batches, device)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Per-part rates; and the last place where an fp16 trainable parameter can be refused."""
        if self.optimizer is None:
            learning = self.model if model is None else model
            guard_trainables(learning)
            self.optimizer = make_optimizer(
                learning, self._optimizer_section, fused=self.args.device.type in FUSED_DEVICES
            )
            if self._guidance is not None:
                self.optimizer.add_param_group({"params": list(self._guidance.parameters())})
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002  # held-out loss is computed by `evaluate_model`
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Logits at supervised positions only, and Unlimited's training mask; the models' own loss has neither."""
        targets = inputs.pop(GUIDANCE, None)
        # Not before: of all forwards of a step the views lie ready, and take a quarter of the memory in uint8.
        inputs = normalize_views(inputs, self._pixel_dtype)
        if self._features is not None:
            inputs = self._features.complete(self.accelerator.unwrap_model(model), inputs)
        if self._guidance is not None:
            inputs = {**inputs, "input_ids": self._guidance.garble(inputs, self._next_forward())}
        loss = supervised_loss(
            model, inputs, num_items=num_items_in_batch, router_loss=self._router_loss
        ).loss
        if self._guidance is not None and targets is not None:
            self._guided["token_loss"].append(float(loss.detach()) * self.args.gradient_accumulation_steps)
            loss = loss + self._guided_loss(self._guidance, targets, num_images=len(inputs["pixel_values"]))
        # Gradients are averaged over processes, tokens were counted over all of them.
        return loss * self.accelerator.num_processes

    def _next_forward(self) -> int:
        """The number of this forward in the run, the same one after a resume."""
        accumulation = self.args.gradient_accumulation_steps
        within = self._forwards % accumulation
        self._forwards += 1
        return self.state.global_step * accumulation + within

    def _guided_loss(
        self, guidance: Guidance, targets: dict[str, torch.Tensor], *, num_images: int
    ) -> torch.Tensor | float:
        terms = guidance.terms(targets, num_images)
        for name, term in terms.items():
            self._guided[f"{name}_accuracy"].append(term.accuracy)
        return guidance.weigh(terms) / self.args.gradient_accumulation_steps

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Counts for speed, and a loss that is not finite stops the run; the Trainer would log it as 0.0."""
        self.packing.count(inputs)
        self._throughput.count(inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        require_finite(float(loss), step=self.state.global_step + 1)
        if not self._audited:
            self._audited = True
            require_gradients(
                self.accelerator.unwrap_model(model), normalize_views(inputs, self._pixel_dtype)
            )
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Held-out pages are decoded, not only scored by loss; the Trainer's loop cannot do that."""
        metrics = self._evaluate_model(self.accelerator.unwrap_model(self.model), self.state.global_step)
        self._last_cer = metrics["eval_cer"]
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._throughput = Throughput()
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """A best score is saved at once, whatever the saving interval: without weights it is worth nothing."""
        is_best: bool = super()._determine_best_metric(metrics, trial)
        if is_best:
            self.control.should_save = True
        return is_best

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Speeds, and updates that the loss scaler skipped, beside each loss."""
        if "loss" in logs:
            logs.update(self._throughput.take(self.accelerator.num_processes))
            logs.update(self.packing.take())
            logs["waiting_share"] = self.waiting.take_share()
            logs.update({name: sum(seen) / len(seen) for name, seen in self._guided.items() if seen})
            self._guided.clear()
            if self.accelerator.scaler is not None:
                logs["skipped_updates"] = self._skipped_updates.count
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Counts of packed rows are summed up while all processes are at the same place."""
        self.packing.gather(self.accelerator)
        super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Ocrtune's checkpoint; what the Trainer saves it cannot load back (transformers 5.23)."""
        # The Trainer calls this in every process, and leaves it to be decided here who writes.
        if not self.args.should_save:
            return
        folder = Path(self.args.output_dir if output_dir is None else output_dir)
        self._save_weights(
            self.accelerator.unwrap_model(self.model), folder, self.state.global_step, self._last_cer
        )
        if self._guidance is not None:
            self._guidance.save(folder)

    def save_last(self) -> Path:
        """Save the last step, unless it was saved already; the run can be resumed from it with more steps."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if not folder.exists():
            self._save_checkpoint(self.model, trial=None)
        return folder

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """The Trainer's loading restores 2 of 115 tensors of a full checkpoint and no adapter (transformers 5.23)."""
        learning = self.model if model is None else model
        restore_learned(self.accelerator.unwrap_model(learning), Path(resume_from_checkpoint))
        if self._guidance is not None:
            self._guidance.restore(Path(resume_from_checkpoint))
