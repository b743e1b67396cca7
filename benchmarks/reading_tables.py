"""Tables of what models read, and of what predicting, scoring and reports cost; `tables.py` writes them."""

from collections.abc import Mapping
from typing import Any

from markdown_tables import table

Result = Mapping[str, Any]

RATES = ("cer", "cer_median", "wer", "runaway_rate")
RATE_HEADS = ("CER", "median line", "WER", "runaway")


def demo_part(result: Result) -> str:
    """What the demo's fine-tuning is worth, and how long the demo takes."""
    rows = [(f"{when} fine-tuning", *percents(scores)) for when, scores in result["scores"].items()]
    return f"""**The demo** (`python benchmarks/demo.py`), {result["threads"]} CPU threads, {result["elapsed_s"]} s in all: {result["lines"]} scanned lines of a page that nothing was
learned from, read by the small built-in model. [How that learned, and what this page was used for](pretraining/README.md)

{table(("", *RATE_HEADS), rows, left=1)}"""


def base_part(result: Result) -> str:
    """What the small model reads of what it never saw."""
    rows = [(name, str(scores["lines"]), *percents(scores)) for name, scores in result["sets"].items()]
    return table(("", "lines", *RATE_HEADS), rows, left=1)


def tuning_part(result: Result) -> str:
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


def predicting_part(result: Result) -> str:
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


def evaluation_part(result: Result) -> str:
    """What scoring costs."""
    rows = [
        ("CER, WER and all other counts, structures looked for", f"{result['scoring_s']}"),
        ("intervals of CER and WER", f"{result['intervals_s']}"),
        ("confusions", f"{result['confusions_s']}"),
    ]
    return f"""**Scoring {result["pages"]:,} pages** (`python benchmarks/evaluate.py`) of {result["mean_chars"]:,} characters with {result["cer"]:.1%} errors, one core, processor
time: {result["pages_per_s"]:,} pages a second; jiwer, CER and WER alone, {result["jiwer_pages_per_s"]:,}.

{table(("step", "s"), rows, left=1)}"""


def report_part(result: Result) -> str:
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
