"""The tables of README.md, of the model card and of the docs, made from the JSON files beside this module.

Run it with `python benchmarks/tables.py`; it rewrites the region between `<!-- numbers: … -->` and
`<!-- /numbers -->` of each page, and the pictures of `docs/speed.md`. A test finds numbers that stand there and not in the JSON.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speed_page
from markdown_tables import table
from ocrtune.errors import OcrtuneError
from ocrtune.sources import write_text_atomically

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
MODEL_CARD = HERE.parent / "pretraining" / "README.md"
SPEED_PAGE = HERE.parent / "docs" / "speed.md"
PARTS_PAGE = HERE.parent / "docs" / "benchmarks.md"
BYTES_OF_A_LEARNING_PARAMETER = 16
"""In fp32: weight, gradient, and two moments."""

RATES = ("cer", "cer_median", "wer", "runaway_rate")
RATE_HEADS = ("CER", "median line", "WER", "runaway")


def main() -> None:
    for page, region in ((README, numbers()), (PARTS_PAGE, parts_numbers()), (MODEL_CARD, card_numbers())):
        write_text_atomically(page, with_numbers(page.read_text(encoding="utf-8"), region))
    write_text_atomically(SPEED_PAGE, with_speed(SPEED_PAGE.read_text(encoding="utf-8")))
    for name, picture in speed_pictures().items():
        write_text_atomically(SPEED_PAGE.with_name(name), picture)


def with_numbers(page: str, region: str, name: str = "") -> str:
    """`page` with `region` between the two marks, of several regions those that begin with the name.

    Raises:
        OcrtuneError: The marks are not there, or more than once.
    """
    marks = re.compile(rf"(<!-- numbers: ?{re.escape(name)}[^\n]*-->\n).*?(<!-- /numbers -->)", re.DOTALL)
    found = marks.findall(page)
    if len(found) != 1:
        raise OcrtuneError(
            f"{len(found)} regions for numbers",
            hint="put `<!-- numbers: … -->` and `<!-- /numbers -->` around the place, once",
        )
    return marks.sub(lambda match: f"{match[1]}{region}{match[2]}", page)


def numbers() -> str:
    """What stands between the marks of the README, from the files as they are."""
    return joined(demo_part(read("demo")), speed_page.readme_part(read("speed")))


def parts_numbers() -> str:
    """The same of the page about all parts."""
    return joined(
        tuning_part(read("tuning_methods")),
        training_part(read("training_step")),
        packing_part(read("packing")),
        decoder_part(read("decoder")),
        planner_part(read("planner")),
        encoding_part(read("encode")),
        pipeline_part(read("input_pipeline")),
        synth_part(read("synth")),
        streaming_part(read("streaming")),
        predicting_part(read("predict")),
        million_part(read("million_rows")),
        evaluation_part(read("evaluate")),
        report_part(read("report")),
        full_size_part(read("full_size")),
    )


def joined(*parts: str) -> str:
    """A region: parts with a line between them."""
    return "\n" + "\n".join(parts) + "\n"


def card_numbers() -> str:
    """The same of the model card."""
    return joined(base_part(read("base_model")))


def with_speed(page: str) -> str:
    """`docs/speed.md` with its tables."""
    result = read("speed")
    parts = {
        "facts": speed_page.facts_part,
        "goals": speed_page.goals_part,
        "ways": speed_page.ways_part,
        "bounds": speed_page.bounds_part,
    }
    for name, part in parts.items():
        page = with_numbers(page, f"\n{part(result)}\n", name)
    return page


def speed_pictures() -> dict[str, str]:
    """The pictures of `docs/speed.md`, by name of the file."""
    result = read("speed")
    return {
        "speed-ablation.svg": speed_page.ablation_picture(result),
        "speed-growth.svg": speed_page.growth_picture(result),
    }


def read(name: str) -> dict[str, Any]:
    """What the benchmark called `name` wrote."""
    result: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return result


def demo_part(result: Mapping[str, Any]) -> str:
    """What the demo's fine-tuning is worth, and how long the demo takes."""
    rows = [(f"{when} fine-tuning", *percents(scores)) for when, scores in result["scores"].items()]
    return f"""**The demo** (`python benchmarks/demo.py`), {result["threads"]} CPU threads, {result["elapsed_s"]} s in all: {result["lines"]} scanned lines of a page that nothing was
learned from, read by the small built-in model. [How that learned, and what this page was used for](pretraining/README.md)

{table(("", *RATE_HEADS), rows, left=1)}"""


def base_part(result: Mapping[str, Any]) -> str:
    """What the small model reads of what it never saw."""
    rows = [(name, str(scores["lines"]), *percents(scores)) for name, scores in result["sets"].items()]
    return table(("", "lines", *RATE_HEADS), rows, left=1)


