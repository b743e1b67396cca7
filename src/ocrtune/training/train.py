"""`train(config)`: the whole run, step by step."""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed

from ocrtune.config import Config
from ocrtune.data.mixed_stream import mixture_rows
from ocrtune.data.mixing import name_sources
from ocrtune.data.streams import is_streamed
from ocrtune.errors import ConfigError, OcrtuneError, mend_loader_error
from ocrtune.families import Family
from ocrtune.inputs.collate import collate
from ocrtune.inputs.recipe import InputsRecipe
from ocrtune.inputs.streamed import StreamedExamples
from ocrtune.inputs.tokenizer import Tokenizer
from ocrtune.models import (
    CheckpointCard,
    OcrModel,
    load_model,
    locate_model,
    read_card,
    read_family,
    save_checkpoint,
)
from ocrtune.models.builtin import BUILTIN, BUILTIN_RANDOM
from ocrtune.models.compiling import compile_layers, require_compiler
from ocrtune.models.precision import (
    DeviceFacts,
    PrecisionPolicy,
    choose_precision,
    detect_device,
    with_moments,
)
from ocrtune.models.segments import attend_by_segments
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.models.tuning import (
    TunedModel,
    apply_tuning,
    prepare_checkpointing,
    print_table,
    quantization_config,
)
from ocrtune.progress import say
from ocrtune.records import ModelInputs
from ocrtune.sources.images import keep_pages
from ocrtune.training.arguments import training_arguments
from ocrtune.training.data import TrainingData, count_reasons, prepare_data
from ocrtune.training.features import FeatureKeeper, RunFeatures, open_features
from ocrtune.training.folder import RunFolder, check_materials, forget_metrics_after, open_run, step_of
from ocrtune.training.guidance import Guidance, check_guidable, guidance_targets
from ocrtune.training.heldout import HeldOutPages
from ocrtune.training.logs import RunLog, Screen
from ocrtune.training.packed import collate_packs, pack_data
from ocrtune.training.packing_counts import PackingCounts
from ocrtune.training.prefetch import Loading, choose_loading
from ocrtune.training.processes import ending_on_sigterm, join_processes
from ocrtune.training.result import TrainingResult
from ocrtune.training.trainer import GUIDANCE, OcrTrainer
from ocrtune.training.versions import read_versions
from ocrtune.training.waiting import waiting_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was decided before the first step.

    Attributes:
        config: The recipe.
        folder: The run folder.
        base: Folder of the base model.
        family: Of the base model.
        tokenizer: Of the base model.
        recipe: How pages become inputs.
        device: Where the run is.
        policy: Dtypes, and why.
        loading: Who makes batches, and why.
    """

    config: Config
    folder: RunFolder
    base: Path
    family: Family
    tokenizer: Tokenizer
    recipe: InputsRecipe
    device: DeviceFacts
    policy: PrecisionPolicy
    loading: Loading


def train(config: Config) -> TrainingResult:
    """Fine-tune a model as `config` says, and leave the run in its folder.

    Raises:
        OcrtuneError: Whatever is wrong with recipe, pages, model, precision or gradients; before the first
            step wherever it can be known by then.
    """
    started = time.monotonic()
    plan = make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    findings = [*data.findings, *check_materials(plan.folder, data.materials)]
    plan.folder.write_json("findings.json", [finding.as_dict() for finding in findings])
    plan.folder.start_skipped(data.skipped, goes_on=config.run.resume and data.steps is not None)
    plan.folder.write_json("precision.json", plan.policy.as_dict())
    plan.folder.write_json("versions.json", read_versions())
    _say_mixture(data)
    set_seed(config.run.seed)
    tuned = tune_model(plan)
    features = open_features(
        config, run=plan.folder.path, model=tuned.model, recipe=plan.recipe, policy=plan.policy, data=data
    )
    trainer = make_trainer(plan, tuned, data, features)
    run_trainer(trainer, plan.folder, plan.loading, resume=config.run.resume)
    return write_summary(trainer, plan, data, features, elapsed_s=time.monotonic() - started)


def _say_mixture(data: TrainingData) -> None:
    if data.mixture is None or data.mixture.is_plain:
        return
    for share in data.mixture.shares:
        say(f"{share.name}: {share.num_examples} examples an epoch of {share.num_pages} pages")


def make_plan(config: Config) -> Plan:
    """Find the base model, and decide family, inputs and precision."""
    device = detect_device(config.training.device)
    processes = join_processes(device)
    folder = open_run(config, writes=processes.is_main_process)
    return make_plan_in(folder, config, device, processes)


def make_plan_in(folder: RunFolder, config: Config, device: DeviceFacts, processes: PartialState) -> Plan:
    """The plan of a run whose folder is there."""
    with processes.main_process_first():
        base = find_base(config, folder)
    family = read_family(base, config.family)
    policy = choose_precision(config.training.precision, device, config.tuning.method)
    policy = with_moments(policy, config.optimizer.moments)
    say(f"{family.title} on {device.name}: {policy.reason}")
    card = read_card(base)
    return Plan(
        config=config,
        folder=folder,
        base=base,
        family=family,
        tokenizer=Tokenizer.read(base),
        recipe=InputsRecipe.from_config(config, family, base=None if card is None else card.inputs),
        device=device,
        policy=policy,
        loading=choose_loading(config.training.workers, device, streamed=is_streamed(config.data)),
    )


def find_base(config: Config, folder: RunFolder) -> Path:
    """The folder of the base model; the built-in one is made in the run folder."""
    if config.model not in {BUILTIN, BUILTIN_RANDOM}:
        return locate_model(config.model)
    if not (folder.base / "model.safetensors").exists():
        seed = config.run.seed if config.model == BUILTIN_RANDOM else None
        build_tiny_checkpoint(folder.base, seed=seed)
    return folder.base


def tune_model(plan: Plan) -> TunedModel:
    """Load the base, set up what learns, and say and save what that is."""
    if plan.config.training.compile:
        require_compiler(plan.device.kind)
    tuned = load_tuned(plan)
    if plan.config.training.gradient_checkpointing:
        prepare_checkpointing(tuned.model, plan.config.training.gradient_checkpointing)
    if plan.config.training.compile:
        layers = compile_layers(tuned.model)
        say(f"{layers} layers of the decoder are compiled in the first step, which may take minutes")
    table = tuned.table.with_rates(plan.config.optimizer)
    print_table(table)
    plan.folder.write_json("learning.json", table.as_dicts())
    return tuned


def load_tuned(plan: Plan) -> TunedModel:
    """Load the base and set up what learns."""
    model = load_model(
        plan.base,
        dtype=plan.policy.base_dtype,
        device=plan.device.kind,
        family=plan.family.name,
        quantization=quantization_config(plan.policy),
    )
    model.vision_chunk_views = plan.config.training.vision_chunk_views
    if plan.config.training.pack_tokens is not None:
        attend_by_segments(model)
    return apply_tuning(model, plan.config.tuning, plan.policy, seed=plan.config.run.seed)


def make_trainer(
    plan: Plan, tuned: TunedModel, data: TrainingData, features: RunFeatures | None = None
) -> OcrTrainer:
    """Everything of the run, put together."""
    config = plan.config
    if features is not None:
        features.attach(data)
    evaluates = bool(data.validation)
    packed = pack_data(data, config, num_devices=PartialState().num_processes)
    sampler = None if packed is None else packed.sampler
    epoch_steps = data.steps.per_epoch if data.steps else None
    return OcrTrainer(
        model=tuned.model,
        args=training_arguments(
            config,
            checkpoints=plan.folder.checkpoints,
            device=plan.device,
            policy=plan.policy,
            num_examples=data.num_examples if sampler is None else sampler.num_packs,
            evaluates=evaluates,
            num_devices=PartialState().num_processes,
            max_steps=data.steps.total if data.steps else None,
            epoch_steps=epoch_steps,
            loader_processes=plan.loading.processes,
        ),
        optimizer_section=config.optimizer,
        lengths=None if isinstance(data.train, StreamedExamples) else data.train.lengths(),
        mixture=data.mixture,
        packed_sampler=sampler,
        packing=PackingCounts(_names_of_streams(config, data)),
        bucketed=config.training.bucket_by_length,
        router_loss=config.training.router_loss,
        evaluate_model=HeldOutPages(
            examples=data.validation,
            recipe=plan.recipe,
            tokenizer=plan.tokenizer,
            evaluation=config.evaluation,
            batch_size=config.training.batch_size,
            policy=plan.policy,
            predictions=plan.folder.predictions,
            features=None if features is None else features.evaluation,
        ),
        save_weights=partial(_save_weights, plan),
        train_dataset=data.train if packed is None else packed.examples,
        # The Trainer asks for a data set wherever it is to evaluate; `evaluate_model` has its own.
        eval_dataset=data.train if evaluates else None,
        data_collator=partial(_native_batch if packed is None else _packed_batch, plan),
        guidance=make_guidance(plan, tuned),
        pixel_dtype=plan.policy.torch_dtype(plan.policy.base_dtype),
        features=None if features is None else features.training,
        callbacks=[
            *_callbacks(config, plan.folder, evaluates=evaluates),
            *([] if features is None else [FeatureKeeper(features, epoch_steps)]),
        ],
    )


def make_guidance(plan: Plan, tuned: TunedModel) -> Guidance | None:
    """The letter heads, if the recipe asks for them; those of the base's own training where it brings them."""
    section = plan.config.training.guidance
    if section is None:
        return None
    check_guidable(plan.recipe.mode)
    if PartialState().num_processes > 1:
        raise ConfigError(
            ["training.guidance: the letter heads learn on one device only"],
            hint="train on one, or leave it out",
        )
    guidance = Guidance(tuned.model, section, empty_id=plan.tokenizer.pad_id, seed=plan.config.run.seed)
    if guidance.restore(plan.base):
        say("guidance goes on with the letter heads of the base")
    return guidance


