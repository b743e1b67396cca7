"""Forecasts of `ocrtune doctor RUN.yaml` beside what was measured: memory of training steps, and operations.

Run it with `python benchmarks/planner.py`; it prints one JSON object and writes it to `planner.json` beside it. Each way
to train is a process of its own, `python benchmarks/planner.py WAY FOLDER`, with one thread and an allocator that gives
memory back. A way is the model of `mid_size_model.py` in the pages' largest batch, for two optimizer steps after a
first one. Its peak is that of the process in these two, less what the process has between steps beside weights and
moments: libraries, the pages, and what the first step left behind (`first_step_mib`, moments included).
"""

import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers.modeling_layers import GradientCheckpointingLayer

from machine import ONE_THREAD
from mid_size_model import MODE, prepare
from ocrtune.config import Config, OptimizerSection, parse_config
from ocrtune.inputs.collate import collate
from ocrtune.models import load_model, supervised_loss
from ocrtune.models.segments import attend_by_segments
from ocrtune.models.tiny import build_tiny_checkpoint
from ocrtune.models.tuning import apply_tuning
from ocrtune.planning.flops import step_flops
from ocrtune.planning.forwards import Computation
from ocrtune.planning.memory import Setting, forecast_memory
from ocrtune.planning.operations import Widths
from ocrtune.planning.shapes import Learning, ModelShape, Work
from ocrtune.planning.weights import count_weights
from ocrtune.records import ModelInputs
from ocrtune.training.data import prepare_data
from ocrtune.training.optimizer import make_optimizer
from ocrtune.training.packed import PACKED, collate_packs
from ocrtune.training.train import Plan, make_plan
from peak_memory import GIVES_MEMORY_BACK, forget_peak, peak_mib