def tuning_part(result: Mapping[str, Any]) -> str:
    """LoRA against full fine-tuning: what learns, how long it takes, what it is worth."""
    rows = [
        (name, f"{row['learning_parameters']:,}", f"{row['train_s']}", *percents(row))
        for name, row in result["methods"].items()
    ]
    return f"""**LoRA against full fine-tuning** (`python benchmarks/tuning_methods.py`) of the small model, {result["threads"]} CPU threads: the demo's
lines and steps ({result["steps"]}), and the same test page; LoRA has rank {result["rank"]}. Before training CER is {result["before"]["cer"]:.1%}.

{table(("what learns", "parameters", "training, s", *RATE_HEADS), rows, left=1)}"""


def percents(scores: Mapping[str, float]) -> tuple[str, ...]:
    """The rates of `RATE_HEADS`."""
    return tuple(f"{scores[key]:.1%}" for key in RATES)


def training_part(result: Mapping[str, Any]) -> str:
    """Speed and memory of a training step, and what they were measured on."""
    pages, model, machine = result["pages"], result["model"], result["machine"]
    supervised = pages["supervised_tokens"] / pages["tokens"]
    peaks = {peak["name"]: f"{peak['peak_mib']:,}" for peak in result["memory"]}
    fixed_mib = BYTES_OF_A_LEARNING_PARAMETER * model["parameters"] / 2**20
    rows = [
        (
            f"**{row['title']}**" if row["name"] == "ocrtune" else row["title"],
            *(row[key] for key in ("vision", "logits", "experts", "order")),
            f"{row['cpu_s_per_step']:.2f}",
            f"{row['images_per_s']:.2f}",
            f"{row['speedup']:.2f}×",
            peaks.get(row["name"], "–"),
        )
        for row in result["rows"]
    ]
    heads = ("", "vision", "logits", "experts", "order", "s/step", "images/s", "speed", "peak MiB")
    return f"""**A training step** (`python benchmarks/training_step.py`), one CPU thread, processor time: a seeded model of
{model["parameters"] / 1e6:.0f} M parameters with the proportions of DeepSeek-OCR, {result["tuning"]} fine-tuning in {result["precision"]}, {pages["number"]} pages of {pages["shortest_tokens"]}–{pages["longest_tokens"]}
tokens in batches of {result["batch_size"]}, {supervised:.0%} of the tokens supervised. All ways compute the same: their losses on the first batch
differ by {result["first_loss_difference"]:.1g}. [How it is measured, and what it does not say](../benchmarks/README.md)

{table(heads, rows, left=5)}
The plain native path does as the published code does, with transformers' own class and Trainer; transformers {machine["transformers"]}
batches vision and groups experts by default. Of the peak memory {fixed_mib:.0f} MiB are weights, gradients and AdamW's moments,
the same for all.
"""


def vision_part(result: Mapping[str, Any]) -> str:
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


def packing_part(result: Mapping[str, Any]) -> str:
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


def planner_part(result: Mapping[str, Any]) -> str:
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


def decoder_part(result: Mapping[str, Any]) -> str:
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


def encoding_part(result: Mapping[str, Any]) -> str:
    """What encoding a page costs over what no encoder can do without."""
    width, height = result["page_px"]
    rows = [
        (name.upper(), f"{row['decode_and_resize_ms']:.1f}", f"{row['encode_ms']:.1f}", f"{row['ratio']:.2f}")
        for name, row in result["formats"].items()
    ]
    heads = ("file", "PIL alone, ms", "`encode`, ms", "ratio")
    return f"""**Encoding a page** (`python benchmarks/encode.py`), one thread, processor time: A4 at 200 dpi ({width}×{height} px) in
mode {result["mode"]}, beside PIL's decoding and resizing alone; medians of {result["rounds"]} pairs.

{table(heads, rows, left=1)}"""


def pipeline_part(result: Mapping[str, Any]) -> str:
    """How much of a step's time goes by in waiting for pages."""
    smallest, largest = result["sides_px"]
    rows = [
        (
            row["way"],
            f"{row['waiting_share']:.1%}",
            ", ".join(f"{share:.1%}" for share in row["shares_of_rounds"]),
        )
        for row in result["rows"]
    ]
    stages = {(row["page_px"][0], row["file"]): row for row in result["stages_ms"]}
    page = stages[1654, "png"]
    lines = result["lines"]["ms_a_line"]
    return f"""**Waiting for pages** (`python benchmarks/input_pipeline.py`), {result["learning_threads"]} CPU threads: {result["pages"]} pages of {smallest} to {largest} px in batches of {result["batch_size"]},
{result["epochs"]} epochs; share of the time of the steps. All ways learn the same. An A4 page at 200 dpi as PNG takes {page["encode"]:.0f} ms to encode in Gundam, of
which decoding is {page["decode"]:.0f}, resizing {page["global_view"] + page["tiles"]:.0f}, tokenising {page["tokenize"]:.1f}. A line cut out of such a page takes {lines["two_pages"]:.0f} ms if two pages stay
decoded, {lines["all_pages"]:.0f} if all {result["lines"]["pages"]} do.

{table(("pages are encoded", "waiting", "of each run"), rows, left=1)}"""


