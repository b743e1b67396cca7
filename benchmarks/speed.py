"""What makes training fast, and how fast it is: ocrtune beside transformers' own path and beside the usual recipe.

Run it with `python benchmarks/speed.py`; it prints one JSON object and writes it to `speed.json` beside it. In each round
every way of training runs once, in a process of its own with two threads of torch: a step to warm up, then an epoch. Ratios are
taken within a round. See `speed_workloads.py` for what is trained, `speed_variants.py` for the ways.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import speed_features
import speed_variants
from speed_variants import Request
from speed_workloads import REGIME_TITLES, REGIMES, WORKLOADS, Regime, prepare

ROUNDS, QUICK_ROUNDS = 5, 1
MOST_LOSS_DIFFERENCE = 1e-4
PLAIN = "plain"
WEIGHED = ("page",)
"""Workloads of which memory is measured."""

GROWN = (PLAIN, "ours")
TITLES = {
    PLAIN: "(a) plain native path",
    "recipe": "(b) per-image recipe",
    "ours": "(d) ocrtune, first epoch",
    "cached": "(d) ocrtune, second epoch, features from the cache",
    "given": "ocrtune, features given from memory",
}
ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}

Spread = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of training on one workload.

    Attributes:
        workload: A key of `WORKLOADS`.
        regime: What learns.
        variant: See `speed_variants.Request`.
        used: Features of a rung of the ablation; None where it is none.
    """

    workload: str
    regime: Regime
    variant: str
    used: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """For tables."""
        if self.used is None:
            return TITLES[self.variant]
        return f"(c) … {self.used[-1]}" if self.used else "(c) ocrtune without any of its features"

    @property
    def baseline(self) -> "Case":
        """What it is compared with."""
        return replace(self, variant=PLAIN, used=None)


def main() -> None:
    options = read_options()
    threads = str(options.threads)
    os.environ.update(ENVIRONMENT, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    # The server of processes imports before it is told where (CPython 3.11), and says nothing if it cannot.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
    cases = list_cases(options.only, options.regime, options.variant)
    with tempfile.TemporaryDirectory() as folder:
        facts = in_process(prepare, Path(folder))
        requests = {case: request_of(case, folder, options.threads) for case in cases}
        begin_features(requests)
        result = measure_all(requests, rounds=options.rounds)
        growth = {} if options.quick or options.no_growth else measure_growth(folder, options.threads)
    text = json.dumps({"model": facts, **result, "growth": growth, "machine": machine()}, indent=1) + "\n"
    if options.write:
        Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help=f"how often every way runs, {ROUNDS} without it")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="workloads")
    parser.add_argument("--regime", nargs="+", choices=REGIMES, default=list(REGIMES), help="what learns")
    parser.add_argument("--variant", nargs="+", default=None, help=f"of {', '.join(TITLES)}, ablation")
    parser.add_argument("--threads", type=int, default=2, help="of torch, 2 without it")
    parser.add_argument(
        "--no-growth", action="store_true", help="without the curves over tiles, answers, pages"
    )
    parser.add_argument("--quick", action="store_true", help="one round, without curves: does it run?")
    options = parser.parse_args()
    # A part of it would leave a file that tells a part of the truth.
    whole = (
        len(options.only) == len(WORKLOADS) and len(options.regime) == len(REGIMES) and not options.variant
    )
    options.write = whole and not (options.quick or options.no_growth)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def list_cases(
    workloads: Sequence[str], regimes: Sequence[str], variants: Sequence[str] | None
) -> list[Case]:
    """Every way of training on every workload, those compared first; the plain path is never left out."""
    cases = [
        case
        for workload in workloads
        for regime in WORKLOADS[workload].regimes
        if regime in regimes
        for case in cases_of(workload, regime)
    ]
    if variants is None:
        return cases
    kept = {PLAIN, *variants}
    return [case for case in cases if ("ablation" if case.used is not None else case.variant) in kept]


def cases_of(workload: str, regime: Regime) -> list[Case]:
    """The ways of one workload and regime; recipe and ablation where the decoder learns in full."""
    names = [PLAIN, "ours"]
    if regime != "all":
        # Where vision learns, nothing of it can be kept.
        names += ["given", *(["cached"] if speed_features.CACHE.exists else [])]
    if regime == "decoder":
        names.append("recipe")
    cases = [Case(workload=workload, regime=regime, variant=name) for name in names]
    return cases + (ablation(workload, regime) if regime == "decoder" else [])


def ablation(workload: str, regime: Regime) -> list[Case]:
    """Rungs from no feature to all but the last; all of them is `ours`."""
    features = tuple(speed_features.features_of(workload))
    return [
        Case(workload=workload, regime=regime, variant="ours", used=features[:count])
        for count in range(len(features))
    ]


