"""Packs of a stream, whose lengths nobody knows beforehand: each lane looks a few examples ahead."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from ocrtune.inputs.packing import choose_pack, needs_more
from ocrtune.inputs.streamed import Measured, StreamedExamples
from ocrtune.records import ModelInputs


@dataclass(slots=True)
class _Lane:
    """How far a lane has come.

    Attributes:
        taken: Packs made so far.
        numbers: Numbers of the stream asked for so far.
        ahead: Measured examples that are in no pack yet, the oldest first.
    """

    taken: int = 0
    numbers: int = 0
    ahead: list[Measured] = field(default_factory=list)


class PackedStream(Sequence[list[ModelInputs]]):
    """So many packs of a stream, by number.

    A lane is one worker of one process, as streams count them: it takes the numbers of its batches in turn, and packs by
    itself. A pack begins with the example that has waited longest, so that none waits long, and is filled up with the
    longest that still fit. Packs depend on the stream alone: a lane that is asked for a later one, as after a resume,
    measures again what stands in those before.

    Args:
        examples: The stream's.
        num_packs: Of the run.
        pack_tokens: Most tokens of a pack; a longer example is a pack by itself.
        rows: Packs in a forward of one process.
        lanes: Processes × workers; workers count 1 where there are none.
    """

    def __init__(
        self, examples: StreamedExamples, num_packs: int, *, pack_tokens: int, rows: int, lanes: int
    ) -> None:
        self._examples = examples
        self._num_packs = num_packs
        self._pack_tokens = pack_tokens
        self._rows = rows
        self._num_lanes = lanes
        self._lanes: dict[int, _Lane] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Other processes have lanes of their own.
        return {**self.__dict__, "_lanes": {}}

    def __len__(self) -> int:
        return self._num_packs

    @overload
    def __getitem__(self, index: int) -> list[ModelInputs]: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[ModelInputs]]: ...

    def __getitem__(self, index: int | slice) -> list[ModelInputs] | list[list[ModelInputs]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._num_packs))]
        if not 0 <= index < self._num_packs:
            raise IndexError(index)
        batch, row = divmod(index, self._rows)
        turn, lane = divmod(batch, self._num_lanes)
        pack = self._pack(lane, turn * self._rows + row)
        inputs = [encoded for measured in pack if (encoded := self._examples.encode(measured)) is not None]
        # A pack that lost an example for its pixels is less full; one that lost all must still hold something.
        return inputs or [self._examples.stand_in(pack[0].number)]

    def _pack(self, number: int, place: int) -> list[Measured]:
        lane = self._lanes.get(number)
        if lane is None or lane.taken > place:
            lane = self._lanes[number] = _Lane()
        pack = self._next(number, lane)
        while lane.taken <= place:
            pack = self._next(number, lane)
        return pack

    def _next(self, number: int, lane: _Lane) -> list[Measured]:
        while needs_more(
            len(lane.ahead), sum(measured.num_tokens for measured in lane.ahead), self._pack_tokens
        ):
            block, rest = divmod(lane.numbers, self._rows)
            lane.ahead.append(self._examples.measure((block * self._num_lanes + number) * self._rows + rest))
            lane.numbers += 1
        lane.taken += 1
        pack = choose_pack([measured.num_tokens for measured in lane.ahead], self._pack_tokens)
        chosen = [lane.ahead[place] for place in pack]
        lane.ahead = [measured for place, measured in enumerate(lane.ahead) if place not in pack]
        return chosen
