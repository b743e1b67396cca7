"""What the rounds of `speed.py` come to: rows of tables, bounds, shares; and parts of a result put together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from speed_cases import Case
from speed_workloads import REGIME_TITLES, REGIMES, WORKLOADS

MOST_LOSS_DIFFERENCE = 1e-4
BY_NAME = ("rounds", "first_loss_difference", "matmul_gflops_per_s")
"""Of a result: what is told of each workload and regime by its name."""

GROWTH = "growth"
LISTS = ("rows", "bounds", "decoder")
"""Of a result: rows of a workload and regime."""

CONDITIONS = ("model", "threads", "machine")
"""Of a result: what must be the same where parts are put together."""

Measured = Mapping[str, Any]
Round = dict[Case, Measured]
"""What every way measured in one round."""

Work = Mapping[str, Mapping[str, float]]
"""FLOPs of a step by the name of workload and regime, see `speed_variants.count_work`."""

Spread = dict[str, float]


def name_of(case: Case) -> str:
    """The name of its workload and regime."""
    return f"{case.workload}, {case.regime}"


def merge_results(stored: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The stored result with what is new in place of the same there; the new one alone where nothing is stored.

    Raises:
        SystemExit: They were measured under other conditions.
    """
    require_same_conditions(stored, new)
    measured = new.get("rounds", {})
    merged = {**stored, **new}
    for key in (*BY_NAME, "workloads", "regimes", GROWTH):
        merged[key] = {**stored.get(key, {}), **new.get(key, {})}
    for key in LISTS:
        kept = [row for row in stored.get(key, []) if f"{row['workload']}, {row['regime']}" not in measured]
        merged[key] = sorted([*kept, *new.get(key, [])], key=place_of)
    return merged


