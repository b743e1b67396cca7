import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrtune.errors import ReviewError, ReviewItemMissing
from ocrtune.review import Change, NewItem, ReviewStore

ITEMS = [
    NewItem(name=name, place=place, reference=name.upper(), prediction=None)
    for place, name in enumerate("ab")
]


@pytest.fixture
def store(tmp_path):
    opened = ReviewStore(tmp_path / "review.sqlite")
    opened.fill("target", ITEMS)
    yield opened
    opened.close()


def change(number=1, version=0, key="key", **what):
    return Change(number=number, version=version, key=key, **what)


def test_a_save_is_there_with_its_history_when_the_file_is_opened_again(store):
    outcome = store.save(change(text="A!", state="good", reviewer="Anna"))
    assert (outcome.accepted, outcome.version) == (True, 1)
    again = ReviewStore(store.path)
    item = again.read_item(1)
    assert (item.text, item.state, item.version, item.reviewer, item.corrected) == (
        "A!",
        "good",
        1,
        "Anna",
        True,
    )
    (edit,) = again.read_history(1)
    assert (edit.before, edit.after, edit.state_before, edit.state_after, edit.reviewer) == (
        "A",
        "A!",
        "open",
        "good",
        "Anna",
    )
    again.close()


def test_a_save_of_an_old_version_changes_nothing_and_stays_in_the_history(store):
    store.save(change(key="anna", text="hers", reviewer="Anna"))
    outcome = store.save(change(key="ben", text="his", reviewer="Ben"))
    assert not outcome.accepted
    assert (outcome.item.text, outcome.version) == ("hers", 1)
    assert [(edit.after, edit.accepted) for edit in store.read_history(1)] == [("his", False), ("hers", True)]


def test_two_who_say_the_same_do_not_quarrel(store):
    store.save(change(key="anna", text="same", state="good"))
    assert store.save(change(key="ben", text="same", state="good")).accepted
    assert len(store.read_history(1)) == 1


def test_a_change_sent_twice_is_done_once_and_answered_alike(store):
    first = store.save(change(text="x"))
    store.save(change(version=1, key="other", text="y"))
    second = store.save(change(text="x"))
    assert (second.accepted, second.version) == (first.accepted, first.version) == (True, 1)
    assert store.read_item(1).text == "y"
    assert len(store.read_history(1)) == 2


def test_a_key_is_for_one_item_only(store):
    store.save(change(text="x"))
    with pytest.raises(ReviewError, match="another item"):
        store.save(change(number=2, text="x"))


def test_undo_goes_back_step_by_step_and_says_when_nothing_is_left(store):
    store.save(change(key="1", text="x", state="good"))
    store.save(change(key="2", version=1, text="y", state="good"))
    assert store.undo(change(key="3", version=2)).item.text == "x"
    item = store.undo(change(key="4", version=3)).item
    assert (item.text, item.state, item.version) == ("A", "open", 4)
    with pytest.raises(ReviewError, match="nothing is left to undo"):
        store.undo(change(key="5", version=4))


def test_undo_of_what_others_changed_meanwhile_is_refused(store):
    store.save(change(key="1", text="x"))
    store.save(change(key="2", version=1, text="y"))
    assert not store.undo(change(key="3", version=1)).accepted
    assert store.read_item(1).text == "y"


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.text("xyz", max_size=2)), max_size=12))
def test_saves_and_undos_are_a_stack(tmp_path_factory, steps):
    store = ReviewStore(tmp_path_factory.mktemp("stack") / "review.sqlite")
    store.fill("target", ITEMS)
    texts = ["A"]
    for place, text in enumerate(steps):
        item = store.read_item(1)
        step = change(version=item.version, key=str(place), text=text or "", state=item.state)
        if text is None:
            if len(texts) > 1:
                texts.pop()
                store.undo(step)
        elif text != texts[-1]:
            texts.append(text)
            store.save(step)
        assert store.read_item(1).text == texts[-1]
    assert sum(edit.kind == "save" for edit in store.read_history(1)) >= len(texts) - 1
    store.close()


def test_nobody_can_change_the_history(store):
    store.save(change(text="x"))
    with sqlite3.connect(store.path) as connection:
        for statement in ("UPDATE edits SET after = ''", "DELETE FROM edits"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                connection.execute(statement)


def test_of_many_who_save_at_once_one_is_accepted_for_each_version(store):
    other = ReviewStore(store.path)  # as another process would
    outcomes = []

    def save(place):
        outcomes.append((store, other)[place % 2].save(change(key=f"k{place}", text=f"t{place}")))

    threads = [threading.Thread(target=save, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sum(outcome.accepted for outcome in outcomes) == 1
    assert {edit.after for edit in store.read_history(1)} == {f"t{place}" for place in range(8)}


def test_new_predictions_reach_items_that_nobody_changed_and_no_others(store):
    store.save(change(text="mine"))
    store.fill("target", [NewItem(name=name, place=0, reference="new", prediction="read") for name in "abc"])
    items = {item.name: item for item in store.read_items()}
    assert [items[name].text for name in "abc"] == ["mine", "new", "new"]
    assert items["a"].reference == "new"
    assert [items[name].number for name in "ab"] == [1, 2]


def test_items_that_left_the_source_are_hidden_and_kept(store):
    store.save(change(text="mine"))
    store.fill("target", ITEMS[1:])
    assert store.find_items() == [2]
    with pytest.raises(ReviewItemMissing):
        store.read_item(1)
    store.fill("target", ITEMS)
    assert store.read_item(1).text == "mine"


def test_a_file_is_for_one_target(store):
    with pytest.raises(ReviewError, match="not of 'other'"):
        store.fill("other", ITEMS)


def test_search_knows_the_case_of_all_scripts_and_states_filter(store):
    store.save(change(text="ÉCOLE straße", state="unsure"))
    assert store.find_items(search="École") == store.find_items(search="STRASSE") == [1]
    assert store.find_items(state="unsure") == store.find_items(state="corrected") == [1]
    assert store.find_items(state="open") == [2]
    assert store.find_items(search="100%_") == []


def test_changes_since_an_edit_are_told_to_the_others(store):
    last, items = store.changes_since(0)
    assert (last, items) == (0, [])
    store.save(change(text="x", reviewer="Anna"))
    last, items = store.changes_since(0)
    assert [(item["number"], item["snippet"], item["reviewer"]) for item in items] == [(1, "x", "Anna")]
    assert store.changes_since(last) == (last, [])


def test_what_is_no_review_is_told(tmp_path):
    path = tmp_path / "review.sqlite"
    path.write_text("a shopping list, long enough to be no database at all")
    with pytest.raises(ReviewError, match="cannot be opened"):
        ReviewStore(path)
