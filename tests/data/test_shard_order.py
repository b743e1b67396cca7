import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.data.shard_order import ShardOrder

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)


def make(sizes, *, seed=0, lanes=1, batch_size=1, shuffle_pages=1000):
    return ShardOrder(sizes, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=shuffle_pages)


@given(SIZES, st.integers(1, 9), st.integers(1, 5), st.integers(1, 30), st.integers(0, 3))
def test_every_page_comes_exactly_once_in_each_epoch(sizes, lanes, batch_size, shuffle_pages, seed):
    order = make(sizes, seed=seed, lanes=lanes, batch_size=batch_size, shuffle_pages=shuffle_pages)
    for epoch in range(3):
        places = [order.place(epoch * sum(sizes) + slot) for slot in range(sum(sizes))]
        assert sorted(places) == list(range(sum(sizes)))


@given(SIZES, st.integers(1, 6), st.integers(1, 4), st.integers(0, 2))
def test_lanes_read_shards_of_their_own_but_for_what_the_fullest_have_too_much(
    sizes, lanes, batch_size, epoch
):
    order = make(sizes, lanes=lanes, batch_size=batch_size, shuffle_pages=7)
    first = epoch * sum(sizes)
    slots = np.array([order.lane(first + slot) for slot in range(sum(sizes))])
    dealt = order._deal(np.random.default_rng((0, epoch)))
    own = [{page for run in runs for page in range(*run)} for runs in dealt]
    for lane in range(lanes):
        mine = order.epoch(epoch)[slots == lane]
        borrowed = [place not in own[lane] for place in mine]
        assert sum(borrowed) == max(0, len(mine) - len(own[lane]))
        assert borrowed == sorted(borrowed)


def test_equal_shards_are_disjoint_between_lanes_to_the_last_page():
    order = make([50] * 12, lanes=4, batch_size=5)
    shards_of = {
        lane: {place // 50 for slot, place in enumerate(order.epoch(0)) if order.lane(slot) == lane}
        for lane in range(4)
    }
    assert sorted(shard for shards in shards_of.values() for shard in shards) == list(range(12))


def test_one_shard_is_cut_into_equal_runs():
    order = make([80], lanes=4, batch_size=5)
    for lane in range(4):
        places = sorted(place for slot, place in enumerate(order.epoch(0)) if order.lane(slot) == lane)
        assert places == list(range(places[0], places[0] + 20))


@given(st.integers(1, 60), st.integers(0, 4))
def test_a_lane_never_goes_further_ahead_than_the_window(shuffle_pages, epoch):
    order = make([500], shuffle_pages=shuffle_pages).epoch(epoch)
    assert np.abs(order - np.arange(500)).max() < shuffle_pages


def test_seed_and_epoch_fix_the_order():
    one, again, other = make([90, 70, 30]), make([90, 70, 30]), make([90, 70, 30], seed=1)
    np.testing.assert_array_equal(one.epoch(4), again.epoch(4))
    assert not np.array_equal(one.epoch(0), other.epoch(0))
    assert not np.array_equal(one.epoch(0), one.epoch(1))
    assert pickle.loads(pickle.dumps(one))._kept == {}
    assert pickle.loads(pickle.dumps(one)).place(300) == one.place(300)


def test_a_window_of_one_page_leaves_shards_in_their_order():
    order = make([30, 20], shuffle_pages=1).epoch(0)
    assert list(order) in (list(range(50)), [*range(30, 50), *range(30)])


def test_pages_are_well_mixed_within_a_window():
    order = make([10_000], shuffle_pages=1000).epoch(0)
    assert np.mean(np.abs(order - np.arange(10_000))) == pytest.approx(1000 / 3, rel=0.1)