def measure_all(requests: Mapping[Case, Request], *, rounds: int) -> dict[str, Any]:
    """All rounds, then memory and the work there is, in one dictionary."""
    cases = list(requests)
    seen: list[dict[Case, dict[str, Any]]] = []
    for number in range(rounds):
        seen.append({})
        for case, request in requests.items():
            seen[-1][case] = in_process(speed_variants.measure, request)
            tell(f"round {number + 1} of {rounds}", case, seen[-1][case])
    differences = require_equal_losses(seen)
    peaks = {}
    for case, request in requests.items():
        if case.workload not in WEIGHED or case.variant == "cached":
            # Its process has computed features before; the peak without is that of `given`.
            continue
        peaks[case] = in_process(speed_variants.measure, replace(request, for_memory=True))
        tell("memory", case, peaks[case])
    work = {
        (case.workload, case.regime): in_process(speed_variants.count_work, requests[case])
        for case in cases
        if case.variant == "ours" and case.used is None
    }
    return {
        "rounds": rounds,
        "threads": next(iter(requests.values())).threads,
        "workloads": {case.workload: WORKLOADS[case.workload].title for case in cases},
        "regimes": {case.regime: REGIME_TITLES[case.regime] for case in cases},
        "first_loss_difference": differences,
        "matmul_gflops_per_s": spread(
            [row["matmul_flops_per_s"] / 1e9 for round_ in seen for row in round_.values()]
        ),
        "rows": [summarize(case, seen, peaks, work) for case in cases],
        "bounds": [bound(case, seen, work) for case in cases if case.variant == "ours" and case.used is None],
        "decoder": [decoder_share(case, seen, work) for case in cases if case.variant == "given"],
    }


def begin_features(requests: Mapping[Case, Request]) -> None:
    """Write the vision features that `given` reads."""
    done = set()
    for case, request in requests.items():
        if case.variant == "given" and case.workload not in done:
            done.add(case.workload)
            in_process(speed_variants.write_features, replace(request, variant="ours"))


def measure_growth(folder: str, threads: int) -> dict[str, Any]:
    """The curves of the ways compared, once each."""
    return {
        variant: in_process(
            speed_variants.grow,
            Request(folder=folder, workload="page", regime="decoder", variant=variant, threads=threads),
        )
        for variant in GROWN
    }


def request_of(case: Case, folder: str, threads: int) -> Request:
    """What the process of a case is asked."""
    return Request(
        folder=folder,
        workload=case.workload,
        regime=case.regime,
        variant=case.variant,
        used=case.used,
        threads=threads,
    )


def in_process(work: Callable[[Any], Any], argument: Any) -> Any:
    """`work(argument)` in a process of its own, that of another server which has imported the modules and run nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["speed_variants"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as executor:
        return executor.submit(work, argument).result()


def tell(when: str, case: Case, measured: Mapping[str, Any]) -> None:
    """One line to stderr."""
    print(
        f"{when}: {case.workload}, {case.regime}: {case.title}: {measured['s_per_step']:.2f} s a step, "
        f"{measured['peak_mib']:.0f} MiB, loss {measured['first_loss']:.6f}",
        file=sys.stderr,
        flush=True,
    )


def require_equal_losses(seen: Sequence[Mapping[Case, Mapping[str, Any]]]) -> dict[str, float]:
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
            key = f"{case.workload}, {case.regime}"
            differences[key] = max(difference, differences.get(key, 0.0))
    return differences


def summarize(
    case: Case,
    seen: Sequence[Mapping[Case, Mapping[str, Any]]],
    peaks: Mapping[Case, Mapping[str, Any]],
    work: Mapping[tuple[str, str], Mapping[str, float]],
) -> dict[str, Any]:
    """A row of the result; ratios are taken within each round."""
    pages, needed = WORKLOADS[case.workload].step_size, work.get((case.workload, case.regime), {})
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


def peak_of(case: Case, peaks: Mapping[Case, Mapping[str, Any]]) -> dict[str, float | None]:
    """Peak memory, and beside the plain path's; None where it was not measured."""
    if case not in peaks:
        return {"peak_mib": None, "peak_ratio": None}
    peak = peaks[case]["peak_mib"]
    return {"peak_mib": round(peak), "peak_ratio": round(peak / peaks[case.baseline]["peak_mib"], 3)}


def over_recipe(case: Case, seen: Sequence[Mapping[Case, Mapping[str, Any]]]) -> Spread | None:
    """How much faster than the recipe; None where that was not measured."""
    recipe = replace(case, variant="recipe", used=None)
    if recipe not in seen[0]:
        return None
    return spread([round_[recipe]["s_per_step"] / round_[case]["s_per_step"] for round_ in seen])


def bound(
    case: Case,
    seen: Sequence[Mapping[Case, Mapping[str, Any]]],
    work: Mapping[tuple[str, str], Mapping[str, float]],
) -> dict[str, Any]:
    """What arithmetic allows: the needed FLOPs at the rate of a large matmul, and how near ocrtune comes to it."""
    needed = work[case.workload, case.regime]
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
    }


def decoder_share(
    case: Case,
    seen: Sequence[Mapping[Case, Mapping[str, Any]]],
    work: Mapping[tuple[str, str], Mapping[str, float]],
) -> dict[str, Any]:
    """Share of the matmul rate in the decoder's forward and backward, features given, without the optimizer."""
    flops = work[case.workload, case.regime]["decoder_first_batch"]
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


def machine() -> dict[str, Any]:
    """What numbers depend on beside the code."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "accelerate", "peft")},
    }


if __name__ == "__main__":
    main()