def run_trainer(trainer: OcrTrainer, folder: RunFolder, loading: Loading, *, resume: bool) -> None:
    """Train, from the last whole checkpoint if asked, and save the last step."""
    checkpoint = folder.last_checkpoint() if resume else None
    if checkpoint is not None and folder.writes:
        forget_metrics_after(folder, step_of(checkpoint))
        say(f"going on from {checkpoint}")
    keep_pages(loading.kept_pages_bytes)
    try:
        with ending_on_sigterm(), trainer.prefetching(loading.threads, pinned=loading.pinned):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except OcrtuneError as error:
        mend_loader_error(error)
        raise
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, Screen | FeatureKeeper):
                callback.close()
    trainer.save_last()


def write_summary(
    trainer: OcrTrainer, plan: Plan, data: TrainingData, features: RunFeatures | None, *, elapsed_s: float
) -> TrainingResult:
    """Write `best.json` and `summary.json`, and say where the best checkpoint lies."""
    state, folder = trainer.state, plan.folder
    # The others may still be writing down what they left out.
    PartialState().wait_for_everyone()
    last = folder.checkpoints / f"checkpoint-{state.global_step}"
    best = last if state.best_model_checkpoint is None else Path(state.best_model_checkpoint)
    skipped = folder.finish_skipped()
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    result = TrainingResult(
        run=folder.path,
        best=best,
        last=last,
        steps=state.global_step,
        best_cer=state.best_metric,
        final_loss=losses[-1] if losses else None,
        elapsed_s=elapsed_s,
        num_train_pages=_num_train_pages(trainer, data),
        num_validation_pages=len(data.validation),
        num_skipped=len(skipped),
        skipped_by_reason=count_reasons(row["code"] for row in skipped),
        num_processes=PartialState().num_processes,
        pack_fill=trainer.packing.fill,
        waiting_share=trainer.waiting.share,
        feature_cache=None if features is None else features.summary(_epochs_of_features(trainer)),
    )
    folder.write_json(
        folder.best.name,
        {"checkpoint": str(best.relative_to(folder.path)), "step": step_of(best), "cer": state.best_metric},
    )
    folder.write_json("summary.json", result.as_dict())
    folder.write_json("mixture.json", _mixture_rows(trainer, plan.config, data))
    if note := waiting_note(trainer.waiting, plan.loading.reason):
        say(note)
    say(f"best checkpoint: {best}")
    return result


