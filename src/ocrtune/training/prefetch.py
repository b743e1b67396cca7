"""Batches that are ready when the loop asks for them: threads make the next ones while the model learns."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate.utils import send_to_device
from torch.utils.data import Dataset

from ocrtune.data.collecting import count_cores
from ocrtune.inputs.kept import KnownImages
from ocrtune.models.precision import DeviceFacts
from ocrtune.records import ModelInputs

MOST_THREADS = 8
"""Threads that encode pages for one device; an A4 page takes one of them about a tenth of a second."""

MOST_BYTES = 512 * 2**20
"""Batches that are ready or being made together take no more, if the largest one so far tells the size of all."""

KEPT_PAGES_BYTES = 512 * 2**20
"""Pages that lines are cut out of stay decoded within so many bytes, over all processes that make batches: thirty A4
pages at 200 dpi."""

FEWEST_AHEAD = 8
"""Batches made ahead where memory allows: enough for a page that takes much longer than others."""

RawBatch = dict[str, Any]
"""Keyword arguments of the model; views still in uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Who makes batches.

    Attributes:
        threads: Threads of this process that work ahead; 0 for none.
        processes: Processes that do; with neither, batches are made between steps.
        pinned: Batches lie in page-locked memory, from which they are copied to the device while it computes.
        reason: Why, for people.
    """

    threads: int
    processes: int
    pinned: bool
    reason: str

    @property
    def kept_pages_bytes(self) -> int:
        """For decoded pages, in each process that encodes."""
        return KEPT_PAGES_BYTES // max(self.processes, 1)


def choose_loading(
    workers: int | Literal["auto"],
    device: DeviceFacts,
    *,
    streamed: bool,
    cores: int | None = None,
) -> Loading:
    """Who makes the batches of a run.

    Threads are enough: Pillow and the tokenizer let other threads run meanwhile, and nothing is copied from process to
    process. On a CPU the cores have to learn,
    and one thread is ahead of them. Beside a card each core but one may encode, up to `MOST_THREADS`.

    Args:
        workers: `auto`; 0 for batches that are made between steps; or a number of processes.
        device: Where the model learns.
        streamed: Pages come from a stream, which gives them in order to one reader.
        cores: That this process may use; counted without it, its share of those of the machine.
    """
    pinned = device.kind == "cuda"
    if workers != "auto":
        reason = f"{workers} processes, as told" if workers else "between steps, as told"
        return Loading(threads=0, processes=workers, pinned=pinned, reason=reason)
    if streamed:
        return Loading(threads=1, processes=0, pinned=pinned, reason="one thread reads the stream in order")
    if device.kind == "cpu":
        return Loading(threads=1, processes=0, pinned=pinned, reason="one thread, the cores have to learn")
    cores = count_cores() if cores is None else cores
    threads = min(max(cores - 1, 1), MOST_THREADS)
    return Loading(
        threads=threads, processes=0, pinned=pinned, reason=f"{threads} threads beside {cores} cores"
    )


class Indices(Dataset[Any]):
    """A data set whose examples are their own indices, whatever those are: the data loader is to hand them on.

    Args:
        count: How many examples there are; of packs the indices are no numbers.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return index


