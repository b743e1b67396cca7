import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.data.statistics import NUM_BINS, histogram

numbers = st.lists(st.integers(1, 10**6), min_size=1, max_size=60)


@given(values=numbers, by_ratio=st.booleans())
def test_every_value_is_in_one_bin(values, by_ratio):
    made = histogram(np.array(values), by_ratio=by_ratio)
    assert sum(made.counts) == made.num_values == len(values)
    assert len(made.edges) == len(made.counts) + 1 <= NUM_BINS + 1
    assert (made.least, made.most) == (min(values), max(values))
    assert made.edges[0] == pytest.approx(made.least, rel=1e-5)


def test_few_counts_have_a_bin_each():
    made = histogram(np.array([1, 2, 2, 5]))
    assert made.counts == (1, 2, 0, 0, 1)
    assert made.edges == (1, 2, 3, 4, 5, 6)


def test_of_nothing_there_is_nothing():
    assert histogram(np.array([])).counts == ()