def _epochs_of_features(trainer: OcrTrainer) -> list[dict[str, int]]:
    keepers = (one for one in trainer.callback_handler.callbacks if isinstance(one, FeatureKeeper))
    return [row for keeper in keepers for row in keeper.rows()]


def _mixture_rows(trainer: OcrTrainer, config: Config, data: TrainingData) -> list[dict[str, object]]:
    """What was learned from of each source."""
    if data.stream is not None and data.steps is not None:
        if trainer.packing.num_examples:
            return mixture_rows(data.stream, config.data, trainer.packing.of_sources)
        seen = min(trainer.state.global_step * data.steps.size, len(data.train))
        return mixture_rows(data.stream, config.data, seen)
    assert data.mixture is not None
    return data.mixture.as_rows(trainer.count_seen(data.mixture))


def _num_train_pages(trainer: OcrTrainer, data: TrainingData) -> int:
    if data.stream is None or not trainer.packing.num_examples:
        return data.num_train_pages
    return min(trainer.packing.num_examples, data.stream.num_pages or trainer.packing.num_examples)


def _names_of_streams(config: Config, data: TrainingData) -> tuple[str, ...]:
    """Of several sources, one of them a stream: names of examples begin with them."""
    return name_sources(config.data.mixed) if data.stream is not None and len(config.data.mixed) > 1 else ()


