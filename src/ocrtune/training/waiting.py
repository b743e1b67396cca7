"""How long the model stands still because the next batch is not there yet."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

MOST_SHARE = 0.05
"""A run that waits for more of the time of its steps is told so."""

LEAST_TOLD_S = 5.0
"""Of a run that waited for less nobody has to hear: the first batch of any run has to be waited for."""


class Waiting(TrainerCallback):
    """Counts the time of steps, and how much of it went by before their batches were there.

    A step begins when its batches are asked for and ends with the update of the weights; evaluating, saving and logging
    are no part of it. Each process counts its own.
    """

    def __init__(self) -> None:
        self.waited_s = self.steps_s = 0.0
        self._told = (0.0, 0.0)
        self._began: float | None = None

    @contextmanager
    def for_batches(self) -> Iterator[None]:
        """Around what gets the batches of a step."""
        self._began = time.monotonic()
        try:
            yield
        finally:
            self.waited_s += time.monotonic() - self._began

    def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: D102  # the Trainer's hook
        if self._began is not None:
            self.steps_s += time.monotonic() - self._began
            self._began = None

    @property
    def share(self) -> float | None:
        """Of all steps so far; None before the first is done."""
        return min(self.waited_s / self.steps_s, 1.0) if self.steps_s else None

    def take_share(self) -> float:
        """Of the steps since the last call."""
        waited_s, steps_s = self.waited_s - self._told[0], self.steps_s - self._told[1]
        self._told = (self.waited_s, self.steps_s)
        return min(waited_s / steps_s, 1.0) if steps_s > 0 else 0.0


def waiting_note(waiting: Waiting, loaded_by: str) -> str | None:
    """What people are told of a run that waited too much; None where there is nothing to tell.

    Args:
        waiting: Of the run.
        loaded_by: Who made the batches.
    """
    share = waiting.share
    if share is None or share <= MOST_SHARE or waiting.waited_s < LEAST_TOLD_S:
        return None
    return (
        f"note: {share:.0%} of the time of the steps was spent waiting for pages (encoded by {loaded_by})\n"
        "  hint: give the run more cores, or let processes encode by --set training.workers=8; pages much larger than "
        "their views are cheaper saved smaller, and lines that are cut out of pages cheaper as files of their own, "
        "which `ocrtune import` writes"
    )
