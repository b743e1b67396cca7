"""What a step of the decoder costs: transformers' classes beside ocrtune's, its features one by one.

Run it with `python benchmarks/decoder.py`; it prints one JSON object and writes it to `decoder.json` beside it. One thread,
fp32, a seeded decoder of the real vocabulary and routing with small widths; rows of text, as many positions as a page has
that is read in tiles. Ways take turns in one process for speed, and again in one for memory, whose peak Linux forgets
between them.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft.tuners.lora.layer import ParamWrapper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from machine import describe_machine
from ocrtune.config import LoraSection, TuningSection
from ocrtune.models import MODEL_CLASSES, OcrModel, supervised_loss
from ocrtune.models.adapters import FactoredAdapter
from ocrtune.models.configs import CONFIG_CLASSES
from ocrtune.models.decoder import mend_decoder
from ocrtune.models.precision import PrecisionPolicy
from ocrtune.models.tuning import apply_tuning
from ocrtune.sources import write_text_atomically
from peak_memory import GIVES_MEMORY_BACK, forget_peak, peak_mib

RESULT = Path(__file__).with_suffix(".json")
ROUNDS = 3
VOCABULARY, WIDTH, LAYERS, HEADS = 129_280, 256, 6, 4
EXPERTS, EXPERTS_PER_TOKEN, EXPERT_WIDTH, SHARED_EXPERTS, DENSE_WIDTH = 64, 6, 176, 2, 1368
POSITIONS, SUPERVISED = 1200, 300
MATMUL_SIDE = 1024
MOST_LOSS_DIFFERENCE = 1e-4

Logits = Literal["all", "supervised", "chunks"]
Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to compute a step.

    Attributes:
        title: For people.
        logits: Of which positions: all, supervised ones, or those in chunks with the loss.
        experts: As `load_model` takes it.
        trims: The last layer computes supervised positions only.
        factored: Adapters of experts beside the weights.
    """

    title: str
    logits: Logits = "chunks"
    experts: str = "ocrtune"
    trims: bool = True
    factored: bool = True


WAYS: dict[str, Way] = {
    "transformers": Way(
        title="transformers, logits of all positions",
        logits="all",
        experts="grouped_mm",
        trims=False,
        factored=False,
    ),
    "supervised": Way(
        title="+ logits of supervised positions",
        logits="supervised",
        experts="grouped_mm",
        trims=False,
        factored=False,
    ),
    "experts": Way(title="+ own experts", logits="supervised", trims=False),
    "chunks": Way(title="+ loss by chunks", trims=False),
    "ocrtune": Way(title="+ last layer at supervised positions: ocrtune"),
}
"""Each with what the one before it has."""

TUNINGS: dict[str, TuningSection] = {
    "full": TuningSection(method="full"),
    "LoRA with experts": TuningSection(lora=LoraSection(preset="experts")),
}
SETTINGS = (("full", 1), ("full", 2), ("LoRA with experts", 1))
"""What learns, and pages in a batch."""


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure_memory(*sys.argv[1:])))
        return
    torch.set_num_threads(1)
    result = {
        "threads": 1,
        "clock": "processor time, least of the rounds",
        "rounds": ROUNDS,
        "model": {
            "vocabulary": VOCABULARY,
            "width": WIDTH,
            "layers": LAYERS,
            "experts": EXPERTS,
            "experts_per_token": EXPERTS_PER_TOKEN,
            "expert_width": EXPERT_WIDTH,
            "decoder_parameters": count_decoder(make_model("full")),
        },
        "positions": POSITIONS,
        "supervised": SUPERVISED,
        "settings": [measure(tuning, pages) for tuning, pages in SETTINGS],
        "machine": describe_machine("torch", "transformers", "peft"),
    }
    text = json.dumps(result, indent=1) + "\n"
    write_text_atomically(RESULT, text)
    print(text, end="")


def measure(tuning: str, pages: int) -> dict[str, Any]:
    """Speed and memory of all ways for one setting."""
    model, batch = make_model(tuning), make_batch(pages)
    flops = count_flops(model, batch)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    losses, matmuls = {}, []
    for _ in range(ROUNDS):
        matmuls.append(matmul_flops_per_s())
        for name, way in WAYS.items():
            started = time.process_time()
            losses[name] = step(model, batch, way)
            times[name].append(time.process_time() - started)
    print(f"{tuning}, {pages} pages: {min(times['ocrtune']):.2f} s", file=sys.stderr)
    if max(losses.values()) - min(losses.values()) > MOST_LOSS_DIFFERENCE:
        raise SystemExit(f"error: losses differ: {losses}")
    peaks = peaks_in_own_process(tuning, pages)
    first = next(iter(WAYS))
    return {
        "tuning": tuning,
        "pages": pages,
        "model_flops": flops,
        "matmul_flops_per_s": round(max(matmuls)),
        "loss_difference": max(losses.values()) - min(losses.values()),
        "rows": [
            {
                "name": name,
                "title": way.title,
                "s": round(min(times[name]), 3),
                "spread": round(max(times[name]) / min(times[name]), 2),
                "speedup": round(min(times[first]) / min(times[name]), 2),
                "matmul_share": round(flops / min(times[name]) / max(matmuls), 2),
                "peak_mib": peaks[name],
                "memory_ratio": round(peaks[name] / peaks[first], 2),
            }
            for name, way in WAYS.items()
        ],
    }