def require_same_conditions(stored: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Parts measured on other models or machines are not put together."""
    for key in CONDITIONS:
        if stored and stored[key] != new[key]:
            raise SystemExit(
                f"error: {key} of the stored result is {stored[key]}, and of this run {new[key]}"
            )


def place_of(row: Measured) -> tuple[int, int]:
    """Where a row stands among those of other workloads and regimes."""
    return list(WORKLOADS).index(row["workload"]), list(REGIMES).index(row["regime"])


def summarize_all(seen: Sequence[Round], peaks: Round, work: Work) -> dict[str, Any]:
    """What the rounds come to, in one dictionary."""
    cases = list(seen[0])
    names = {name_of(case): [other for other in cases if name_of(other) == name_of(case)] for case in cases}
    return {
        "rounds": {name: len(seen) for name in names},
        "workloads": {case.workload: WORKLOADS[case.workload].title for case in cases},
        "regimes": {case.regime: REGIME_TITLES[case.regime] for case in cases},
        "first_loss_difference": require_equal_losses(seen),
        "matmul_gflops_per_s": {
            name: spread([round_[case]["matmul_flops_per_s"] / 1e9 for round_ in seen for case in members])
            for name, members in names.items()
        },
        "rows": [summarize(case, seen, peaks, work) for case in cases],
        "bounds": [bound(case, seen, peaks, work) for case in cases if case.is_ours],
        "decoder": [
            decoder_share(case, seen, work)
            for case in cases
            # Work is counted where ours is measured.
            if case.variant == "given" and name_of(case) in work
        ],
    }


def require_equal_losses(seen: Sequence[Round]) -> dict[str, float]:
    """The largest difference from the plain path's loss of the same examples; a way that computes another stops the run."""
    differences: dict[str, float] = {}
    for round_ in seen:
        for case, measured in round_.items():
            expected = round_[case.baseline]["first_loss"]
            difference = abs(measured["first_loss"] - expected)
            if not difference <= MOST_LOSS_DIFFERENCE:
                raise SystemExit(
                    f"error: {case.workload}, {case.regime}, {case.title}: the first loss is "
                    f"{measured['first_loss']:.6f}, that of the plain path {expected:.6f}"
                )
            name = name_of(case)
            differences[name] = max(difference, differences.get(name, 0.0))
    return differences


def summarize(
    case: Case,
    seen: Sequence[Round],
    peaks: Round,
    work: Work,
) -> dict[str, Any]:
    """A row of the result; ratios are taken within each round."""
    pages, needed = WORKLOADS[case.workload].step_size, work.get(name_of(case), {})
    times = [round_[case]["s_per_step"] for round_ in seen]
    flops = needed.get("decoder" if case.variant in {"given", "cached"} else "all", 0.0)
    return {
        "workload": case.workload,
        "regime": case.regime,
        "variant": case.variant if case.used is None else "ablation",
        "features": case.used,
        "title": case.title,
        "s_per_step": spread(times),
        "pages_per_s": spread([pages / seconds for seconds in times]),
        "target_tokens_per_s": spread([needed.get("targets", 0.0) / seconds for seconds in times]),
        "speedup": spread(
            [round_[case.baseline]["s_per_step"] / round_[case]["s_per_step"] for round_ in seen]
        ),
        "speedup_over_recipe": over_recipe(case, seen),
        **peak_of(case, peaks),
        "matmul_share": spread(
            [flops / round_[case]["s_per_step"] / round_[case]["matmul_flops_per_s"] for round_ in seen]
        ),
    }


def peak_of(case: Case, peaks: Round) -> dict[str, float | None]:
    """Peak memory, and beside the plain path's; None where it was not measured."""
    if case not in peaks:
        return {"peak_mib": None, "peak_ratio": None}
    peak = peaks[case]["peak_mib"]
    return {"peak_mib": round(peak), "peak_ratio": round(peak / peaks[case.baseline]["peak_mib"], 3)}


def over_recipe(case: Case, seen: Sequence[Round]) -> Spread | None:
    """How much faster than the recipe; None where that was not measured."""
    recipe = replace(case, variant="recipe", used=None)
    if recipe not in seen[0]:
        return None
    return spread([round_[recipe]["s_per_step"] / round_[case]["s_per_step"] for round_ in seen])


def bound(
    case: Case,
    seen: Sequence[Round],
    peaks: Round,
    work: Work,
) -> dict[str, Any]:
    """What arithmetic allows: the needed FLOPs at the rate of a large matmul, and how near ocrtune comes to it."""
    needed = work[name_of(case)]
    rate = median(round_[case]["matmul_flops_per_s"] for round_ in seen)
    took = median(round_[case]["s_per_step"] for round_ in seen)
    plain = median(round_[case.baseline]["s_per_step"] for round_ in seen)
    least = {part: needed[part] / rate for part in ("all", "vision", "decoder")}
    return {
        "workload": case.workload,
        "regime": case.regime,
        "gflops_per_step": {part: round(needed[part] / 1e9, 2) for part in least},
        "least_s": {part: round(seconds, 4) for part, seconds in least.items()},
        "best_speedup": round(plain / least["all"], 2),
        "best_speedup_given_features": round(plain / least["decoder"], 2),
        "reached": round(least["all"] / took, 3),
        "held_mib": round(needed["held_mib"]),
        "least_peak_ratio": least_peak_ratio(case, peaks, needed),
    }


def least_peak_ratio(case: Case, peaks: Round, needed: Mapping[str, float]) -> float | None:
    """What weights, gradients and moments in fp32 leave of the plain path's peak; None where that was not measured."""
    if case.baseline not in peaks:
        return None
    return round(needed["held_mib"] / peaks[case.baseline]["peak_mib"], 3)


def decoder_share(
    case: Case,
    seen: Sequence[Round],
    work: Work,
) -> dict[str, Any]:
    """Share of the matmul rate in the decoder's forward and backward, features given, without the optimizer."""
    flops = work[name_of(case)]["decoder_first_batch"]
    rows = [round_[case] for round_ in seen]
    return {
        "workload": case.workload,
        "regime": case.regime,
        "gflops": round(flops / 1e9, 2),
        "seconds": spread([row["decoder_s"] for row in rows]),
        "matmul_share": spread([flops / row["decoder_s"] / row["matmul_flops_per_s"] for row in rows]),
    }


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most, to four digits."""
    found = {"median": median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}
