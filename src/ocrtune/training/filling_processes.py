"""Vision features computed by several processes of our own, which tell the one that started them what they do."""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any

import torch

from ocrtune.config import Config
from ocrtune.errors import TrainingError
from ocrtune.models.feature_cache import FeatureCache
from ocrtune.progress import say, track
from ocrtune.records import Example
from ocrtune.training.filling_share import TITLE, Encoded, fill_share, load_to_fill, make_plan_to_fill, summed
from ocrtune.training.processes import ending_on_sigterm

_LOOK_EVERY_S = 0.2


def fill_in_processes(
    config: Config, cache: FeatureCache, examples: Sequence[Example], processes: int
) -> Counter[str]:
    """Compute what is missing of these pages in so many processes; counts what became of their images.

    Raises:
        TrainingError: One of them was killed.
        Exception: Whatever one of them raises; the others write what they have by then.
    """
    context = get_context("spawn")
    # Not through a manager, whose answers come to the wrong questions once a question was interrupted.
    talk = _Talk(told=context.Queue(), stop=context.Event())
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_join_in, initargs=(talk,)) as pool:
        shares = [
            pool.submit(_fill_share, config, cache, list(examples[rank::processes]), (rank, processes))
            for rank in range(processes)
        ]
        # Once more something to do: only then the pool watches the last process as well (Python 3.11).
        pool.submit(int)
        try:
            said = set[str]()
            for _ in track(_done(talk, shares, said), TITLE, total=len(examples)):
                pass
            results = [share.result() for share in shares]
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that computed vision features was killed",
                hint="it may have had too little memory: take fewer --processes; what was written stays",
            ) from error
        finally:
            # The others write what they have computed.
            talk.stop.set()
    for note in dict.fromkeys(note for result in results for note in result.notes if note not in said):
        say(note)
    return summed(result.counts for result in results)


@dataclass(frozen=True, slots=True)
class _Talk:
    """Between this process and those that it started.

    Attributes:
        told: What people are to know at once; an empty line for each page that is done.
        stop: Set when nothing more is to be begun.
    """

    told: "Queue[str]"
    stop: Event


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of a share.

    Attributes:
        counts: Of its images.
        notes: What people are to know; the last of them may not have been told meanwhile.
    """

    counts: Counter[str]
    notes: list[str]


def _done(talk: _Talk, shares: Sequence[Future[Any]], said: set[str]) -> Iterator[str]:
    """Something for each page, until all processes have ended or one has failed; says what they have to say once."""
    while not all(share.done() for share in shares):
        for share in shares:
            if share.done():
                share.result()
        try:
            note = talk.told.get(timeout=_LOOK_EVERY_S)
        except Empty:
            continue
        if not note:
            yield note
        elif note not in said:
            said.add(note)
            say(note)


_talks: list[_Talk] = []
"""Of this process, where another one started it."""


def _join_in(talk: _Talk) -> None:
    # Ctrl-C is for the process that was started by hand; it stops the others by `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Its end is not to wait for somebody to listen.
    talk.told.cancel_join_thread()
    _talks.append(talk)


def _fill_share(
    config: Config, cache: FeatureCache, examples: list[Example], place: tuple[int, int]
) -> _Result:
    """The work of one process of our own; its place is its number, and of how many."""
    rank, processes = place
    os.environ["RANK"] = str(rank + 1)  # the one that started it speaks for all
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())
    plan, notes = make_plan_to_fill(config), list[str]()

    def tell(note: str) -> None:
        notes.append(note)
        _talks[0].told.put(note)

    try:
        with ending_on_sigterm():
            counts = fill_share(plan, load_to_fill(plan), cache, examples, follow=_telling, tell=tell)
    except SystemExit as error:
        # The pool would take it for a result, and the process would stay.
        os._exit(int(error.code or 0))
    return _Result(counts, notes)


def _telling(encoded: Encoded) -> Encoded:
    (talk,) = _talks
    for inputs in encoded:
        if talk.stop.is_set():
            return
        yield inputs
        talk.told.put("")
