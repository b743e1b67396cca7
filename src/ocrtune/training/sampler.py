"""The order of examples: random, seeded by epoch, and like lengths together."""

import math
import random
from collections.abc import Iterator, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from ocrtune.data.mixing import Mixture

STEPS_IN_A_BUCKET = 32
"""Lengths are sorted within this many optimizer steps: little padding, and still a random order."""

LENGTH_JITTER = 0.1
"""Lengths count as alike within this share."""


class BucketSampler(Sampler[int]):
    """Indices in a random order in which the examples of an optimizer step are of like length.

    The unit is the optimizer step, not the forward, so that the same examples make a step however it is cut
    into forwards: 1×8, 4×2 and 8×1 learn the same.

    Args:
        lengths: Tokens of each example.
        step_size: Examples of an optimizer step, over all forwards and devices.
        seed: Together with the epoch it fixes the order.
        bucketed: False for a plain random order.
        mixture: Which examples come in an epoch; each once without it.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        step_size: int,
        *,
        seed: int,
        bucketed: bool = True,
        mixture: Mixture | None = None,
    ) -> None:
        self._lengths = lengths
        self._step_size = step_size
        self._seed = seed
        self._bucketed = bucketed
        self._mixture = mixture
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths) if self._mixture is None else self._mixture.num_examples

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of each epoch; a resumed run gets the order it left."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = random.Random(f"{self._seed}:{self._epoch}")  # noqa: S311  # an order of pages is no secret
        indices = list(range(len(self._lengths)))
        if self._mixture is not None and not self._mixture.is_plain:
            indices = self._mixture.draw(self._epoch).tolist()
        order.shuffle(indices)
        return iter(self._in_buckets(indices, order) if self._bucketed else indices)

    def count_seen(self, num_steps: int, mixture: Mixture) -> list[int]:
        """How many examples of each source the first steps of a run have taken."""
        seen = [0] * len(mixture.shares)
        epoch, steps_left = 0, num_steps
        while steps_left > 0:
            self.set_epoch(epoch)
            taken = list(self)[: steps_left * self._step_size]
            counts = mixture.count(np.array(taken, dtype=np.int64))
            seen = [before + count for before, count in zip(seen, counts, strict=True)]
            epoch, steps_left = epoch + 1, steps_left - math.ceil(len(self) / self._step_size)
        return seen

    def _in_buckets(self, indices: list[int], order: random.Random) -> list[int]:
        bucket = self._step_size * STEPS_IN_A_BUCKET
        steps: list[list[int]] = []
        for start in range(0, len(indices), bucket):
            # Without the jitter a small set would fall into the same steps in every epoch.
            blurred = [
                (-self._lengths[index] * order.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER), index)
                for index in indices[start : start + bucket]
            ]
            # A mixture may hold an example twice, so equal lengths keep their order and nothing is keyed by example.
            alike = [index for _, index in sorted(blurred, key=itemgetter(0))]
            steps += [
                alike[first : first + self._step_size] for first in range(0, len(alike), self._step_size)
            ]
        # A step that is not full must stay last: in the middle it would shift the borders of all later ones.
        partial = [step for step in steps if len(step) < self._step_size]
        full = [step for step in steps if len(step) == self._step_size]
        order.shuffle(full)
        if self._epoch == 0 and full:
            # Memory that does not suffice shows in the first step, not after an hour.
            longest = max(
                range(len(full)), key=lambda step: max(self._lengths[index] for index in full[step])
            )
            full.insert(0, full.pop(longest))
        return [index for step in full + partial for index in step]
