"""Packs of a stream: what a lane takes, how full they are, and that a later start finds the same ones."""

import pickle

import numpy as np
import pytest

from ocrtune.inputs.packed_stream import PackedStream
from ocrtune.inputs.packing import LOOK_AHEAD
from ocrtune.inputs.streamed import Measured

BUDGET, ROWS, LANES = 4096, 2, 3


class Numbers:
    """A stream whose example of a number is a length drawn for it; some break when they are encoded."""

    def __init__(self, broken=()):
        self.broken = set(broken)
        self.measured = []

    def measure(self, number):
        self.measured.append(number)
        return Measured(number, None, int(np.random.default_rng(number).integers(100, 2500)))

    def encode(self, measured):
        return None if measured.number in self.broken else (measured.number, measured.num_tokens)

    def stand_in(self, number):
        return (-number, 1)


def packs_of(examples, count, **rest):
    return PackedStream(examples, count, **{"pack_tokens": BUDGET, "rows": ROWS, "lanes": LANES, **rest})


def test_every_number_comes_once_and_none_waits_long():
    packs = packs_of(Numbers(), 600, lanes=1, rows=1)
    seen = [number for pack in packs for number, _ in pack]
    assert len(set(seen)) == len(seen)
    assert set(range(max(seen) - 3 * LOOK_AHEAD)) <= set(seen)
    oldest = [pack[0][0] for pack in packs]
    assert oldest == sorted(oldest)


def test_rows_are_full_and_stay_within_the_budget():
    tokens = [sum(length for _, length in pack) for pack in packs_of(Numbers(), 600)]
    assert max(tokens) <= BUDGET
    assert sum(tokens) / (600 * BUDGET) >= 0.95


def test_a_lane_takes_the_numbers_of_its_own_batches():
    packs = packs_of(Numbers(), 120)
    for place, pack in enumerate(packs):
        assert {number // ROWS % LANES for number, _ in pack} == {place // ROWS % LANES}


def test_packs_are_the_same_from_wherever_one_begins():
    whole = list(packs_of(Numbers(), 60))
    assert [packs_of(Numbers(), 60)[place] for place in (59, 3, 30)] == [
        whole[place] for place in (59, 3, 30)
    ]
    again = packs_of(Numbers(), 60)
    assert [again[place] for place in reversed(range(60))] == whole[::-1]
    copied = pickle.loads(pickle.dumps(again))
    assert copied[17] == whole[17]


def test_an_example_is_measured_once_as_packs_come_in_order():
    examples = Numbers()
    list(packs_of(examples, 60))
    assert len(set(examples.measured)) == len(examples.measured)


def test_a_pack_goes_without_an_example_whose_pixels_are_broken_and_never_empty():
    whole = list(packs_of(Numbers(), 12))
    lost = whole[4][0][0]
    assert packs_of(Numbers(broken={lost}), 12)[4] == whole[4][1:]
    nothing_left = packs_of(Numbers(broken={number for number, _ in whole[4]}), 12)[4]
    assert nothing_left == [(-lost, 1)]


def test_an_example_longer_than_a_row_is_a_row():
    packs = packs_of(Numbers(), 40, pack_tokens=50)
    assert [len(pack) for pack in packs] == [1] * 40


def test_a_pack_beyond_the_run_is_none():
    with pytest.raises(IndexError):
        packs_of(Numbers(), 4)[4]
