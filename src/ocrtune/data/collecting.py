"""Pages looked at chunk by chunk, on all cores where that is worth it, and kept as facts."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from ocrtune.data.facts import Chunk, Collected, Rules, fail_page, join_chunks, key_of, look_at_pages
from ocrtune.data.journal import Journal
from ocrtune.data.repeats import gather_repeats
from ocrtune.progress import say, track
from ocrtune.records import Finding, Page

PAGES_A_CHUNK = {"pixels": 32, "files": 256, "texts": 512}
"""What one process does at a time, and what is lost when a check is stopped; never depends on the machine."""

STARTING_S = 3.0
"""Starting processes takes about as long; what is done sooner is done in this one."""

CHUNKS_AHEAD = 3
"""Chunks for each process that are on their way; more would only take memory."""


def collect_facts(
    pages: Sequence[Page],
    rules: Rules,
    *,
    workers: int | None = None,
    journal: Journal | None = None,
    part: str = "pages",
) -> Collected:
    """What is kept of all pages; the same whatever `workers` is, and whether or not it was stopped in between.

    Args:
        pages: Each is asked for once or twice, and not kept.
        rules: What they are checked against.
        workers: Processes; None for one a core, 1 for this one alone. Where all is done soon, others are not started.
        journal: Has the chunks that are finished, and is given the new ones.
        part: What the journal calls these pages.
    """
    collected = Collected()
    looking = _look_at_ranges(pages, rules, workers, journal, part)
    try:
        for chunk in track(looking, "checking", total=len(pages), size=lambda chunk: len(chunk.pages)):
            collected.add(chunk)
    finally:
        looking.close()
    return collected


def examine_pages(
    pages: Sequence[Page],
    rules: Rules,
    *,
    workers: int | None = None,
    journal: Journal | None = None,
    part: str = "pages",
) -> Collected:
    """What `collect_facts` keeps, with what the pages share among the findings; the arguments are the same."""
    facts = collect_facts(pages, rules, workers=workers, journal=journal, part=part)
    gather_repeats(pages, facts, facts.gathered)
    return facts


def count_cores() -> int:
    """Cores that this process may use; those of a machine are shared by the processes of a run on several devices."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _look_at_ranges(
    pages: Sequence[Page], rules: Rules, workers: int | None, journal: Journal | None, part: str
) -> Generator[Chunk]:
    """The chunks in their order: finished ones of the journal first of all, then new ones."""
    size = PAGES_A_CHUNK[rules.looking]
    ranges = [range(first, min(first + size, len(pages))) for first in range(0, len(pages), size)]
    missing = ranges
    if journal is not None:
        for place, each in enumerate(ranges):
            chunk = _known(pages, each, rules, journal, part)
            if chunk is None:
                missing = ranges[place:]
                break
            yield chunk
        else:
            return
    for each, chunk in _look(pages, missing, rules, workers):
        if journal is not None:
            journal.add(part, each.start, chunk)
        yield chunk


def _known(pages: Sequence[Page], each: range, rules: Rules, journal: Journal, part: str) -> Chunk | None:
    """A finished chunk, if its pages and their files are still the same."""
    chunk = journal.find(part, each.start)
    if chunk is None or len(chunk.pages) != len(each):
        return None
    return chunk if chunk.key == key_of(_pages_of(pages, each), rules) else None


def _look(
    pages: Sequence[Page], ranges: Sequence[range], rules: Rules, workers: int | None
) -> Iterator[tuple[range, Chunk]]:
    """In this process, until it is clear that others would be done sooner."""
    workers = count_cores() if workers is None else workers
    start = time.monotonic()
    for done, each in enumerate(ranges):
        gone = time.monotonic() - start
        if workers > 1 and done and gone / done * (len(ranges) - done) > STARTING_S:
            yield from _look_elsewhere(pages, ranges[done:], rules, workers)
            return
        yield each, look_at_pages(_pages_of(pages, each), rules)


def _look_elsewhere(
    pages: Sequence[Page], ranges: Sequence[range], rules: Rules, workers: int
) -> Iterator[tuple[range, Chunk]]:
    """In other processes; one that ends before its time costs one page, which becomes a finding."""
    pool = _start(rules, workers)
    if pool is None:
        yield from ((each, look_at_pages(_pages_of(pages, each), rules)) for each in ranges)
        return
    left = deque(ranges)
    waiting: deque[tuple[range, Future[Chunk]]] = deque()
    try:
        while left or waiting:
            try:
                while left and len(waiting) < CHUNKS_AHEAD * workers:
                    waiting.append((left[0], pool.submit(_work, _pages_of(pages, left[0]))))
                    left.popleft()
                each, future = waiting[0]
                yield each, future.result()
                waiting.popleft()
            except BrokenProcessPool:
                pool.shutdown()
                for each, _ in waiting:
                    yield each, _look_carefully(_pages_of(pages, each), rules)
                waiting.clear()
                pool = _new_pool(rules, workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _look_carefully(pages: Sequence[Page], rules: Rules) -> Chunk:
    """A chunk that may end the process that looks at it; then page by page, to find the one that does."""
    with _new_pool(rules, 1) as pool:
        try:
            return pool.submit(_work, pages).result()
        except BrokenProcessPool:
            if len(pages) == 1:
                return fail_page(_crashed(pages[0]))
    middle = len(pages) // 2
    halves = [_look_carefully(part, rules) for part in (pages[:middle], pages[middle:])]
    return join_chunks(halves, key=key_of(pages, rules) if rules.keyed else "")


def _crashed(page: Page) -> Finding:
    return Finding(
        code="page-crash",
        severity="error",
        message="looking at the page ended the process: its image breaks a decoder, or needs more memory than there is",
        where=page.where or page.name,
        hint="save its image anew, or leave it out",
    )


def _pages_of(pages: Sequence[Page], each: range) -> list[Page]:
    return [pages[index] for index in each]


def _start(rules: Rules, workers: int) -> ProcessPoolExecutor | None:
    pool = _new_pool(rules, workers)
    try:
        pool.submit(_ready).result()
    except BrokenProcessPool:
        pool.shutdown()
        say(
            "other processes cannot be started, so this one looks at all pages; a script needs "
            'its calls below `if __name__ == "__main__":`'
        )
        return None
    return pool


def _new_pool(rules: Rules, workers: int) -> ProcessPoolExecutor:
    # Not forked: threads of a training process or of a progress bar would leave their locks closed in the copy.
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_set_up, initargs=(rules,)
    )


_rules: list[Rules] = []
"""Of a process that works for another one: what it was given when it was started."""


def _set_up(rules: Rules) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that was started by hand
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _rules[:] = [rules]


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready() -> None:
    """Come back, if a process can be started at all."""


def _work(pages: Sequence[Page]) -> Chunk:
    return look_at_pages(pages, _rules[0])
