"""A fine-tuning of a model of DeepSeek-OCR's true size on this CPU, phase by phase; writes `benchmarks/full_size.json`.

A random checkpoint of the published names and shapes (6.7 GB) is made, loaded as transformers loads it and as ocrtune
does, tuned with LoRA on an A4 page in mode gundam, with its vision features computed in each step and with features
computed before, exported, and the export loaded again and compared. Each phase is a process of its own, so that its
peak of memory is its own, and leaves what it measured in the folder: a run that was cut off goes on where it was with
`--folder`. Needs 22 GB of memory and 25 GB of disk.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, set_seed
from transformers.modeling_outputs import BaseModelOutputWithPooling

from full_size_clock import Clock, StepClock
from full_size_memory import read_memory, watched_memory
from full_size_model import PAGE_PX, PARAMETERS, build_checkpoint, write_page
from machine import describe_machine
from ocrtune.config import Config, parse_config
from ocrtune.export import export
from ocrtune.inputs.collate import collate
from ocrtune.models import MODEL_CLASSES, OcrModel, load_model, supervised_loss
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.models.classes import NATIVE_IMAGE_KEYS
from ocrtune.models.configs import read_config, read_family
from ocrtune.models.precision import TORCH_DTYPES
from ocrtune.models.tensors import weight_files
from ocrtune.sources import write_text_atomically
from ocrtune.training.data import prepare_data
from ocrtune.training.train import make_plan, make_trainer, run_trainer, tune_model, write_summary

RESULT = Path(__file__).with_suffix(".json")
THREADS = 2
STEPS = {"cold": 2, "cached": 3}
PAGE_BYTES = 4096
READ_BYTES = 2**24
FEATURES = "features.safetensors"
SEED = 0


def make(folder: Path, clock: Clock) -> Mapping[str, Any]:
    """The checkpoint and the page."""
    with clock("make"):
        build_checkpoint(folder / "base", seed=SEED)
    write_page(folder / "pages", seed=SEED)
    return {"bytes": stored_bytes(folder / "base")}


def load(folder: Path, clock: Clock, *, dtype: str, ours: bool) -> Mapping[str, Any]:
    """The model in memory, and every weight read once; the files are in the system's memory before."""
    for path in weight_files(folder):
        read_through(path)
    with clock("load"):
        model = load_model(folder, dtype=dtype) if ours else load_as_transformers_does(folder, dtype)
    loaded = read_memory()
    with clock("first_read"):
        read_all(model)
    return {"loaded": loaded}