LORA = {"method": "lora", "parts": ["decoder"]}
FULL = {"method": "full", "parts": ["decoder"]}
ALL = {"method": "full", "parts": ["decoder", "projector", "vision"]}
STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to train.

    Attributes:
        tuning: What learns.
        rows: Examples of a forward.
        packed: They stand in one row.
        checkpointed: Parts that are recomputed.
        accumulation: Forwards of an optimizer step.
    """

    tuning: dict[str, Any]
    rows: int = 8
    packed: bool = False
    checkpointed: tuple[str, ...] = ()
    accumulation: int = 1


WAYS = {
    "adapters": Way(tuning=LORA),
    "adapters, one page": Way(tuning=LORA, rows=1),
    "adapters, packed": Way(tuning=LORA, packed=True),
    "adapters, recomputed": Way(tuning=LORA, rows=16, checkpointed=("decoder",)),
    "adapters on experts": Way(tuning={**LORA, "lora": {"preset": "experts"}}),
    "adapters on vision too": Way(tuning={**LORA, "parts": ["decoder", "vision"]}),
    "decoder in full": Way(tuning=FULL),
    "decoder in full, accumulated": Way(tuning=FULL, accumulation=2),
    "all in full": Way(tuning=ALL, rows=4),
    "all in full, recomputed": Way(tuning=ALL, rows=4, checkpointed=("decoder", "vision"), accumulation=2),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = prepare(Path(folder))
        rows = [run(way, folder) for way in WAYS]
    result = {
        "model": facts["model"],
        "pages": facts["pages"],
        "steps": STEPS,
        "threads": 1,
        "rows": rows,
        "largest_memory_error": round(max(abs(row["memory_ratio"] - 1) for row in rows), 3),
        "largest_flops_error": round(max(abs(row["flops_ratio"] - 1) for row in rows), 4),
        "machine": {
            "torch": version("torch"),
            "transformers": version("transformers"),
        },
    }
    text = json.dumps(result, indent=1)
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)


def run(way: str, folder: str) -> dict[str, Any]:
    """One way in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, way, folder],
        env={**os.environ, **ONE_THREAD, **GIVES_MEMORY_BACK},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(row), file=sys.stderr)
    return row


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Two optimizer steps of a way, and what was forecast for them."""
    torch.set_num_threads(1)
    way, config = WAYS[name], run_config(folder, WAYS[name])
    plan = make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    inputs = longest(data.train, way.rows)
    step_once_elsewhere(config, plan)
    model = load_model(plan.base)
    if way.packed:
        attend_by_segments(model)
    tuned = apply_tuning(model, config.tuning, plan.policy)
    recompute(model.train(), way.checkpointed)
    optimizer = make_optimizer(model, OptimizerSection(), fused=True)

    def step() -> None:
        for _ in range(way.accumulation):
            # As in the Trainer nothing holds the views when the backward begins.
            loss = supervised_loss(model, make_batch(plan, inputs, packed=way.packed)).loss
            (loss / way.accumulation).backward()
            del loss
        optimizer.step()
        optimizer.zero_grad()

    loaded = peak_from_now()
    step()
    held = held_bytes(model, optimizer)
    begun = peak_from_now()
    for _ in range(STEPS):
        step()
    measured = peak_bytes() - begun + held
    forecast, flops = forecasts(config, way, inputs, model.config)
    counter = counting()
    with counter:
        supervised_loss(model, make_batch(plan, inputs, packed=way.packed)).loss.backward()
    counted = counter.get_total_flops()
    return {
        "name": name,
        "learning": tuned.table.num_learning,
        "rows": way.rows,
        "positions": int(make_batch(plan, inputs, packed=way.packed)["input_ids"].shape[1]),
        "accumulation": way.accumulation,
        "checkpointed": list(way.checkpointed),
        "memory_mib": round(measured / 2**20),
        "other_mib": round((begun - held) / 2**20),
        "first_step_mib": round((begun - loaded) / 2**20),
        "forecast_mib": round(forecast.total / 2**20),
        "forecast_by_part_mib": {part: round(size / 2**20) for part, size in forecast.by_part().items()},
        "memory_ratio": round(forecast.total / measured, 3),
        "flops": counted,
        "forecast_flops": flops,
        "flops_ratio": round(flops / counted, 4),
    }


def run_config(folder: Path, way: Way) -> Config:
    return parse_config(
        {
            "model": str(folder / "model"),
            "run": {"folder": str(folder / "run"), "resume": True},
            "data": {"uri": str(folder / "pages" / "manifest.jsonl"), "validation_fraction": 0},
            "inputs": {"mode": MODE},
            "tuning": way.tuning,
            "training": {"batch_size": way.rows, "device": "cpu", "accumulation_steps": way.accumulation},
        }
    )


def longest(examples: Any, count: int) -> list[ModelInputs]:
    order = examples.lengths().argsort(kind="stable")[::-1][:count]
    return [examples[int(place)] for place in order]


def make_batch(plan: Plan, inputs: Sequence[ModelInputs], *, packed: bool) -> dict[str, Any]:
    """A padded batch, or all examples in one row."""
    if not packed:
        return collate(inputs, plan.family, pad_id=plan.tokenizer.pad_id).native()
    most = sum(len(one) for one in inputs)
    batch = collate_packs([inputs], plan.family, pack_tokens=most, pad_id=plan.tokenizer.pad_id)
    del batch[PACKED]
    return batch


def recompute(model: nn.Module, parts: Sequence[str]) -> None:
    for name, module in model.named_modules():
        part = "vision" if name.startswith("model.vision_tower.") else "decoder"
        if isinstance(module, GradientCheckpointingLayer) and part in parts:
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)  # noqa: SLF001


def forecasts(config: Config, way: Way, inputs: Sequence[ModelInputs], native: Any) -> tuple[Any, int]:
    shape, learning = ModelShape.of(native), Learning.of(config.tuning, way.checkpointed)
    lengths = [len(one) for one in inputs]
    sides = [
        side
        for one in inputs
        for view in one.views
        for side in [MODE["global_px"], *[MODE["tile_px"]] * len(view.tiles)]
    ]
    computation = Computation.of(config.training, window=False, device_kind="cpu", number_bytes=4)
    targets = [int((one.labels != -100).sum()) for one in inputs]
    trims = computation.trims_packed if way.packed else computation.trims_rows
    work = Work(
        rows=1 if way.packed else way.rows,
        positions=sum(lengths) if way.packed else max(lengths),
        supervised=sum(targets),
        most_supervised=max(targets) if trims else None,
        segments=len(inputs) if way.packed else None,
        views=Work.count_views(sides),
        most_views=computation.most_views(set(sides), None),
        masked=not way.packed and len(set(lengths)) > 1,
    )
    setting = Setting(
        learning=learning,
        widths=Widths(stream=4, compute=4),
        accumulates=way.accumulation > 1,
        # A batch is made in fp32 at once.
        batches=0,
    )
    weights = count_weights(native, config.tuning)
    return forecast_memory(shape, weights, work, setting), step_flops(shape, work, learning).total


def counting() -> FlopCounterMode:
    """A counter of operations by torch, with what it does not know: grouped products, those added in place, and attention on a CPU."""
    aten = torch.ops.aten

    def raw(formula: Any) -> Any:
        def counted(*arguments: Any, out_val: Any = None, **_: Any) -> int:  # noqa: ARG001
            return int(formula(*(one.shape if isinstance(one, Tensor) else one for one in arguments)))

        counted._get_raw = True  # type: ignore[attr-defined]  # noqa: SLF001  # torch's mark
        return counted

    attention = "_scaled_dot_product_flash_attention_for_cpu"
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._grouped_mm: raw(lambda left, right, *_: 2 * left[0] * left[1] * right[-1]),  # noqa: SLF001
            aten.addmm_: raw(lambda _, left, right, **__: 2 * left[0] * left[1] * right[1]),
            getattr(aten, attention): raw(lambda q, k, v, *_: sdpa_flop_count(q, k, v)),
            getattr(aten, f"{attention}_backward"): raw(
                lambda grad, q, k, v, *_: sdpa_backward_flop_count(grad, q, k, v)
            ),
        },
    )


def step_once_elsewhere(config: Config, plan: Plan) -> None:
    """What libraries take when they are first used is no part of a step: the same one of a small model goes before."""
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(build_tiny_checkpoint(Path(folder), seed=0))
    apply_tuning(model, config.tuning, plan.policy)
    text = torch.tensor([[0, 5, 6, 7, 8, 9, 1]])
    batch = {"input_ids": text, "attention_mask": torch.ones_like(text), "labels": text}
    optimizer = make_optimizer(model.train(), OptimizerSection(), fused=True)
    supervised_loss(model, batch).loss.backward()
    optimizer.step()


def held_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Of weights, and of AdamW's moments."""
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers(), *moments))


def peak_from_now() -> int:
    """Bytes of this process now; its peak is counted anew from here."""
    gc.collect()
    forget_peak()
    return peak_bytes()


def peak_bytes() -> int:
    """Most bytes of this process since the peak was forgotten."""
    return round(peak_mib() * 2**20)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
    else:
        main()