class PrefetchedBatches:
    """Makes batches in threads, in the order in which the data loader asks for them.

    The data loader is given numbers for examples and `submit` to collate them, so that its batches are promises. Which
    examples make a batch, on which process, and what a resumed run passes over stays with its samplers. When a pass over
    the examples has nothing more to promise, threads go on with the next one; the data loader is believed where it asks
    for something else then.

    Args:
        examples: Encoded when they are asked for; by several threads at once if there are several.
        collate: Examples → batch.
        threads: How many.
        pinned: Put batches into page-locked memory.
        most_bytes: Of batches that are ready or being made. One is made ahead however large it is.
        next_pass: The examples of each batch of the next pass; called when all of this one are promised.
    """

    def __init__(
        self,
        examples: Sequence[ModelInputs],
        collate: Callable[[list[ModelInputs]], RawBatch],
        *,
        threads: int,
        pinned: bool = False,
        most_bytes: int = MOST_BYTES,
        next_pass: Callable[[], Iterator[list[Any]]] = lambda: iter(()),
    ) -> None:
        self._examples = examples
        self._collate = collate
        self._threads = threads
        self._pinned = pinned
        self._most_bytes = most_bytes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ocrtune-batch")
        self._source: Iterator[Future[RawBatch]] | None = None
        self._ready: deque[Future[RawBatch]] = deque()
        self._next_pass = next_pass
        self._coming: Iterator[list[Any]] | None = None
        self._guessed: deque[tuple[list[Any], Future[RawBatch]]] = deque()
        self._promised = 0
        self._largest_bytes = 0

    @property
    def num_promised(self) -> int:
        """Batches that are ready, being made, or to be made next."""
        return self._promised

    def submit(self, indices: list[Any]) -> "Future[RawBatch]":
        """Promise the batch of these examples; what the data loader collates with."""
        if self._guessed and self._guessed[0][0] == indices:
            return self._guessed.popleft()[1]
        self._forget_guesses()
        return self._promise(indices)

    def take(self, source: Iterator["Future[RawBatch]"], count: int, device: torch.device) -> list[RawBatch]:
        """The next batches of a pass over the examples, on `device`; fewer at its end.

        Args:
            source: The data loader's promises, the same iterator during a pass.
            count: How many.
            device: Where the model is.

        Raises:
            OcrtuneError: A page of one of them cannot be used; as `examples` raises it.
        """
        if source is not self._source:
            self._source, self._coming = source, None
            self._ready.clear()
            self._promised = len(self._guessed)
        batches: list[RawBatch] = []
        while len(batches) < count and self._fill(source, count):
            batch = self._ready.popleft().result()
            self._promised -= 1
            self._largest_bytes = max(self._largest_bytes, num_bytes(batch))
            batches.append(send_to_device(batch, device, non_blocking=self._pinned))
        # So that threads are at work while the model is.
        self._fill(source, count)
        return batches

    def close(self) -> None:
        """Stop the threads; what they are at is waited for, what comes after it is not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def most_promised(self, count: int) -> int:
        """How many batches may be promised where `count` are taken at a time."""
        if not self._largest_bytes:
            return 1
        wanted = max(FEWEST_AHEAD, 2 * count + self._threads)
        return max(1, min(wanted, self._most_bytes // self._largest_bytes))

    def _fill(self, source: Iterator["Future[RawBatch]"], count: int) -> bool:
        """Whether there is one to be waited for."""
        while not self._ready or self._promised < self.most_promised(count):
            promise = next(source, None)
            if promise is None:
                self._guess(count)
                break
            self._ready.append(promise)
        return bool(self._ready)

    def _guess(self, count: int) -> None:
        """Go on with the next pass, so that its first batches need not be waited for either."""
        if self._coming is None:
            self._coming = self._next_pass()
        while (
            self._promised < self.most_promised(count) and (indices := next(self._coming, None)) is not None
        ):
            self._guessed.append((indices, self._promise(indices)))

    def _forget_guesses(self) -> None:
        self._promised -= len(self._guessed)
        while self._guessed:
            self._guessed.pop()[1].cancel()

    def _promise(self, indices: list[Any]) -> "Future[RawBatch]":
        self._promised += 1
        return self._pool.submit(self._make, indices)

    def _make(self, indices: list[Any]) -> RawBatch:
        batch = self._collate([self._examples[index] for index in indices])
        return _pin(batch) if self._pinned else batch


def num_bytes(batch: Any) -> int:
    """Memory that the tensors of a batch take, also those in mappings of it."""
    if isinstance(batch, torch.Tensor):
        return batch.nbytes
    if isinstance(batch, dict):
        return sum(num_bytes(value) for value in batch.values())
    if isinstance(batch, KnownImages):
        return sum(features.nbytes for features in batch.features if features is not None)
    return 0


def _pin(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor | KnownImages):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return {name: _pin(value) for name, value in batch.items()}
    return batch
