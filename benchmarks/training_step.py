"""What a training step costs: ocrtune beside the plain native path and beside transformers' defaults.

Run it with `python benchmarks/training_step.py`; it prints one JSON object and writes it to `training_step.json`
beside it. Each way of training is a process of its own with one thread, see `training_variants.py`. For speed they take
turns step by step, so that a machine that slows down slows all of them; all together need about 13 GB of memory. For
memory they run alone.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

VARIANTS = ("plain", "defaults", "ocrtune", "experts", "vision", "logits", "order")
"""Names in `training_variants.py`; the first is what the others are compared with."""

MEASURED_FOR_MEMORY = ("plain", "defaults", "ocrtune")
EPOCHS_FOR_SPEED, EPOCHS_FOR_MEMORY = 2, 1

MOST_LOSS_DIFFERENCE = 1e-4
SCRIPT = Path(__file__).with_name("training_variants.py")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
GIVES_MEMORY_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Otherwise glibc keeps what a program frees, and the peak of the process is not that of its tensors; it costs time."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = run_all({"prepare": ["prepare", folder]})["prepare"]
        speeds = run_all({variant: [variant, folder, str(EPOCHS_FOR_SPEED)] for variant in VARIANTS})
        peaks = {
            variant: run_all({variant: [variant, folder, str(EPOCHS_FOR_MEMORY)]}, GIVES_MEMORY_BACK)[variant]
            for variant in MEASURED_FOR_MEMORY
        }
    rows = [summarize(variant, speeds[variant], facts) for variant in VARIANTS]
    result = {
        **facts,
        "threads": 1,
        "clock": "processor time of the process, mean of the epochs",
        "first_loss_difference": require_equal([row["first_loss"] for row in rows]),
        "rows": [
            row | {"speedup": round(rows[0]["cpu_s_per_step"] / row["cpu_s_per_step"], 2)} for row in rows
        ],
        "memory": [
            {
                "name": variant,
                "peak_mib": round(peak["peak_mib"]),
                "before_training_mib": round(peak["loaded_mib"]),
                "ratio": round(peak["peak_mib"] / peaks[VARIANTS[0]]["peak_mib"], 2),
            }
            for variant, peak in peaks.items()
        ],
        "machine": machine(),
    }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def run_all(
    arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str] = MappingProxyType({})
) -> dict[str, dict[str, Any]]:
    """The results of `training_variants.py` by name of the run; the runs do a step each in turn.

    Args:
        arguments: Command line of each run.
        environment: Variables besides those for one thread.
    """
    runs = {name: take_turns(command, environment) for name, command in arguments.items()}
    results: dict[str, dict[str, Any]] = {}
    while len(results) < len(runs):
        for name, run in runs.items():
            if name not in results and (result := next(run)) is not None:
                results[name] = result
    return results


def take_turns(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[dict[str, Any] | None]:
    """Start a process and let it do a step for each None; its result comes last."""
    print(f"{' '.join(arguments)} …", file=sys.stderr)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            env={**os.environ, **ONE_THREAD, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        line = ""
        for line in process.stdout:
            if line == "ready\n":
                yield None
                process.stdin.write("go\n")
                process.stdin.flush()
        if process.wait():
            errors.seek(0)
            raise SystemExit(f"error: {arguments[0]} failed\n{errors.read()}")
    yield json.loads(line)


def summarize(name: str, measured: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """A row of the result: means over the epochs, and speeds over the pages' own tokens."""
    pages, epochs = facts["pages"], measured["cpu_s"]
    cpu_s = sum(epochs) / len(epochs)
    steps = -(-pages["number"] // facts["batch_size"])
    return {
        "name": name,
        **{key: measured[key] for key in ("title", "vision", "logits", "experts", "order")},
        "steps_in_an_epoch": steps,
        "cpu_s_per_step": round(cpu_s / steps, 3),
        "cpu_s_of_epochs": [round(epoch, 2) for epoch in epochs],
        "images_per_s": round(pages["number"] / cpu_s, 2),
        "tokens_per_s": round(pages["tokens"] / cpu_s),
        "positions_in_an_epoch": round(measured["positions"] / len(epochs)),
        "first_loss": measured["first_loss"],
        "first_gradient_norm": measured["first_gradient_norm"],
    }


def require_equal(losses: Sequence[float]) -> float:
    """The largest difference between losses of the same batch; variants that compute something else stop the run."""
    difference = max(losses) - min(losses)
    if difference > MOST_LOSS_DIFFERENCE:
        raise SystemExit(f"error: losses of the first batch differ by {difference:.2g}: {losses}")
    return difference


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "accelerate")},
    }


if __name__ == "__main__":
    main()
