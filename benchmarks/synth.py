"""How many synthetic lines and pages a second one core makes, and what of it takes the time.

Run it with `python benchmarks/synth.py`; it prints one JSON object and writes it to `synth.json` beside it. Fonts are
those of the system.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from machine import describe_machine
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
        "machine": describe_machine("pillow", "numpy", "fonttools"),
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


def run_round(maker: Maker, numbers: Iterator[int]) -> tuple[int, float, dict[str, float]]:
    """Samples made, the processor time they took, and of it what each step took."""
    clocks = {step: Clock() for step in ("text", "set", "degrade")}
    with ExitStack() as stack:
        stack.enter_context(clocks["set"].watch(making, "make_sheet"))
        stack.enter_context(clocks["degrade"].watch(making, "degrade"))
        for method in TEXT_METHODS:
            stack.enter_context(clocks["text"].watch(TextSource, method))
        start, count = time.process_time(), 0
        while time.process_time() - start < ROUND_S:
            maker.sample(next(numbers))
            count += 1
        seconds = time.process_time() - start
    spent = {step: clock.seconds for step, clock in clocks.items()}
    # Texts are drawn while a sheet is set.
    return count, seconds, {**spent, "set": spent["set"] - spent["text"]}


class Clock:
    """Counts the processor time inside functions; a call within a call counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    @contextmanager
    def watch(self, owner: Any, name: str) -> Iterator[None]:
        """Count calls of `owner.name`."""
        real = getattr(owner, name)
        setattr(owner, name, self._timed(real))
        try:
            yield
        finally:
            setattr(owner, name, real)

    def _timed(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def timed(*arguments: Any, **options: Any) -> Any:
            self._depth += 1
            start = time.process_time()
            try:
                return real(*arguments, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.process_time() - start

        return timed


if __name__ == "__main__":
    main()
