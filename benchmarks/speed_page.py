"""What `docs/speed.md` and README.md tell of `speed.json`: tables, and the pictures beside the page.

`tables.py` writes them.
"""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from markdown_tables import table
from speed_pictures import Bar, Panel, bars_picture, curves_picture

Result = Mapping[str, Any]
Row = Mapping[str, Any]

CURVE_TITLES = {"tiles": "tiles of a page", "targets": "tokens of an answer", "pages": "pages in a batch"}


def goals_part(result: Result) -> str:
    """Each goal, what was reached, and what arithmetic allows at most."""
    rows = [cells for row in result["rows"] if row["workload"] == "page" for cells in goals_of(row, result)]
    rows += [
        (
            "decoder's forward and backward, share of the matmul rate",
            result["regimes"][share["regime"]],
            "≥ 60%",
            told(share["matmul_share"], percent=True),
            "100%",
        )
        for share in result["decoder"]
        if share["workload"] == "page"
    ]
    heads = ("an A4 page of 2×3 tiles", "what learns", "goal", "reached", "bound")
    return table(heads, rows, left=2)


def goals_of(row: Row, result: Result) -> list[tuple[str, ...]]:
    """The goals that a row answers."""
    regime, limit = row["regime"], bound_of(row, result)
    learns = result["regimes"][regime]
    best, best_given = f"{limit['best_speedup']:.1f}×", f"{limit['best_speedup_given_features']:.1f}×"
    if row["variant"] == "ours":
        goal = "≥ 1.5×" if regime == "all" else "≥ 2.5×"
        cells = [("(d) beside (a), first epoch", learns, goal, times(row["speedup"]), best)]
        if row["speedup_over_recipe"] is not None:
            over = times(row["speedup_over_recipe"])
            cells.append(("(d) beside (b), first epoch", learns, "≥ 4×", over, "–"))
        return [*cells, memory_goal("(d)", row, limit, learns)]
    if row["variant"] == "recomputed":
        return [memory_goal("(d) with vision recomputed", row, limit, learns)]
    if row["variant"] == "cached":
        return [("(d) beside (a), second epoch", learns, "≥ 8×", times(row["speedup"]), best_given)]
    if row["variant"] == "given":
        return [("features given from memory, beside (a)", learns, "–", times(row["speedup"]), best_given)]
    return []


def memory_goal(way: str, row: Row, limit: Row, learns: str) -> tuple[str, ...]:
    """What a way needs beside (a), and what weights, gradients and moments alone would."""
    least = limit["least_peak_ratio"]
    most = "–" if least is None else f"{least:.2f}×"
    return (f"peak memory of {way} beside (a)", learns, "≤ 0.5×", f"{row['peak_ratio']:.2f}×", most)


def bound_of(row: Row, result: Result) -> Row:
    """The bound of a row's workload and regime."""
    return next(
        bound
        for bound in result["bounds"]
        if (bound["workload"], bound["regime"]) == (row["workload"], row["regime"])
    )


def ways_part(result: Result) -> str:
    """A table of all ways for every workload and regime."""
    heads = (
        "",
        "s/step",
        "pages/s",
        "target tokens/s",
        "beside (a)",
        "peak MiB",
        "beside (a)",
        "of matmul rate",
    )
    parts = []
    for (workload, regime), rows in grouped(result["rows"]).items():
        cells = [
            (
                row["title"],
                told(row["s_per_step"]),
                f"{row['pages_per_s']['median']:.3g}",
                f"{row['target_tokens_per_s']['median']:.0f}",
                times(row["speedup"]),
                *weighed(row),
                f"{row['matmul_share']['median']:.0%}",
            )
            for row in rows
        ]
        title = f"**{result['workloads'][workload]}; {result['regimes'][regime]}**"
        parts.append(f"{title}\n\n{table(heads, cells, left=1)}")
    return "\n".join(parts)


