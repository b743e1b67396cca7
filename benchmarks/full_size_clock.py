"""What a phase of `full_size.py` takes, in its parts."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from transformers import TrainerCallback, TrainerState

Timings = dict[str, float]


class Clock:
    """Seconds of the parts of a phase, by name: on the clock, and of processor time on all cores together."""

    def __init__(self) -> None:
        self.seconds: Timings = {}
        self.processor_s: Timings = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block."""
        started, used = time.monotonic(), time.process_time()
        yield
        for taken in (self.seconds, self.processor_s):
            taken.pop(name, None)  # what is timed again stands last
        self.seconds[name] = time.monotonic() - started
        self.processor_s[name] = time.process_time() - used


class StepClock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped to mypy
    """Times each step, forward, backward and update, its batch not included; and saving after the last.

    Args:
        clock: Gets them under `step 1`, …, and `save`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running = ExitStack()

    def on_step_begin(self, _: Any, state: TrainerState, *__: Any, **___: Any) -> None:
        """The batch is there."""
        self._running.close()
        self._running.enter_context(self._clock(f"step {state.global_step + 1}"))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Weights are updated, and nothing is saved yet."""
        self._running.close()
        self._running.enter_context(self._clock("save"))

    def on_save(self, *_: Any, **__: Any) -> None:
        """The checkpoint is written."""
        self._running.close()