def _native_batch(plan: Plan, inputs: list[ModelInputs]) -> dict[str, Any]:
    """The model's arguments; views in uint8, which the Trainer normalises where the model is."""
    pad_id = plan.tokenizer.pad_id
    batch = collate(inputs, plan.family, pad_id=pad_id, dtype=torch.uint8).native()
    if plan.config.training.guidance is None:
        return batch
    return {**batch, GUIDANCE: guidance_targets(inputs, empty_id=pad_id)}


def _packed_batch(plan: Plan, packs: list[list[ModelInputs]]) -> dict[str, Any]:
    pack_tokens = plan.config.training.pack_tokens
    assert pack_tokens is not None
    pad_id = plan.tokenizer.pad_id
    return collate_packs(packs, plan.family, pack_tokens=pack_tokens, pad_id=pad_id, dtype=torch.uint8)


def _save_weights(plan: Plan, model: OcrModel, folder: Path, step: int, cer: float | None) -> None:
    card = CheckpointCard(
        inputs=plan.recipe,
        tuning=plan.config.tuning,
        base=str(plan.base),
        step=step,
        scores=None if cer is None else {"cer": cer},
    )
    save_checkpoint(model, folder, card=card, tokenizer=plan.tokenizer)


def _callbacks(config: Config, folder: RunFolder, *, evaluates: bool) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [Screen()]
    if folder.writes:
        callbacks.append(RunLog(folder, elapsed_s=_elapsed_s(folder)))
    if evaluates and config.training.early_stop_evaluations:
        callbacks.append(EarlyStoppingCallback(config.training.early_stop_evaluations))
    return callbacks


def _elapsed_s(folder: RunFolder) -> float:
    if not folder.metrics.exists():
        return 0.0
    lines = folder.metrics.read_text(encoding="utf-8").splitlines()
    return float(json.loads(lines[-1])["elapsed_s"]) if lines else 0.0
