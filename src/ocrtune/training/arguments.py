"""The recipe in the Trainer's terms."""

import math
from pathlib import Path

from transformers import TrainingArguments

from ocrtune.config import Config
from ocrtune.models.precision import DeviceFacts, PrecisionPolicy


def training_arguments(
    config: Config,
    *,
    checkpoints: Path,
    device: DeviceFacts,
    policy: PrecisionPolicy,
    num_examples: int,
    num_devices: int = 1,
    evaluates: bool,
    max_steps: int | None = None,
    epoch_steps: int | None = None,
    loader_processes: int = 0,
) -> TrainingArguments:
    """What the Trainer is told; whatever ocrtune does itself is switched off.

    Args:
        config: The recipe.
        checkpoints: Folder for checkpoints.
        device: Where the run is.
        policy: Decides autocast and scaler.
        num_examples: Examples learned from in an epoch.
        num_devices: Processes of the run.
        evaluates: Whether pages are held out.
        max_steps: Steps of a run on a stream; without it as the recipe says.
        epoch_steps: Steps of a pass over a stream, at whose end pages are evaluated where the recipe names no steps.
        loader_processes: Processes that make batches.
    """
    training, optimizer = config.training, config.optimizer
    every_steps = config.evaluation.every_steps or epoch_steps
    save_steps = training.save_every_steps or every_steps
    evaluation_strategy = "no" if not evaluates else "steps" if every_steps else "epoch"
    save_strategy = "steps" if save_steps else "epoch"
    steps = max_steps or optimizer_steps(config, num_examples, num_devices=num_devices)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=config.run.seed,
        data_seed=config.run.seed,
        num_train_epochs=training.epochs,
        max_steps=max_steps or training.max_steps or -1,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation_steps,
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type=optimizer.schedule,
        warmup_steps=round(optimizer.warmup_fraction * steps),
        max_grad_norm=optimizer.max_grad_norm,
        bf16=policy.autocast_dtype == "bfloat16",
        fp16=policy.scaler,
        use_cpu=device.kind == "cpu",
        dataloader_num_workers=loader_processes,
        dataloader_persistent_workers=loader_processes > 0,
        dataloader_pin_memory=device.kind == "cuda",
        accelerator_config={"non_blocking": device.kind == "cuda"},
        eval_strategy=evaluation_strategy,
        eval_steps=every_steps,
        save_strategy=save_strategy,
        save_steps=save_steps or 500,
        save_total_limit=training.keep_checkpoints,
        metric_for_best_model="cer" if evaluates else None,
        greater_is_better=False if evaluates else None,
        load_best_model_at_end=False,
        logging_steps=training.log_every_steps,
        logging_first_step=True,
        # Its filter logs NaN as the average of earlier losses, 0.0 if there are none.
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        average_tokens_across_devices=True,
        log_level="error",
    )
    # On a machine with several cards a single process would take all of them by torch's DataParallel, which cuts a batch
    # of tiles where no example ends.
    arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001
    return arguments


def optimizer_steps(config: Config, num_examples: int, *, num_devices: int = 1) -> int:
    """Optimizer steps of the whole run."""
    training = config.training
    if training.max_steps:
        return training.max_steps
    forwards = math.ceil(num_examples / (training.batch_size * num_devices))
    return math.ceil(training.epochs * math.ceil(forwards / training.accumulation_steps))
