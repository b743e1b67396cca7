import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.sequences import Joined, Mapped, Selected

parts = st.lists(st.lists(st.integers(), max_size=5), max_size=5)


@given(parts)
def test_joined_sequences_are_their_sum(lists):
    whole = [item for items in lists for item in items]
    joined = Joined(lists)
    assert list(joined) == whole
    assert [joined[place - len(whole)] for place in range(len(whole))] == whole
    assert joined[1:-1] == whole[1:-1]


@given(st.lists(st.integers(), min_size=1), st.data())
def test_a_selection_has_the_items_at_its_places(items, data):
    places = data.draw(st.lists(st.integers(0, len(items) - 1)))
    selected = Selected(items, np.array(places, dtype=np.int64))
    assert list(selected) == [items[place] for place in places]


def test_items_are_made_when_they_are_asked_for_and_go_to_other_processes():
    made = []
    doubled = Mapped([1, 2, 3], lambda item: made.append(item) or 2 * item)
    assert (len(doubled), made) == (3, [])
    assert (doubled[2], made) == (6, [3])
    assert list(pickle.loads(pickle.dumps(Mapped(Joined([[1], [2]]), str)))) == ["1", "2"]  # our own
