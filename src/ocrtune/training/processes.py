"""The processes of a run, one a device, as torchrun or accelerate start them."""

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
