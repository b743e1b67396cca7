"""Progress on stderr: a bar on a terminal, plain lines elsewhere; stdout stays free for data."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

PLAIN_LINE_EVERY_S = 10.0

Item = TypeVar("Item")


def is_first_process() -> bool:
    """Whether this process speaks and writes: of those that torchrun or accelerate start together only the first does."""
    return os.environ.get("RANK", "0") == "0"


def talk() -> Console:
    """The console for people: stderr, without colour where it is not a terminal; silent beside the first process."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True, quiet=not is_first_process())


def say(message: str) -> None:
    """One line to people, as it is."""
    talk().print(message, markup=False)


def track(
    items: Iterable[Item],
    description: str,
    *,
    total: int | None = None,
    size: Callable[[Item], int] = lambda _: 1,
) -> Iterator[Item]:
    """The items as they are, with progress shown while they are worked on.

    Args:
        items: What is worked on.
        description: What is done to them, such as `predicting`.
        total: How many; asked of `items` without it, and unknown if it cannot say.
        size: By how many an item counts, such as the pages of a chunk.
    """
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    if talk().is_terminal:
        yield from _track_on_terminal(items, description, total, size)
    else:
        yield from _track_in_lines(items, description, total, size)


def bar_columns() -> tuple[ProgressColumn, ...]:
    """The columns every bar of ocrtune has: what, bar, count, speed, time gone, time left."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


class SpeedColumn(ProgressColumn):
    """Items a second, or seconds an item where they take longer than one."""

    def render(self, task: Task) -> Text:
        """The speed of late, else of all, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(_speed(speed) if speed else "")


def _speed(per_s: float) -> str:
    return f"{per_s:.1f}/s" if per_s >= 1 else f"{1 / per_s:.1f} s each"


def _in_words(done: int, total: int | None, elapsed_s: float) -> str:
    """`40 of 200, 20 s, 2.0/s, 80 s left`; without the end where nobody knows it."""
    words = [f"{done}" if total is None else f"{done} of {total}", f"{elapsed_s:.0f} s"]
    if done:
        words.append(_speed(done / elapsed_s))
    if done and total is not None:
        words.append(f"{elapsed_s / done * (total - done):.0f} s left")
    return ", ".join(words)


def _track_on_terminal(
    items: Iterable[Item], description: str, total: int | None, size: Callable[[Item], int]
) -> Iterator[Item]:
    with Progress(*bar_columns(), console=talk(), transient=True) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task, size(item))


def _track_in_lines(
    items: Iterable[Item], description: str, total: int | None, size: Callable[[Item], int]
) -> Iterator[Item]:
    start = said = time.monotonic()
    done = 0
    for item in items:
        now = time.monotonic()
        if now - said >= PLAIN_LINE_EVERY_S:
            said = now
            say(f"{description}: {_in_words(done, total, now - start)}")
        yield item
        done += size(item)
