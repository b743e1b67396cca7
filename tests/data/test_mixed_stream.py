import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.data.mixed_stream import SLOTS, MixedStream, Rounds
from ocrtune.records import Page


def pages(name: str, count: int) -> list[Page]:
    return [Page(name=f"{name}{n}", images=()) for n in range(count)]


def stream(weights=(3, 1), sizes=(7, 5), seed=0) -> MixedStream:
    parts = [Rounds(pages("abc"[n], size), seed) for n, size in enumerate(sizes)]
    return MixedStream([part.page for part in parts], tuple(map(float, weights)), seed)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=3), st.integers(0, 3 * SLOTS))
def test_every_part_is_taken_in_order_and_none_of_its_pages_is_left_out(weights, numbers):
    mixed = stream(weights, (4,) * len(weights))
    taken = [mixed.locate(number) for number in range(numbers)]
    for part, count in enumerate(mixed.count(numbers)):
        assert [place for found, place in taken if found == part] == list(range(count))


@pytest.mark.parametrize("weights", [(3, 1), (1, 1), (0.999, 0.001)])
def test_each_block_has_the_shares_to_a_thousandth(weights):
    mixed = stream(weights)
    for block in range(3):
        parts = Counter(mixed.locate(block * SLOTS + slot)[0] for slot in range(SLOTS))
        assert [parts[0], parts[1]] == [round(SLOTS * weight / sum(weights)) for weight in weights]


def test_pages_with_an_end_come_in_rounds_that_differ():
    rounds = Rounds(pages("a", 9), 0)
    names = [[rounds.page(9 * each + n).name for n in range(9)] for each in range(3)]
    assert all(sorted(round_) == [f"a{n}" for n in range(9)] for round_ in names)
    assert names[0] != names[1] != names[2]


def test_a_number_gives_the_same_page_in_any_process_and_any_order():
    mixed = stream()
    names = [mixed.page(number).name for number in range(2500)]
    again = pickle.loads(pickle.dumps(mixed))  # our own
    assert [again.page(number).name for number in (2400, 3, 1100)] == [names[2400], names[3], names[1100]]
    assert names != [stream(seed=1).page(number).name for number in range(2500)]
