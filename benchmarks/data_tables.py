"""Tables of what pages cost before a model sees them; `tables.py` writes them."""

from collections.abc import Mapping
from typing import Any

from markdown_tables import table

Result = Mapping[str, Any]


def encoding_part(result: Result) -> str:
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


def pipeline_part(result: Result) -> str:
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


def synth_part(result: Result) -> str:
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


def streaming_part(result: Result) -> str:
    """How fast shards are read."""
    rows = [
        (row["name"], row["read"], f"{row['pages_per_s']:,}", f"{row['times_baseline']:.2f}×")
        for row in result["rows"]
    ]
    heads = ("source", "what is read", "pages a second", "beside a folder")
    return f"""**Shards** (`python benchmarks/streaming.py`), one core, {result["pages"]:,} lines of {result["mean_image_bytes"]:,} bytes.

{table(heads, rows, left=2)}"""


def million_part(result: Result) -> str:
    """What a manifest of a million rows costs."""
    rows = [
        (step["name"], f"{step['rows_per_s']:,}", f"{step['times_baseline']:.1f}×", f"{step['memory_mb']} MB")
        for step in result["steps"]
    ]
    heads = ("step", "rows a second", "time beside the first", "memory at most")
    return f"""**A manifest of {result["rows"]:,} rows** (`python benchmarks/million_rows.py`), one process each; memory is beyond an
interpreter with the package.

{table(heads, rows, left=1)}"""
