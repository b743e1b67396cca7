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
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

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


def bar_columns() -> tuple[
    TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn | TimeRemainingColumn, ...
]:
    """The columns every bar of ocrtune has: what, bar, count, time gone, time left."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


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
            of_total = "" if total is None else f" of {total}"
            say(f"{description}: {done}{of_total}, {now - start:.0f} s")
        yield item
        done += size(item)