def million_part(result: Mapping[str, Any]) -> str:
    """What a manifest of a million rows costs."""
    rows = [
        (step["name"], f"{step['rows_per_s']:,}", f"{step['times_baseline']:.1f}×", f"{step['memory_mb']} MB")
        for step in result["steps"]
    ]
    heads = ("step", "rows a second", "time beside the first", "memory at most")
    return f"""**A manifest of {result["rows"]:,} rows** (`python benchmarks/million_rows.py`), one process each; memory is beyond an
interpreter with the package.

{table(heads, rows, left=1)}"""


def evaluation_part(result: Mapping[str, Any]) -> str:
    """What scoring costs."""
    rows = [
        ("CER, WER and all other counts, structures looked for", f"{result['scoring_s']}"),
        ("intervals of CER and WER", f"{result['intervals_s']}"),
        ("confusions", f"{result['confusions_s']}"),
    ]
    return f"""**Scoring {result["pages"]:,} pages** (`python benchmarks/evaluate.py`) of {result["mean_chars"]:,} characters with {result["cer"]:.1%} errors, one core, processor
time: {result["pages_per_s"]:,} pages a second; jiwer, CER and WER alone, {result["jiwer_pages_per_s"]:,}.

{table(("step", "s"), rows, left=1)}"""


def report_part(result: Mapping[str, Any]) -> str:
    """How soon a long report is there."""
    rows = [
        (
            name.replace("_", " "),
            f"{found['megabytes']:.1f}",
            f"{found['pictures']:,}",
            f"{found['first_page_ms'] / 1000:.2f}",
            f"{found['sorting_ms']:.0f}",
            f"{found['first_search_ms']:.0f}",
            f"{found['frame_longest_ms']:.0f}",
        )
        for name, found in result.items()
        if isinstance(found, dict) and "megabytes" in found
    ]
    heads = ("pages", "MB", "pictures", "first page, s", "sorting, ms", "search, ms", "longest frame, ms")
    return f"""**A report of {result["pages"]:,} pages** (`python benchmarks/report.py`) with two readings of each, opened from disk in Chromium.

{table(heads, rows, left=1)}"""


def full_size_part(result: Mapping[str, Any]) -> str:
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


def streaming_part(result: Mapping[str, Any]) -> str:
    """How fast shards are read."""
    rows = [
        (row["name"], row["read"], f"{row['pages_per_s']:,}", f"{row['times_baseline']:.2f}×")
        for row in result["rows"]
    ]
    heads = ("source", "what is read", "pages a second", "beside a folder")
    return f"""**Shards** (`python benchmarks/streaming.py`), one core, {result["pages"]:,} lines of {result["mean_image_bytes"]:,} bytes.

{table(heads, rows, left=2)}"""


def predicting_part(result: Mapping[str, Any]) -> str:
    """How fast pages are read by a model, in batches and alone."""
    names = {"alone": "1", "batched": str(result["batch_size"])}
    rows = [
        (names[way], f"{speed:.1f}", f"{result['ratio'] if way == 'batched' else 1:.1f}×")
        for way, speed in result["pages_per_s"].items()
    ]
    heads = ("pages in a batch", "pages a second", "beside one")
    return f"""**Prediction** (`python benchmarks/predict.py`), the small model on one core, {result["pages"]} lines with answers of
{result["answer_tokens"]["mean"]:.0f} tokens in the mean, median of {len(result["rounds"]["ratio"])} rounds; both ways read the same texts.

{table(heads, rows, left=1)}"""


def synth_part(result: Mapping[str, Any]) -> str:
    """How fast synthetic pages are made."""
    rows = [
        (
            row["name"],
            row["degradations"],
            f"{row['per_s']:.4g}",
            *(f"{100 * row['shares'][step]:.0f}%" for step in ("text", "set", "degrade")),
        )
        for row in result["rows"]
    ]
    heads = ("layout", "degradations", "a second", "text", "setting", "degrading")
    return f"""**Synthetic pages** (`python benchmarks/synth.py`), one process, medians of {result["rounds"]} rounds; and where the
time goes.

{table(heads, rows, left=2)}"""


if __name__ == "__main__":
    main()
