"""Packed rows in the Trainer's terms: a pack of examples is an index of the data set."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from ocrtune.config import Config
from ocrtune.data.mixing import Mixture
from ocrtune.errors import TrainingError
from ocrtune.families import Family
from ocrtune.inputs.collate import collate
from ocrtune.inputs.packed_stream import PackedStream
from ocrtune.inputs.packing import (
    Pack,
    capacity,
    fill,
    join_examples,
    num_tokens,
    pack_along,
    pack_by_size,
    pack_tightly,
    split_packs,
)
from ocrtune.inputs.streamed import StreamedExamples
from ocrtune.progress import say, track
from ocrtune.records import ModelInputs
from ocrtune.training.data import TrainingData
from ocrtune.training.packing_counts import PACKED

EPOCHS_TRIED = 3
"""Epochs that are packed beforehand; the one that needs most packs says how many each has."""

PACKS_MORE = 0.003
"""Share of packs added to that where these epochs differ, for those that have not been tried."""

ORDERS_TRIED = 8
"""Random orders of an epoch that are packed, until one needs no more packs than others."""


COMPARED = 10_000
"""Examples on which the ways to pack are compared."""

Packer = Callable[[Sequence[int], Sequence[int], int, Random], list[Pack]]


class PackedSampler(Sampler[Pack]):
    """Packs in a random order, as many in each epoch: the steps of a run are known before the first.

    Each epoch has packs of its own. One that needs fewer than others has some packs halved, and so has every epoch
    until forwards of all devices are whole, so that no example comes twice.

    Args:
        lengths: Tokens of each example.
        pack_tokens: Most tokens of a row.
        rows: Packs in a forward, over all devices.
        accumulation_steps: Forwards in an optimizer step.
        seed: Together with the epoch it fixes packs and order.
        mixture: Which examples come in an epoch; each once without it.
        num_epochs: Of the run. The number of packs depends on it only where epochs take different examples.

    Attributes:
        num_packs: Of each epoch.
        fill: Share of the rows' capacity that holds tokens in the first epoch.
        num_over_budget: Examples longer than a row, each of which is a row by itself.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        pack_tokens: int,
        *,
        rows: int,
        accumulation_steps: int = 1,
        seed: int,
        mixture: Mixture | None = None,
        num_epochs: int = 1,
    ) -> None:
        # Numbers of Python: they are asked for one by one.
        self._lengths: list[int] = lengths.tolist()
        self._budget = pack_tokens
        self._step_size = rows * accumulation_steps
        self._seed = seed
        self._mixture = mixture
        self._drawn = mixture is not None and not mixture.is_plain
        self._epoch = 0
        self._made: tuple[int, list[Pack]] | None = None
        self._pack = self._best_packer()
        tried = max(EPOCHS_TRIED, num_epochs) if self._drawn else EPOCHS_TRIED
        counts = {len(self._shuffled(epoch)) for epoch in track(range(tried), "packing examples")}
        more = math.ceil(PACKS_MORE * max(counts)) if len(counts) > 1 else 0
        most = max(counts) + more
        self.num_packs = len(split_packs(self._fitting(0, most), math.ceil(most / rows) * rows))
        self.fill = fill(self._packs(0), self._lengths, pack_tokens)
        self.num_over_budget = int((lengths > pack_tokens).sum())

    def __len__(self) -> int:
        return self.num_packs

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of each epoch; a resumed run gets the order it left."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Pack]:
        # An epoch is asked for twice where its first batches are made before it begins.
        if self._made is None or self._made[0] != self._epoch:
            self._made = self._epoch, self._ordered(self._epoch)
        return iter(self._made[1])

    def count_seen(self, num_steps: int, mixture: Mixture) -> list[int]:
        """How many examples of each source the first steps of a run have taken."""
        seen = np.zeros(len(mixture.shares), dtype=np.int64)
        epoch, steps_left = 0, num_steps
        while steps_left > 0:
            self.set_epoch(epoch)
            taken = [place for pack in list(self)[: steps_left * self._step_size] for place in pack]
            seen += np.array(mixture.count(np.array(taken, dtype=np.int64)))
            epoch, steps_left = epoch + 1, steps_left - math.ceil(len(self) / self._step_size)
        return [int(count) for count in seen]

    def _ordered(self, epoch: int) -> list[Pack]:
        packs = self._packs(epoch)
        self._order("order", epoch).shuffle(packs)
        if epoch == 0:
            # Memory that does not suffice shows in the first step, not after an hour.
            longest = max(range(len(packs)), key=lambda number: self._load(packs[number]))
            packs.insert(0, packs.pop(longest))
        return packs

    def _packs(self, epoch: int) -> list[Pack]:
        """As many as in any epoch."""
        packs = split_packs(self._fitting(epoch, self.num_packs), self.num_packs)
        if len(packs) != self.num_packs:
            raise TrainingError(
                f"epoch {epoch + 1} needs {len(packs)} packs where {self.num_packs} were planned",
                hint="raise training.pack_tokens, or train without it",
            )
        return packs

    def _fitting(self, epoch: int, most: int) -> list[Pack]:
        for attempt in range(ORDERS_TRIED):
            packs = self._shuffled(epoch, attempt=attempt)
            if len(packs) <= most:
                return packs
        # Where epochs have the same examples, the packs of the first fit any.
        return (
            pack_tightly(self._places(epoch), self._lengths, self._budget)
            if self._drawn
            else self._shuffled(0)
        )

    def _shuffled(self, epoch: int, *, attempt: int = 0) -> list[Pack]:
        order = self._order("packs", epoch, attempt)
        return self._pack(self._places(epoch), self._lengths, self._budget, order)

    def _best_packer(self) -> Packer:
        places = list(self._places(0))
        some = self._order("compared", 0).sample(places, min(len(places), COMPARED))
        return min(
            (pack_along, pack_by_size),
            key=lambda pack: len(pack(some, self._lengths, self._budget, self._order("packs", 0))),
        )

    def _places(self, epoch: int) -> Sequence[int]:
        if self._mixture is None or not self._drawn:
            return range(len(self._lengths))
        places: list[int] = self._mixture.draw(epoch).tolist()
        return places

    def _order(self, purpose: str, epoch: int, attempt: int = 0) -> Random:
        return Random(f"{purpose}:{self._seed}:{epoch}:{attempt}")  # noqa: S311  # an order of pages is no secret

    def _load(self, pack: Pack) -> tuple[int, int]:
        return num_tokens(pack, self._lengths), max(self._lengths[place] for place in pack)


