import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.prediction.loops import LoopWatch, ends_in_loop

RNG = np.random.default_rng(0)
PROSE = RNG.integers(0, 5000, 3000).tolist()


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=256),
    st.integers(4, 40),
    st.lists(st.integers(0, 99), max_size=50),
)
def test_an_ngram_four_times_over_128_tokens_is_a_loop_whatever_is_before_it(ngram, times, before):
    tokens = before + ngram * times
    if len(ngram) * times >= 128:
        assert ends_in_loop(tokens)
        assert ends_in_loop(tokens[:-1] + ngram[-1:])


@pytest.mark.parametrize("tokens", [PROSE, [7] * 127, list(range(50)) * 3, [7] * 500 + [8], []])
def test_prose_and_short_repetitions_are_no_loop(tokens):
    assert not ends_in_loop(tokens)


def test_rows_of_a_table_that_differ_in_one_cell_are_no_loop():
    rows = [token for row in range(100) for token in (1, 2, 3, 2, 3, 2, 3, 100 + row, 4, 5, 6, 2, 3, 2)]
    assert not ends_in_loop(rows)


def test_empty_cells_need_more_than_words_do():
    cells = [901, 902] * 200
    assert ends_in_loop(cells)
    assert not ends_in_loop(cells, marks={901, 902})
    assert ends_in_loop([901, 902] * 600, marks={901, 902})
    assert ends_in_loop([901, 902, 7] * 100, marks={901, 902})


def test_a_loop_that_a_guard_breaks_every_now_and_then_is_one():
    broken = [token for part in range(50) for token in [5, 6, 7] * 25 + [1000 + part]]
    assert not ends_in_loop(broken[:900])
    assert ends_in_loop(broken)


def test_a_watch_stops_the_row_that_loops_and_notes_its_length():
    prompt, width = 5, 128
    batch = torch.tensor([[0] * prompt + PROSE[:width], [0] * prompt + [3, 4] * (width // 2)])
    watch = LoopWatch(prompt)
    for length in range(1, width):
        assert not watch(batch[:, : prompt + length], None).any()
    assert watch(batch, None).tolist() == [False, True]
    assert watch(torch.cat([batch, batch[:, :1]], 1), None).tolist() == [False, True]
    assert watch.stopped == {1: width}
