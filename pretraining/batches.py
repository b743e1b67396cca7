"""Rendered lines → what a training step is given: model inputs, and where each letter of the line stands.

Nothing here but integers and pixels: a process of its own can make them while another one learns.
"""

import multiprocessing
import os
import random
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lines import RenderedLine, render_line
from ocrtune.errors import InputsError
from ocrtune.inputs import Tokenizer, encode
from ocrtune.models.tiny import RECIPE
from ocrtune.records import Example, ModelInputs
from texts import Fonts, LineTexts

LEAST_SIDE_PX = 6

CLASSES = "\0 " + "".join(map(chr, range(33, 127))) + "—"
"""What a slot may hold; the first stands for no letter."""

SLOTS = 8
"""Stretches of a tile's width, each with room for the middle of one letter."""

Slots = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TaughtLine:
    """A line as the model gets it, and what it is to see where.

    Attributes:
        inputs: Ids, labels and views.
        slots: int64 (tiles, SLOTS), the class of the letter whose middle is in each slot of each tile.
        shifted_slots: int64 (tiles + 1, SLOTS), the same for windows half a tile to the left: what positions of the
            sequence are asked for, so that letters between two tiles are somebody's whole.
        tiles: int64 (letters + 1,), the tile that holds the middle of each letter, and one past the last for EOS.
    """

    inputs: ModelInputs
    slots: Slots
    shifted_slots: Slots
    tiles: NDArray[np.int64]


def as_example(line: RenderedLine, name: str = "line") -> Example:
    """The line with its text as the target."""
    return Example(name=name, images=(line.image,), prompt=RECIPE.prompt, target=line.text)


def teach(line: RenderedLine, tokenizer: Tokenizer) -> TaughtLine | None:
    """The line with its targets; None if it does not become one row of several tiles.

    Raises:
        InputsError: A letter of the text is not one token.
    """
    if min(line.image.size) < LEAST_SIDE_PX:
        return None
    inputs = encode(as_example(line), RECIPE, tokenizer)
    columns, rows = inputs.views[0].grid
    if rows > 1 or columns == 1:
        return None
    if len(inputs) - inputs.num_prompt_tokens != len(line.text) + 1:
        raise InputsError(f"letters of {line.text!r} are not one token each", where=str(tokenizer.folder))
    return TaughtLine(
        inputs=inputs,
        slots=slot_classes(line, columns),
        shifted_slots=slot_classes(line, columns, shift=0.5),
        tiles=tiles_of_letters(line, columns),
    )


def slot_classes(line: RenderedLine, columns: int, *, shift: float = 0.0) -> Slots:
    """Which letter has its middle in each slot; of two in one slot the later, 0 where there is none.

    Args:
        line: The line.
        columns: Tiles it is cut into.
        shift: How far the windows lie to the left of the tiles, in tiles; with any there is one window more.

    Returns:
        int64 (windows, SLOTS).
    """
    slots = np.zeros((columns + (shift > 0)) * SLOTS, np.int64)
    places = np.floor((line.centres * columns + shift) * SLOTS).astype(int)
    for place, letter in zip(places, line.text, strict=True):
        if letter in CLASSES and 0 <= place < len(slots):
            slots[place] = CLASSES.index(letter)
    return slots.reshape(-1, SLOTS)


def tiles_of_letters(line: RenderedLine, columns: int) -> NDArray[np.int64]:
    """The tile each letter is read from, and `columns` for EOS: the row break that stands behind the tiles."""
    tiles = np.floor(line.centres * columns).astype(np.int64).clip(0, columns - 1)
    return np.append(tiles, columns)


@dataclass(frozen=True, slots=True)
class LineSource:
    """Batches by number: the same seed, number and length give the same batch, in whatever process.

    Attributes:
        texts: What lines say.
        fonts: What they are set in.
        tokenizer_folder: A checkpoint's.
        batch_size: Lines of a batch.
        seed: Of everything random.
    """

    texts: LineTexts
    fonts: Fonts
    tokenizer_folder: Path
    batch_size: int
    seed: int

    def make(self, step: int, longest: float) -> list[TaughtLine]:
        """The batch of step `step` with lines of up to about `longest` letters; a quarter of the batches is shorter."""
        rng = random.Random(f"{self.seed}/{step}")
        if rng.random() < 1 / 4:
            longest = rng.uniform(min(8, longest), longest)
        tokenizer = _tokenizer(self.tokenizer_folder)
        made: list[TaughtLine] = []
        while len(made) < self.batch_size:
            length = max(1, round(rng.uniform(0.7, 1) * longest))
            line = teach(render_line(self.texts.draw(rng, length), self.fonts.draw(rng), rng), tokenizer)
            if line is not None:
                made.append(line)
        return made

    def held_out(self, count: int, length: int) -> list[RenderedLine]:
        """Lines in the held-out fonts, the same ones for every seed."""
        rng = random.Random("held out")
        return [
            render_line(self.texts.draw(rng, length), rng.choice(self.fonts.held_out), rng)
            for _ in range(count)
        ]


@cache
def _tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.read(folder)


class BatchFeed:
    """Batches in order, made ahead by another process where there is one.

    How long lines may be is settled when a batch is ordered, `ahead` steps before it is used.

    Args:
        source: Makes them.
        step: The first one's number.
        lengths: Longest lines of the batches ordered before, as `lengths` gave them; for a resumed run.
        ahead: How many are ordered before they are used.
        executor: Makes them elsewhere; None makes them when they are used.
    """

    def __init__(
        self,
        source: LineSource,
        *,
        step: int = 0,
        lengths: Sequence[float] = (),
        ahead: int = 6,
        executor: Executor | None = None,
    ) -> None:
        self._source = source
        self._next = step
        self._ahead = ahead
        self._executor = executor
        self._ordered: deque[tuple[int, float, Future[list[TaughtLine]] | None]] = deque()
        for length in lengths:
            self._order(length)

    @property
    def lengths(self) -> list[float]:
        """Longest lines of the batches that are ordered and not yet used."""
        return [length for _, length, _ in self._ordered]

    def take(self, longest: float) -> list[TaughtLine]:
        """The next batch; `longest` is for those ordered now."""
        while len(self._ordered) <= self._ahead:
            self._order(longest)
        step, length, made = self._ordered.popleft()
        return self._source.make(step, length) if made is None else made.result()

    def _order(self, longest: float) -> None:
        future = None if self._executor is None else self._executor.submit(_make, self._next, longest)
        self._ordered.append((self._next, longest, future))
        self._next += 1


@contextmanager
def line_maker(source: LineSource) -> Iterator[Executor]:
    """One process beside this one that makes batches of `source`."""
    # Spawned: a fork of a process that has used torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_keep, initargs=(source,)) as executor:
        try:
            yield executor
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


_kept: list[LineSource] = []


def _keep(source: LineSource) -> None:
    _kept.append(source)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Otherwise this process would wait for orders for ever after a run that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _make(step: int, longest: float) -> list[TaughtLine]:
    return _kept[0].make(step, longest)
