from itertools import combinations, pairwise, permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ocrtune.evaluation import pairing
from ocrtune.evaluation.pairing import pair_best_first, pair_in_order, within_limit

tenths = st.integers(0, 8).map(lambda value: value / 8)
tables = st.tuples(st.integers(0, 4), st.integers(0, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=tenths)
)


def best_sum_by_trying(similarities) -> float:
    rows, columns = similarities.shape
    most = min(rows, columns)
    return max(
        sum(float(similarities[pair]) for pair in zip(chosen, others, strict=True))
        for size in range(most + 1)
        for chosen in combinations(range(rows), size)
        for others in combinations(range(columns), size)
    )


@given(tables)
def test_pairs_in_order_have_the_greatest_sum_and_do_not_cross(similarities):
    pairs = pair_in_order(similarities)
    assert sum(float(similarities[pair]) for pair in pairs) == best_sum_by_trying(similarities)
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(pairs))


def test_things_without_likeness_are_paired_too_where_that_costs_nothing():
    assert pair_in_order(np.zeros((2, 2), dtype=np.float32)) == [(0, 0), (1, 1)]


def test_the_most_alike_pair_is_taken_first_even_if_the_sum_is_less():
    similarities = np.array([[0.9, 0.8], [0.8, 0.1]], dtype=np.float32)
    assert pair_best_first(similarities, at_least=0.0) == [(0, 0), (1, 1)]
    assert pair_best_first(similarities, at_least=0.5) == [(0, 0)]


@given(tables)
def test_best_first_leaves_no_pair_that_could_still_be_made(similarities):
    pairs = pair_best_first(similarities, at_least=0.5)
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    assert len(rows) == len(columns) == len(pairs)
    left = [
        similarities[row, column]
        for row in set(range(similarities.shape[0])) - rows
        for column in set(range(similarities.shape[1])) - columns
    ]
    assert all(value < 0.5 for value in left)


def test_equal_things_are_paired_in_their_order():
    for order in permutations(range(3)):
        same = np.ones((3, 3), dtype=np.float32)[list(order)]
        assert pair_best_first(same, at_least=1.0) == [(0, 0), (1, 1), (2, 2)]


def test_of_too_many_the_end_of_the_longer_side_is_left_out(monkeypatch):
    monkeypatch.setattr(pairing, "MOST_PAIRS", 100)
    assert within_limit(range(5), range(1000)) == (5, 20)
    assert within_limit(range(1000), range(5)) == (20, 5)
    assert within_limit(range(50), range(60)) == (10, 10)
    assert within_limit(range(10), range(10)) == (10, 10)
    assert within_limit([], range(7)) == (0, 7)