def weighed(row: Row) -> tuple[str, str]:
    """Peak memory, and beside (a)."""
    if row["peak_mib"] is None:
        return "–", "–"
    return f"{row['peak_mib']:,}", f"{row['peak_ratio']:.2f}×"


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by workload and regime, in order: (a), (b), the ablation, (d)."""
    order = ("plain", "recipe", "ablation", "ours", "recomputed", "cached", "given")
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: order.index(row["variant"])):
        groups.setdefault((row["workload"], row["regime"]), []).append(row)
    return groups


def bounds_part(result: Result) -> str:
    """What must be computed, how long that takes at the rate of a matmul, and how near (d) comes."""
    rows = [
        (
            result["workloads"][bound["workload"]],
            result["regimes"][bound["regime"]],
            f"{bound['gflops_per_step']['vision']:,.0f}",
            f"{bound['gflops_per_step']['decoder']:,.0f}",
            f"{bound['least_s']['vision']:.2f}",
            f"{bound['least_s']['decoder']:.2f}",
            f"{bound['best_speedup']:.1f}×",
            f"{bound['reached']:.0%}",
        )
        for bound in result["bounds"]
    ]
    heads = (
        "",
        "what learns",
        "GFLOP vision",
        "GFLOP decoder",
        "least s vision",
        "least s decoder",
        "most beside (a)",
        "(d) comes to",
    )
    return table(heads, rows, left=2)


def facts_part(result: Result) -> str:
    """What was measured, in a sentence."""
    model, rates = result["model"], result["matmul_gflops_per_s"].values()
    rate = {
        "median": median(each["median"] for each in rates),
        "min": min(each["min"] for each in rates),
        "max": max(each["max"] for each in rates),
    }
    largest = max(result["first_loss_difference"].values())
    return (
        f"{rounds_of(result)} rounds on {result['threads']} threads; a model of {model['parameters'] / 1e6:.0f} M parameters "
        f"with a vocabulary of {model['vocabulary']:,}. A large product of matrices ran at {told(rate, digits=0)} GFLOP/s. "
        f"Losses of the first step differ from those of (a) by {largest:.1g} at most.\n"
    )


def rounds_of(result: Result) -> str:
    """How many rounds there were; of parts that had more than others, from the least to the most."""
    least, most = min(result["rounds"].values()), max(result["rounds"].values())
    return f"{least}" if least == most else f"{least}–{most}"


def readme_part(result: Result) -> str:
    """The goals, for README.md."""
    return f"""**Speed of training** (`python benchmarks/speed.py`), {result["threads"]} CPU threads, median of {rounds_of(result)} rounds (least–most): (a) transformers'
own class and Trainer with their defaults, (b) what most public scripts do, (d) `ocrtune train`.
[What limits each ratio, and what each feature brings](docs/speed.md)

{goals_part(result)}"""


def ablation_picture(result: Result) -> str:
    """Bars of (a), (b), every rung, and (d), for every workload, the decoder learning in full."""
    groups = {
        result["workloads"][workload]: [
            Bar(
                title=row["title"],
                median=row["speedup"]["median"],
                least=row["speedup"]["min"],
                most=row["speedup"]["max"],
                kind="first"
                if row["variant"] in {"plain", "recipe"}
                else ""
                if row["features"] is not None
                else "last",
            )
            for row in rows
        ]
        for (workload, regime), rows in grouped(result["rows"]).items()
        if regime == "decoder"
    }
    return bars_picture(groups, "speed beside (a)")


def growth_picture(result: Result) -> str:
    """What a step costs over tiles, answers and pages, for (a) and (d)."""
    names = {"plain": "(a)", "ours": "(d)"}
    panels = [
        Panel(
            title=title,
            curves={
                names[variant]: {
                    float(value): seconds for value, seconds in curves[curve].items() if seconds is not None
                }
                for variant, curves in result["growth"].items()
            },
        )
        for curve, title in CURVE_TITLES.items()
    ]
    return curves_picture(panels, "seconds a step")


def times(spread: Mapping[str, float]) -> str:
    """A ratio with its spread."""
    return f"{spread['median']:.2f}× ({spread['min']:.2f}–{spread['max']:.2f})"


def told(spread: Mapping[str, float], *, percent: bool = False, digits: int = 2) -> str:
    """A value with its spread."""
    form = "{:.0%}" if percent else f"{{:.{digits}f}}"
    middle, least, most = (form.format(spread[key]) for key in ("median", "min", "max"))
    return f"{middle} ({least}–{most})"