def step(model: OcrModel, batch: Batch, way: Way) -> float:
    """Forward and backward of one batch; the loss."""
    model.set_experts_implementation(way.experts)
    model.trims_last_layer = way.trims
    for module in adapters_of_experts(model):
        module.__class__ = FactoredAdapter if way.factored else ParamWrapper
    model.zero_grad(set_to_none=True)
    loss = LOSSES[way.logits](model, batch)
    loss.backward()
    return float(loss.detach())


def _loss_of_all(model: OcrModel, batch: Batch) -> Tensor:
    loss: Tensor = model(**batch, use_cache=False).loss
    return loss


def _loss_of_supervised(model: OcrModel, batch: Batch) -> Tensor:
    targets = nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=-100)
    kept = targets != -100
    loss: Tensor = model(**batch, shift_labels=targets[kept], logits_to_keep=kept, use_cache=False).loss
    return loss


def _loss_by_chunks(model: OcrModel, batch: Batch) -> Tensor:
    return supervised_loss(model, batch).loss


LOSSES: Mapping[Logits, Callable[[OcrModel, Batch], Tensor]] = {
    "all": _loss_of_all,
    "supervised": _loss_of_supervised,
    "chunks": _loss_by_chunks,
}


def make_model(tuning: str) -> OcrModel:
    """The seeded decoder, with a vision part of no size that nothing runs through."""
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": DENSE_WIDTH,
        "moe_intermediate_size": EXPERT_WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "n_routed_experts": EXPERTS,
        "num_experts_per_tok": EXPERTS_PER_TOKEN,
        "n_shared_experts": SHARED_EXPERTS,
        "mlp_layer_types": ["dense"] + ["sparse"] * (LAYERS - 1),
        "max_position_embeddings": 8192,
    }
    sam = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_dim": 16}
    encoder = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    config = CONFIG_CLASSES["deepseek_ocr"](
        text_config=text, vision_config={"sam_config": sam, "encoder_config": encoder}
    )
    torch.manual_seed(0)
    model: OcrModel = MODEL_CLASSES["DeepseekOcrForConditionalGeneration"]._from_config(config)  # noqa: SLF001
    mend_decoder(model)
    policy = PrecisionPolicy(device_kind="cpu", base_dtype="float32", reason="a benchmark")
    return apply_tuning(model.train(), TUNINGS[tuning], policy).model


def make_batch(pages: int) -> Batch:
    """Rows of text, the last positions of each supervised."""
    ids = torch.randint(3, 100_000, (pages, POSITIONS), generator=torch.Generator().manual_seed(1))
    labels = torch.full_like(ids, -100)
    labels[:, -SUPERVISED:] = ids[:, -SUPERVISED:]
    return {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}


def adapters_of_experts(model: nn.Module) -> Iterator[ParamWrapper]:
    return (module for module in model.modules() if isinstance(module, ParamWrapper))


def count_decoder(model: OcrModel) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if "vision" not in name)


def count_flops(model: OcrModel, batch: Batch) -> int:
    """Of matrix products that the loss and its gradients need, without those that ocrtune leaves out."""
    with FlopCounterMode(display=False) as counter:
        step(model, batch, WAYS["ocrtune"])
    counted: int = counter.get_total_flops()
    return counted


def matmul_flops_per_s() -> float:
    """The rate of a large product, the best of some."""
    matrix = torch.randn(MATMUL_SIDE, MATMUL_SIDE)
    product = torch.empty_like(matrix)
    best = 0.0
    for _ in range(5):
        started = time.process_time()
        torch.mm(matrix, matrix, out=product)
        best = max(best, 2 * MATMUL_SIDE**3 / (time.process_time() - started))
    return best


def peaks_in_own_process(tuning: str, pages: int) -> dict[str, int]:
    """MiB that a process holds at most, by way."""
    command = [sys.executable, __file__, tuning, str(pages)]
    environment = {**os.environ, **GIVES_MEMORY_BACK}
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    peaks: dict[str, int] = json.loads(told)
    return peaks


def measure_memory(tuning: str, pages: str) -> dict[str, int]:
    """MiB that this process held at most in a step of each way."""
    torch.set_num_threads(1)
    model, batch = make_model(tuning), make_batch(int(pages))
    peaks = {}
    for name, way in WAYS.items():
        model.zero_grad(set_to_none=True)
        forget_peak()
        step(model, batch, way)
        peaks[name] = round(peak_mib())
    return peaks


if __name__ == "__main__":
    main()
