"""How many synthetic lines and pages a second one core makes, and what of it takes the time.

Run it with `python benchmarks/synth.py`; it prints one JSON object and writes it to `synth.json` beside it. Fonts are
those of the system.
"""

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import fontTools
import numpy as np
import PIL

from ocrtune.synth import Maker, SynthConfig, making, parse_synth_config
from ocrtune.synth.texts import TextSource

ROUNDS = 5
ROUND_S = 2.0
"""Processor time of a round; the first one is not counted, because it fills the caches of drawn letters."""

A4_AT_150_DPI_PX = {"width_px": 1240, "height_px": 1754}
CASES: dict[str, dict[str, Any]] = {
    "line": {},
    "line, no degradations": {"degradations": "none"},
    "paragraph": {"layouts": {"paragraph": 1}},
    "page in columns": {"layouts": {"columns": 1}},
    "table": {"layouts": {"table": 1}},
}
TEXT_METHODS = ("line", "paragraph", "words", "number")


def main() -> None:
    result = {
        "rounds": ROUNDS,
        "letters": SynthConfig().letters.longest,
        "page_px": list(A4_AT_150_DPI_PX.values()),
        "fonts": len(Maker(SynthConfig()).fonts.faces),
        "rows": [measure(name, keys) for name, keys in CASES.items()],
        "machine": {
            "cpus": os.cpu_count(),
            "pillow": PIL.__version__,
            "numpy": np.__version__,
            "fonttools": fontTools.version,
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")


def measure(name: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Medians over rounds: images a second of processor time, and the share of each step in it."""
    maker = Maker(parse_synth_config({"degradations": "typical", "paper": A4_AT_150_DPI_PX, **keys}))
    numbers = iter(range(10**9))
    run_round(maker, numbers)
    rounds = [run_round(maker, numbers) for _ in range(ROUNDS)]
    speeds = [count / seconds for count, seconds, _ in rounds]
    shares = {
        step: round(statistics.median(spent[step] / seconds for _, seconds, spent in rounds), 2)
        for step in ("text", "set", "degrade")
    }
    return {
        "name": name,
        "degradations": keys.get("degradations", "typical"),
        "per_s": round(statistics.median(speeds), 1),
        "slowest_per_s": round(min(speeds), 1),
        "fastest_per_s": round(max(speeds), 1),
        "shares": shares,
    }


def run_round(maker: Maker, numbers: Iterator[int]) -> tuple[int, float, Counter[str]]:
    """Samples made, the processor time they took, and of it what each step took."""
    spent: Counter[str] = Counter()
    with ExitStack() as stack:
        stack.enter_context(watched(making, "make_sheet", "set", spent))
        stack.enter_context(watched(making, "degrade", "degrade", spent))
        for method in TEXT_METHODS:
            stack.enter_context(watched(TextSource, method, "text", spent))
        start, count = time.process_time(), 0
        while time.process_time() - start < ROUND_S:
            maker.sample(next(numbers))
            count += 1
        seconds = time.process_time() - start
    # Texts are drawn while a sheet is set.
    spent["set"] -= spent["text"]
    return count, seconds, spent


@contextmanager
def watched(owner: Any, name: str, step: str, spent: Counter[str]) -> Iterator[None]:
    """Count the processor time inside `owner.name` under `step`; a call within a call counts once."""
    real: Callable[..., Any] = getattr(owner, name)
    depth = spent_depths.setdefault(step, [0])

    @wraps(real)
    def timed(*arguments: Any, **options: Any) -> Any:
        depth[0] += 1
        start = time.process_time()
        try:
            return real(*arguments, **options)
        finally:
            depth[0] -= 1
            if not depth[0]:
                spent[step] += time.process_time() - start

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, real)


spent_depths: dict[str, list[int]] = {}


if __name__ == "__main__":
    main()
