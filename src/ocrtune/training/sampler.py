"""The order of examples: random, seeded by epoch, and like lengths together."""

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

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
    """

    def __init__(self, lengths: Sequence[int], step_size: int, *, seed: int, bucketed: bool = True) -> None:
        self._lengths = lengths
        self._step_size = step_size
        self._seed = seed
        self._bucketed = bucketed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader at the start of each epoch; a resumed run gets the order it left."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = random.Random(f"{self._seed}:{self._epoch}")  # noqa: S311  # an order of pages is no secret
        indices = list(range(len(self._lengths)))
        order.shuffle(indices)
        return iter(self._in_buckets(indices, order) if self._bucketed else indices)

    def _in_buckets(self, indices: list[int], order: random.Random) -> list[int]:
        bucket = self._step_size * STEPS_IN_A_BUCKET
        steps: list[list[int]] = []
        for start in range(0, len(indices), bucket):
            # Without the jitter a small set would fall into the same steps in every epoch.
            blurred = {
                index: self._lengths[index] * order.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER)
                for index in indices[start : start + bucket]
            }
            alike = sorted(blurred, key=lambda index: -blurred[index])
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
