"""The processes of a run, one a device, as torchrun or accelerate start them; and how one of them ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from accelerate import PartialState

from ocrtune.models.precision import DeviceFacts
from ocrtune.progress import say


def join_processes(device: DeviceFacts) -> PartialState:
    """Find the other processes of the run; alone where it was started as a usual command.

    Whatever asks for the number of processes has to come after it: accelerate looks for several on a CPU only if told so.

    Args:
        device: Where the run is.
    """
    state = PartialState(cpu=device.kind == "cpu")
    if state.num_processes > 1:
        say(f"{state.num_processes} processes learn together, each on a device of its own")
    elif device.count > 1:
        say(
            f"{device.count} devices are here, and one is used; all of them learn by "
            f'`torchrun --nproc-per-node {device.count} "$(which ocrtune)" train …`'
        )
    return state


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """For the time of the context SIGTERM ends this process as an error does, so that what is left to write is written.

    Of several processes of a run none waits for it: one that is at work with the others takes no signal meanwhile. Nor where
    somebody else takes the signal, or outside of the main thread, which alone may.
    """
    is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not is_free or threading.current_thread() is not threading.main_thread() or _has_others():
        yield
        return
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() == owner:
            raise SystemExit(128 + number)
        # A process that was forked from this one has nothing to write, and ends as it would without it.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _has_others() -> bool:
    return PartialState().num_processes > 1
