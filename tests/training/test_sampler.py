import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.training.sampler import BucketSampler

lengths_of_examples = st.lists(st.integers(1, 5000), min_size=1, max_size=400)


@given(lengths_of_examples, st.integers(1, 16), st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_every_example_comes_once_in_an_epoch(lengths, step_size, seed, epoch, bucketed):
    sampler = BucketSampler(lengths, step_size, seed=seed, bucketed=bucketed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(lengths)))
    assert len(sampler) == len(lengths)


def test_the_same_seed_and_epoch_give_the_same_order_and_others_do_not():
    def order(seed, epoch):
        sampler = BucketSampler(list(range(100)), 4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_asking_twice_in_an_epoch_gives_the_same_order():
    sampler = BucketSampler(list(range(100)), 4, seed=0)
    assert list(sampler) == list(sampler)


@pytest.mark.parametrize("num_examples", [64, 65, 79])
def test_the_examples_of_a_step_are_of_like_length(num_examples):
    lengths = [(7919 * index) % 1000 for index in range(num_examples)]
    sampler = BucketSampler(lengths, 8, seed=0)
    order = list(sampler)
    spreads = [
        max(step) - min(step)
        for start in range(0, num_examples, 8)
        if (step := [lengths[index] for index in order[start : start + 8]])
    ]
    assert sum(spreads) / len(spreads) < 250


def test_the_longest_step_comes_first_in_the_first_epoch_only():
    lengths = list(range(512))
    firsts = []
    for epoch in range(4):
        sampler = BucketSampler(lengths, 8, seed=3)
        sampler.set_epoch(epoch)
        firsts.append(max(list(sampler)[:8]))
    assert firsts[0] == 511
    assert set(firsts[1:]) != {511}


def test_a_step_that_is_not_full_comes_last_and_holds_short_examples():
    sampler = BucketSampler(list(range(100, 121)), 8, seed=0)
    order = list(sampler)
    assert len(order[16:]) == 5
    assert sum(order[16:]) / 5 < sum(order) / 21


def test_a_small_set_falls_into_other_steps_in_each_epoch():
    sampler = BucketSampler([100 + index % 7 for index in range(40)], 8, seed=0)

    def steps(epoch):
        sampler.set_epoch(epoch)
        order = list(sampler)
        return {frozenset(order[start : start + 8]) for start in range(0, 40, 8)}

    assert not steps(1) & steps(2)
