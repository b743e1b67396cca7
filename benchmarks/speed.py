"""What makes training fast, and how fast it is: ocrtune beside transformers' own path and beside the usual recipe.

Run it with `python benchmarks/speed.py`; it prints one JSON object and writes it to `speed.json` beside it, part after part. A part is
measured again by `--only PART --into benchmarks/speed.json`. In each round every way of training runs once, in a process of its
own with two threads of torch: a step to warm up, then an epoch. Ratios are taken within a round. See `speed_workloads.py` for
what is trained, `speed_variants.py` for the ways.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import speed_variants
from machine import describe_machine
from ocrtune.sources import write_text_atomically
from speed_cases import PLAIN, TITLES, Case, list_cases
from speed_runs import Request
from speed_summary import (
    GROWTH,
    Round,
    merge_results,
    name_of,
    require_equal_losses,
    require_same_conditions,
    summarize_all,
)
from speed_workloads import REGIMES, WORKLOADS, prepare

RESULT = Path(__file__).with_suffix(".json")
ROUNDS, QUICK_ROUNDS = 5, 1
PARTS = (*WORKLOADS, GROWTH)
WEIGHED = ("page",)
"""Workloads of which memory is measured."""

GROWN = (PLAIN, "ours")
ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


def main() -> None:
    options = read_options()
    threads = str(options.threads)
    os.environ.update(ENVIRONMENT, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    # The server of processes imports before it is told where (CPython 3.11), and says nothing if it cannot.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
    with tempfile.TemporaryDirectory() as folder:
        conditions = {
            "model": in_process(prepare, Path(folder)),
            "threads": options.threads,
            "machine": describe_machine("torch", "transformers", "accelerate", "peft"),
        }
        # As they are in a file.
        conditions = json.loads(json.dumps(conditions))
        stored = {} if options.whole or not options.into else read_result(options.into)
        # An error now rather than after half an hour.
        require_same_conditions(stored, conditions)
        result: dict[str, Any] = {}
        for part in measure_parts(options, folder):
            result = merge_results(result, {**conditions, **part})
            if options.into:
                write_text_atomically(options.into, to_text(merge_results(stored, result)))
    print(to_text(result), end="")


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help=f"how often every way runs, {ROUNDS} without it")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--regime", nargs="+", choices=REGIMES, default=list(REGIMES), help="what learns")
    parser.add_argument("--variant", nargs="+", default=None, help=f"of {', '.join(TITLES)}, ablation")
    parser.add_argument("--threads", type=int, default=2, help="of torch, 2 without it")
    parser.add_argument("--into", type=Path, help="a file of results: what is measured takes its place there")
    parser.add_argument("--quick", action="store_true", help="one round: does it run?")
    options = parser.parse_args()
    # Of a comparison all ways are told or none.
    complete = not (options.variant or options.quick)
    if options.into and not complete:
        parser.error("--variant and --quick are not written into a file")
    options.whole = complete and not options.into and set(options.only) == {*PARTS}
    options.whole = options.whole and set(options.regime) == {*REGIMES}
    options.into = RESULT if options.whole else options.into
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def read_result(file: Path) -> dict[str, Any]:
    """What stands in a file of results; nothing where there is none."""
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def to_text(result: Mapping[str, Any]) -> str:
    """The file of a result."""
    return json.dumps(result, indent=1) + "\n"


def measure_parts(options: argparse.Namespace, folder: str) -> Iterator[dict[str, Any]]:
    """Each part asked for, one after another."""
    for part in options.only:
        began_s = time.monotonic()
        if part == GROWTH:
            yield {"growth": measure_growth(folder, options.threads)}
        else:
            cases = list_cases([part], options.regime, options.variant)
            requests = {case: request_of(case, folder, options.threads) for case in cases}
            yield measure_workload(requests, rounds=options.rounds) if cases else {}
        print(f"{part}: {time.monotonic() - began_s:.0f} s", file=sys.stderr, flush=True)


def measure_workload(requests: Mapping[Case, Request], *, rounds: int) -> dict[str, Any]:
    """All rounds of a workload, then memory and the work there is."""
    begin_features(requests)
    seen: list[Round] = []
    for number in range(rounds):
        seen.append({})
        for case, request in requests.items():
            seen[-1][case] = in_process(speed_variants.measure, request)
            tell(f"round {number + 1} of {rounds}", case, seen[-1][case])
    require_equal_losses(seen)
    peaks = {}
    for case, request in requests.items():
        if case.workload not in WEIGHED or case.variant == "cached":
            # Its process has computed features before; the peak without is that of `given`.
            continue
        peaks[case] = in_process(speed_variants.measure, replace(request, for_memory=True))
        tell("memory", case, peaks[case])
    work = {
        name_of(case): in_process(speed_variants.count_work, request)
        for case, request in requests.items()
        if case.is_ours
    }
    return summarize_all(seen, peaks, work)


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


if __name__ == "__main__":
    main()