def read_all(model: PreTrainedModel) -> None:
    """Read a number of every page of memory, so that what was only mapped is there."""
    for tensor in model.parameters():
        tensor.detach().flatten()[:: PAGE_BYTES // tensor.element_size()].sum()


def read_through(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(READ_BYTES):
            pass


def load_as_transformers_does(folder: Path, dtype: str) -> PreTrainedModel:
    family = read_family(folder)
    model: PreTrainedModel = MODEL_CLASSES[family.native_class].from_pretrained(
        folder, config=read_config(folder, family), dtype=TORCH_DTYPES[dtype], local_files_only=True
    )
    return model.eval()


def encode(folder: Path, clock: Clock) -> Mapping[str, Any]:
    """Vision features of the page, as a cache would hold them."""
    plan = make_plan(run_config(folder, "features", steps=1))
    data = prepare_data(plan.config, plan.recipe, plan.tokenizer)
    batch = collate([data.train[0]], plan.family, pad_id=plan.tokenizer.pad_id).native()
    model = load_model(plan.base, dtype="bfloat16")
    with clock("vision"), torch.no_grad():
        features = model.get_image_features(**{key: batch[key] for key in NATIVE_IMAGE_KEYS}).pooler_output
    save_file({"0": features[0].contiguous()}, folder / FEATURES)
    learned = int((batch["labels"] != -100).sum())
    return {"tokens": batch["input_ids"].numel(), "image_tokens": len(features[0]), "targets": learned}


def tune(folder: Path, clock: Clock, *, vision: str) -> Mapping[str, Any]:
    """What `train` does, timed in its parts."""
    shutil.rmtree(folder / vision, ignore_errors=True)
    config = run_config(folder, vision, steps=STEPS[vision])
    plan = make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    set_seed(config.run.seed)
    with clock("load"):
        tuned = tune_model(plan)
    if vision == "cached":
        give_features(tuned.model, load_file(folder / FEATURES)["0"])
    trainer = make_trainer(plan, tuned, data)
    trainer.add_callback(StepClock(clock))
    run_trainer(trainer, plan.folder, plan.loading, resume=False)
    write_summary(trainer, plan, data, None, elapsed_s=0.0)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"losses": losses, "learning": tuned.table.num_learning}


def give_features(model: OcrModel, features: torch.Tensor) -> None:
    """Have every forward of the model take the features in place of its images."""
    given = {"image": BaseModelOutputWithPooling(pooler_output=[features])}

    def put_in_place(_: Any, args: Any, batch: dict[str, Any]) -> Any:
        kept = {key: value for key, value in batch.items() if key not in NATIVE_IMAGE_KEYS}
        return args, {**kept, "mm_encoder_outputs": given}

    model.register_forward_pre_hook(put_in_place, with_kwargs=True)


def export_run(folder: Path, clock: Clock) -> Mapping[str, Any]:
    """Merged weights under published names, checked by `export` itself."""
    with clock("export"):
        found = export(folder / "cold", folder / "export", overwrite=True)
    return {
        "dtype": found.dtype,
        "max_difference": found.max_difference,
        "bytes": stored_bytes(folder / "export"),
    }


def reload(folder: Path, clock: Clock) -> Mapping[str, Any]:
    """The export beside the run's checkpoint: loss of the page with given features; and its tensors against the base."""
    losses = {}
    for name in ("export", "cold"):
        with clock(f"load_{name}"):
            loaded = load_checkpoint(folder / name, dtype="bfloat16", device="cpu")
        with clock(f"loss_{name}"):
            losses[name] = page_loss(folder, loaded.model)
        del loaded
    return {"losses": losses, **compare_tensors(folder / "base", folder / "export")}


def page_loss(folder: Path, model: OcrModel) -> float:
    plan = make_plan(run_config(folder, "features", steps=1))
    data = prepare_data(plan.config, plan.recipe, plan.tokenizer)
    batch = collate([data.train[0]], plan.family, pad_id=plan.tokenizer.pad_id).native()
    give_features(model, load_file(folder / FEATURES)["0"])
    with torch.no_grad():
        return float(supervised_loss(model, batch).loss)


def compare_tensors(base: Path, exported: Path) -> dict[str, int]:
    """How many tensors of the export have the bits of the base, and how many do not."""
    same = changed = 0
    with safe_open(weight_files(exported)[0], framework="pt") as after:
        for path in weight_files(base):
            with safe_open(path, framework="pt") as before:
                for name in before.keys():  # noqa: SIM118  # no mapping
                    is_same = torch.equal(before.get_tensor(name), after.get_tensor(name))
                    same, changed = same + is_same, changed + (not is_same)
    return {"tensors_as_base": same, "tensors_changed": changed}


def run_config(folder: Path, name: str, *, steps: int) -> Config:
    """LoRA on the decoder in bf16, one page a step."""
    return parse_config(
        {
            "run": {"folder": str(folder / name), "seed": SEED},
            "model": str(folder / "base"),
            "data": {"uri": str(folder / "pages" / "manifest.jsonl"), "validation_fraction": 0},
            "inputs": {"mode": "gundam"},
            "tuning": {"method": "lora", "parts": ["decoder"]},
            "training": {"max_steps": steps, "precision": "bf16", "device": "cpu", "log_every_steps": 1},
        }
    )


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in weight_files(folder))


PHASES: Mapping[str, Callable[[Path, Clock], Mapping[str, Any]]] = {
    "make": make,
    **{
        f"load {dtype}, {who}": lambda folder, clock, dtype=dtype, who=who: load(
            folder / "base", clock, dtype=dtype, ours=who == "ocrtune"
        )
        for dtype in ("bfloat16", "float32")
        for who in ("transformers", "ocrtune")
    },
    "vision features": encode,
    "train, vision in each step": lambda folder, clock: tune(folder, clock, vision="cold"),
    "train, features given": lambda folder, clock: tune(folder, clock, vision="cached"),
    "export": export_run,
    "reload": reload,
}


def main() -> None:
    arguments = parsed_arguments()
    if arguments.phase is not None:
        run_phase(arguments.phase, arguments.folder)
        return
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="ocrtune-full-size-"))
    try:
        phases = [measured(name, folder) for name in PHASES]
        result = {
            "parameters": PARAMETERS,
            "page_px": PAGE_PX,
            "threads": THREADS,
            "phases": phases,
            "machine": describe_machine("torch", "transformers"),
        }
        write_text_atomically(RESULT, json.dumps(result, indent=1) + "\n")
        print(json.dumps(result))
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


def measured(name: str, folder: Path) -> dict[str, Any]:
    """What the phase found, from an earlier run if it is there."""
    found = folder / "phases" / f"{name}.json"
    if not found.exists():
        subprocess.run(
            [sys.executable, __file__, "--folder", folder, "--phase", name],
            env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"},
            stdout=sys.stderr,
            check=True,
        )
    result: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return result


def run_phase(name: str, folder: Path) -> None:
    torch.set_num_threads(THREADS)
    clock = Clock()
    with watched_memory() as memory:
        facts = PHASES[name](folder, clock)
    result = {
        "name": name,
        "seconds": clock.seconds,
        "processor_s": clock.processor_s,
        "memory": memory,
        **facts,
    }
    found = folder / "phases" / f"{name}.json"
    found.parent.mkdir(exist_ok=True)
    write_text_atomically(found, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where everything is kept; a temporary folder without it")
    parser.add_argument("--phase", choices=PHASES, help="this phase alone, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
