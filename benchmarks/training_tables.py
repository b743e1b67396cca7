"""Tables of what training costs, part by part; `tables.py` writes them."""

from collections.abc import Mapping
from typing import Any

from markdown_tables import table

Result = Mapping[str, Any]


def packing_part(result: Result) -> str:
    """What packed rows save the decoder."""
    rows = [
        (
            row["name"],
            f"{row['forwards_in_an_epoch']}",
            f"{row['padding']:.0%}",
            f"{row['most_positions']:,}",
            f"{row['tokens_per_s']:,}",
            f"{row['speedup']:.2f}×",
        )
        for row in result["rows"]
    ]
    heads = ("rows", "forwards", "padding", "most positions", "tokens/s", "speed")
    filled = ", ".join(f"{row['fill']:.1%} of {row['pack_tokens']:,}" for row in result["fill"])
    return f"""**Packed rows** (`python benchmarks/packing.py`), one CPU thread, processor time: forward and backward of the decoder on {result["examples"]} lines
and pages of {result["shortest_tokens"]}–{result["longest_tokens"]:,} tokens, {result["batch_size"]} in a batch, or in rows of {result["pack_tokens"]:,}. Losses of an epoch differ by {result["loss_difference"]:.1g}. Of 3,000 such
examples rows are full to {filled} tokens.

{table(heads, rows, left=1)}"""


def decoder_part(result: Result) -> str:
    """Speed and memory of a step of the decoder, feature by feature."""
    model = result["model"]
    rows = [
        (
            f"{setting['tuning']}, {setting['pages']} page{'s' * (setting['pages'] > 1)}",
            row["title"],
            f"{row['s']:.2f}",
            f"{row['speedup']:.2f}×",
            f"{row['matmul_share']:.0%}",
            f"{row['peak_mib']:,}",
            f"{row['memory_ratio']:.2f}×",
        )
        for setting in result["settings"]
        for row in setting["rows"]
    ]
    heads = ("learning", "", "s/step", "speed", "of the matmul rate", "peak MiB", "memory")
    return f"""**A step of the decoder** (`python benchmarks/decoder.py`), one CPU thread, processor time, fp32: {model["layers"]} layers of width {model["width"]}, {model["experts"]} experts,
a vocabulary of {model["vocabulary"]:,}; {result["positions"]:,} positions a page, {result["supervised"]} supervised. Each way has what the one above it has; the least of {result["rounds"]} rounds.
The rate is that of a large product in the same run; products that a way does in vain do not count.

{table(heads, rows, left=2)}"""


def vision_part(result: Result) -> str:
    """What SAM costs, ours beside transformers'."""
    rows = [
        (
            f"{result['widths'][row['size']]} wide, {row['views']} of {row['side_px']} px",
            "forward, backward" if row["learning"] else "forward",
            *(f"{row['cpu_s'][way]:.2f}" for way in ("eager", "sdpa", "ocrtune")),
            f"**{row['speedup']['ocrtune']:.2f}×**",
            f"{row['cpu_s']['eager'] / row['cpu_s']['ocrtune']:.2f}×",
        )
        for row in result["rows"]
    ]
    peaks = [
        (
            {"view": "one view of 1024 px", "page": "a page: that and 6 tiles of 640 px"}[row["what"]],
            "forward, backward" if row["learning"] else "forward",
            row["way"],
            f"{row['mib']:,}",
        )
        for row in result["memory"]
    ]
    difference = max(row["difference"] for row in result["rows"])
    heads = ("SAM", "pass", "eager, s", "sdpa, s", "ocrtune, s", "beside sdpa", "beside eager")
    return f"""**Vision** (`python benchmarks/vision.py`), one CPU thread, processor time: three layers of SAM, {result["layers"]["windows"]} with windows and
{result["layers"]["global"]} global; `eager` and `sdpa` are transformers' classes. Features differ by {difference:.1g} of the largest.

{table(heads, rows, left=2)}
Memory that a pass takes beyond the weights, {result["widths"]["mid"]} wide; `checkpointed` keeps the inputs of layers alone:

{table(("views", "pass", "way", "MiB"), peaks, left=3)}"""


def planner_part(result: Result) -> str:
    """Forecasts of memory and operations beside what was measured."""
    rows = [
        (
            row["name"],
            f"{row['rows']}",
            f"{row['positions']:,}",
            f"{row['memory_mib']:,}",
            f"{row['forecast_mib']:,}",
            f"{row['memory_ratio']:.2f}",
            f"{row['flops_ratio']:.3f}",
        )
        for row in result["rows"]
    ]
    heads = (
        "what learns, and how",
        "pages",
        "positions",
        "peak, MiB",
        "forecast, MiB",
        "ratio",
        "operations, ratio",
    )
    return f"""**Forecasts of `ocrtune doctor RUN.yaml`** (`python benchmarks/planner.py`) beside measurement on a CPU, for two steps after a first one of the model of
{result["model"]["parameters"] / 1e6:.0f} M parameters: most memory of the process beyond what it has between steps, weights and moments included; operations
as torch's FlopCounter counts them. The forecasts of memory are at most {result["largest_memory_error"]:.0%} off.

{table(heads, rows, left=1)}"""


def full_size_part(result: Result) -> str:
    """The phases of a fine-tuning of the true size."""
    phases = {phase["name"]: phase for phase in result["phases"]}
    page = phases["vision features"]
    rows = [
        (
            name,
            told_seconds(phase["seconds"]),
            f"{phase['memory']['peak_resident'] / 1e9:.1f}",
            f"{phase['memory']['peak_anon'] / 1e9:.1f}",
        )
        for name, phase in phases.items()
    ]
    heads = ("phase", "s", "GB at most", "without mapped files")
    return f"""**The true size** (`python benchmarks/full_size.py`), a random checkpoint of DeepSeek-OCR's {result["parameters"]:,} parameters in bf16,
LoRA on the decoder in bf16, {result["threads"]} CPU threads; an A4 page of {page["image_tokens"]} image tokens and {page["targets"]} targets a step. Each phase is a process of its own; the system takes
pages of mapped files back when it needs memory. Others worked on the machine: the JSON has processor time too.

{table(heads, rows, left=2)}"""


def told_seconds(parts: Mapping[str, float]) -> str:
    """The seconds of a phase's parts; of one part, without its name."""
    told = {name.replace("_", " "): seconds for name, seconds in parts.items() if name != "first_read"}
    if len(told) == 1:
        return f"{next(iter(told.values())):.1f}"
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in told.items())
