"""What SAM costs: transformers' two classes of attention beside ocrtune's, forward, and forward and backward.

Run it with `python benchmarks/vision.py`; it prints one JSON object and writes it to `vision.json` beside it. Ways take turns
in one process, one thread, processor time; each is measured for memory in a process of its own. A model has three layers,
two with windows and one global: the published share.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from transformers.models.unlimited_ocr.configuration_unlimited_ocr import UnlimitedOcrSamVisionConfig
from transformers.models.unlimited_ocr.modeling_unlimited_ocr import UnlimitedOcrSamVisionEncoder

from machine import ONE_THREAD, describe_machine
from ocrtune.models.sam import checkpoint_vision, speed_up_sam
from peak_memory import GIVES_MEMORY_BACK, forget_peak, peak_mib

WAYS = ("eager", "sdpa", "ocrtune")
"""`eager` and `sdpa` are transformers'; the second is its default, and what ratios are beside."""

BASELINE = "sdpa"
WIDTHS = {"mid": 384, "published": 768}
CASES = (
    # Name of the width, side of a view, views, learning, rounds.
    ("mid", 1024, 1, False, 3),
    ("mid", 640, 2, False, 3),
    ("mid", 1024, 1, True, 2),
    ("published", 1024, 1, False, 2),
)
PAGE_SIDES = (1024, 640, 640, 640, 640, 640, 640)
"""An A4 page of DeepSeek-OCR: its global view and six tiles."""

MOST_DIFFERENCE = 1e-5


def main() -> None:
    if len(sys.argv) > 1:
        print(measure_memory(*sys.argv[1:]))
        return
    torch.set_num_threads(1)
    result = {
        "threads": 1,
        "clock": "processor time, median of the rounds",
        "layers": {"windows": 2, "global": 1},
        "widths": WIDTHS,
        "rows": [measure_case(*case) for case in CASES],
        "memory": [
            *(peak_of("view", way, learning) for learning in ("", "learning") for way in WAYS),
            *(peak_of("page", way, "learning") for way in ("ocrtune", "checkpointed")),
        ],
        "machine": describe_machine("torch", "transformers"),
    }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def measure_case(size: str, side_px: int, num_views: int, learning: bool, rounds: int) -> dict[str, Any]:
    """Times of every way on the same views, and how far their features are apart."""
    encoders = {way: make_encoder(way, size, learning=learning) for way in WAYS}
    views = make_views(side_px, num_views)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    features: dict[str, Tensor] = {}
    for _ in range(rounds):
        for way, encoder in encoders.items():
            began_s = time.process_time()
            features[way] = run(encoder, views)
            times[way].append(time.process_time() - began_s)
    seconds = {way: median(found) for way, found in times.items()}
    return {
        "size": size,
        "side_px": side_px,
        "views": num_views,
        "learning": learning,
        "rounds": rounds,
        "cpu_s": {way: round(found, 3) for way, found in seconds.items()},
        "speedup": {way: round(seconds[BASELINE] / found, 2) for way, found in seconds.items()},
        "spread": {way: round(max(found) / min(found), 2) for way, found in times.items()},
        "difference": require_equal(features),
    }


def require_equal(features: dict[str, Tensor]) -> float:
    """The largest difference from the baseline's features, in shares of the largest of them."""
    wanted = features[BASELINE]
    worst = max(float((found - wanted).abs().max() / wanted.abs().max()) for found in features.values())
    if worst > MOST_DIFFERENCE:
        raise SystemExit(f"error: features of the ways differ by {worst:.2g}")
    return worst


def run(encoder: UnlimitedOcrSamVisionEncoder, views: Tensor) -> Tensor:
    """Features; with gradients of all parameters where the encoder learns."""
    with torch.set_grad_enabled(encoder.training):
        features: Tensor = encoder(views).last_hidden_state
    if encoder.training:
        encoder.zero_grad()
        features.square().sum().backward()
    return features.detach()


def make_encoder(way: str, size: str, *, learning: bool) -> UnlimitedOcrSamVisionEncoder:
    """The same weights in every way; normal ones, as those a class is made with are 0 but for rounding."""
    width = WIDTHS[size]
    config = UnlimitedOcrSamVisionConfig(
        hidden_size=width,
        num_attention_heads=width // 64,
        mlp_dim=4 * width,
        num_hidden_layers=3,
        global_attn_indexes=[2],
        attn_implementation="eager" if way == "eager" else "sdpa",
    )
    encoder = UnlimitedOcrSamVisionEncoder(config).train(learning)
    draw = torch.Generator().manual_seed(0)
    for parameter in encoder.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=draw)
    if way not in {"eager", "sdpa"}:
        speed_up_sam(encoder)
    if way == "checkpointed":
        checkpoint_vision(encoder)
    return encoder


def make_views(side_px: int, number: int) -> Tensor:
    return torch.randn(number, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))


def peak_of(what: str, way: str, learning: str) -> dict[str, Any]:
    """Peak memory of one pass beyond that of a process with the encoder, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, what, way, learning],
        env={**os.environ, **ONE_THREAD, **GIVES_MEMORY_BACK},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return {"what": what, "way": way, "learning": bool(learning), "mib": int(done.stdout.split()[-1])}


def measure_memory(what: str, way: str, learning: str) -> int:
    """MiB by which the process grows in one pass over a global view or a whole page."""
    torch.set_num_threads(1)
    encoder = make_encoder(way, "mid", learning=bool(learning))
    views = [make_views(side, 1) for side in (PAGE_SIDES if what == "page" else PAGE_SIDES[:1])]
    forget_peak()
    before_mib = peak_mib()
    run_together(encoder, views)
    return round(peak_mib() - before_mib)


def run_together(encoder: UnlimitedOcrSamVisionEncoder, views: Iterable[Tensor]) -> None:
    """One backward pass over all views, as for the loss of a page."""
    with torch.set_grad_enabled(encoder.training):
        total = sum(encoder(view).last_hidden_state.square().sum() for view in views)
    if encoder.training:
        assert isinstance(total, Tensor)
        total.backward()


if __name__ == "__main__":
    main()