class PackedExamples(Dataset[list[ModelInputs]]):
    """A data set whose indices are packs.

    Args:
        examples: Encoded when they are asked for.
        num_packs: Of an epoch.
    """

    def __init__(self, examples: Sequence[ModelInputs], num_packs: int) -> None:
        self._examples = examples
        self._num_packs = num_packs

    def __len__(self) -> int:
        return self._num_packs

    def __getitem__(self, pack: Pack) -> list[ModelInputs]:
        return [self._examples[place] for place in pack]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedData:
    """What a run of packed rows learns from.

    Attributes:
        examples: Packs by index.
        sampler: Gives the indices; None of a stream, whose packs are numbered.
    """

    examples: PackedExamples | PackedStream
    sampler: PackedSampler | None


def pack_data(data: TrainingData, config: Config, *, num_devices: int) -> PackedData | None:
    """The data of a run in packs; None where the recipe asks for none."""
    training = config.training
    if training.pack_tokens is None:
        return None
    if isinstance(data.train, StreamedExamples):
        assert data.steps is not None
        examples = PackedStream(
            data.train,
            data.steps.total * data.steps.size,
            pack_tokens=training.pack_tokens,
            rows=training.batch_size,
            lanes=num_devices * training.num_readers,
        )
        return PackedData(examples=examples, sampler=None)
    sampler = PackedSampler(
        data.train.lengths(),
        training.pack_tokens,
        rows=training.batch_size * num_devices,
        accumulation_steps=training.accumulation_steps,
        seed=config.run.seed,
        mixture=data.mixture,
        num_epochs=_num_epochs(config, num_devices, data.num_examples * float(np.mean(data.train.lengths()))),
    )
    _say(sampler, data.num_examples, training.pack_tokens)
    return PackedData(examples=PackedExamples(data.train, sampler.num_packs), sampler=sampler)


def _num_epochs(config: Config, num_devices: int, num_tokens: float) -> int:
    """So many epochs at most of `num_tokens` each, counted before it is known how many packs one has."""
    training = config.training
    if training.max_steps is None or training.pack_tokens is None:
        return math.ceil(training.epochs)
    packs = training.max_steps * training.accumulation_steps * training.batch_size * num_devices
    # Drawn anew, the examples of an epoch may be shorter.
    fewest = num_tokens / training.pack_tokens / 2
    return math.ceil(packs / max(fewest, 1))


def _say(sampler: PackedSampler, num_examples: int, pack_tokens: int) -> None:
    over = f", {sampler.num_over_budget} of them longer than a row" if sampler.num_over_budget else ""
    say(
        f"{num_examples} examples{over} in {sampler.num_packs} rows of {pack_tokens} tokens, {sampler.fill:.1%} full"
    )


def collate_packs(
    packs: Sequence[Sequence[ModelInputs]],
    family: Family,
    *,
    pack_tokens: int,
    pad_id: int,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Keyword arguments of the native classes: all packs of a forward in one row, so that nothing is padded.

    Args:
        packs: At least one.
        family: What its native class wants.
        pack_tokens: Most tokens of a pack.
        pad_id: Of the tokenizer.
        dtype: Of the pixels; the model's.

    Returns:
        `input_ids` and `labels` (1, T), `segment_lengths` with the tokens of each example, what there is of images;
        and what `PackingCounts` counts under `PACKED`, which is no argument of the model.
    """
    inputs = [example for pack in packs for example in pack]
    batch = collate([join_examples(inputs)], family, pad_id=pad_id, dtype=dtype).native()
    del batch["attention_mask"]
    return {
        **batch,
        "segment_lengths": [len(example) for example in inputs],
        PACKED: {
            "capacity": sum(capacity(sum(map(len, pack)), pack_tokens) for pack in packs),
            "names": [example.name for example in inputs],
        },
    }
