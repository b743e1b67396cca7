import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.config import DataSection
from ocrtune.data import split_by_document
from ocrtune.errors import ConfigError
from ocrtune.records import Page
from ocrtune.sources import read_pages


def pages_of(documents) -> list[Page]:
    return [Page(name=f"{n}.png", images=(), document=name) for n, name in enumerate(documents)]


def section(**keys) -> DataSection:
    return DataSection(uri="m.jsonl", **keys)


def documents(pages) -> set[str]:
    return {page.document for page in pages}


def test_the_demo_splits_the_sample_lines_by_page():
    data = section(validation_documents=("5",), test_documents=("6",))
    splits = split_by_document(read_pages("builtin"), data, seed=0)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [178, 40, 39]
    assert documents(splits.train) == {"1", "2", "3", "4"}


many = st.lists(st.sampled_from([f"d{n}" for n in range(30)]), min_size=2, max_size=60).filter(
    lambda names: len(set(names)) > 1
)


@given(names=many, share=st.floats(0.01, 0.8), seed=st.integers(0, 1000))
def test_no_document_is_cut_and_no_page_is_lost(names, share, seed):
    pages = pages_of(names)
    try:
        splits = split_by_document(pages, section(validation_fraction=share), seed)
    except ConfigError:
        assert round(share * len(set(names))) == len(set(names))
        return
    assert not documents(splits.train) & documents(splits.validation)
    kept = [*splits.train, *splits.validation]
    assert sorted(kept, key=lambda page: page.name) == sorted(pages, key=lambda page: page.name)
    assert len(documents(splits.validation)) == max(1, round(share * len(set(names))))
    assert list(splits.train) == [page for page in pages if page in splits.train]


def test_the_share_depends_on_the_seed_and_not_on_the_order():
    pages = pages_of([f"d{n}" for n in range(40)])
    data = section(validation_fraction=0.2)
    drawn = {frozenset(documents(split_by_document(pages, data, seed).validation)) for seed in range(8)}
    assert len(drawn) > 6
    shuffled = random.Random(0).sample(pages, len(pages))
    again = split_by_document(shuffled, data, 3)
    assert documents(again.validation) == documents(split_by_document(pages, data, 3).validation)


def test_a_new_document_moves_at_most_one_other():
    names = [f"d{n}" for n in range(40)]
    data = section(validation_fraction=0.2)
    before = documents(split_by_document(pages_of(names), data, 0).validation)
    after = documents(split_by_document(pages_of([*names, "new"]), data, 0).validation)
    assert len(before - after) <= 1


def test_a_share_of_0_holds_nothing_out():
    splits = split_by_document(pages_of("aab"), section(validation_fraction=0.0), 0)
    assert len(splits.train) == 3
    assert list(splits.validation) == []


def test_each_source_gives_its_share_of_documents():
    pages = pages_of([*(f"a{n}" for n in range(20)), *(f"b{n}" for n in range(200)), "c"])
    splits = split_by_document(pages, section(validation_fraction=0.1), 0, sizes=[20, 200, 1])
    first = [page.document[0] for page in splits.validation]
    assert [first.count(letter) for letter in "abc"] == [2, 20, 0]


def test_text_alone_is_never_held_out_beside_images(tmp_path):
    shown = [Page(name=f"{n}", images=(tmp_path / "x.png",), document=f"d{n}") for n in range(10)]
    splits = split_by_document([*pages_of("abcdefghij"), *shown], section(validation_fraction=0.5), 0)
    assert len(splits.validation) == 5
    assert all(page.images for page in splits.validation)
    assert len(splits.train) == 15


def test_places_tell_which_pages_are_learned_from():
    pages = pages_of("aabbccdd")
    splits = split_by_document(pages, section(validation_fraction=0.25), 0)
    assert [pages[place] for place in splits.places] == list(splits.train)


def test_named_documents_go_before_the_share():
    data = section(validation_documents=("b",), validation_fraction=0.5)
    splits = split_by_document(pages_of("aabbcc"), data, 0)
    assert documents(splits.validation) == {"b"}


def test_test_documents_are_never_drawn_for_validation():
    data = section(test_documents=("a", "b"), validation_fraction=0.5)
    for seed in range(20):
        splits = split_by_document(pages_of("abcdef"), data, seed)
        assert documents(splits.test) == {"a", "b"}
        assert not documents(splits.validation) & {"a", "b"}


def test_held_out_pages_may_have_a_source_of_their_own(tmp_path):
    path = tmp_path / "held.jsonl"
    path.write_text(json.dumps({"image": "x.png", "text": "t"}))
    splits = split_by_document(pages_of("aab"), section(validation_uri=str(path)), 0)
    assert len(splits.train) == 3
    assert [page.name for page in splits.validation] == ["x.png"]


def test_documents_that_are_not_there_are_all_told():
    data = section(validation_documents=("letter",), test_documents=("zzz",))
    with pytest.raises(ConfigError) as caught:
        split_by_document(pages_of(["letters", "maps"]), data, 0)
    first, second = caught.value.problems
    assert first == "data.validation_documents: 'm.jsonl' has no document 'letter', did you mean 'letters'?"
    assert second.endswith("'zzz'; it has 'letters', 'maps'")


def test_of_many_documents_some_are_told_and_the_rest_counted():
    with pytest.raises(ConfigError, match="and 15 more"):
        split_by_document(pages_of([f"d{n}" for n in range(25)]), section(test_documents=("zzz",)), 0)


def test_a_single_document_is_not_cut():
    with pytest.raises(ConfigError, match="'a' is the only document") as caught:
        split_by_document(pages_of("aaaa"), section(), 0)
    assert "validation_fraction to 0" in caught.value.hint


def test_nothing_left_to_learn_from_is_an_error():
    with pytest.raises(ConfigError, match="left to learn from"):
        split_by_document(pages_of("ab"), section(validation_documents=("a", "b")), 0)


def test_held_out_pages_may_be_made(synth_font, tmp_path, monkeypatch):
    monkeypatch.setattr("ocrtune.data.streams.MOST_LOOKED_AT", 4)
    (tmp_path / "lines.yaml").write_text(f"fonts: {{paths: ['{synth_font}']}}\nletters: {{longest: 12}}\n")
    data = section(validation_uri=f"synth:{tmp_path / 'lines.yaml'}")
    splits = split_by_document(pages_of("abc"), data, 0)
    assert (len(splits.train), len(splits.validation)) == (3, 4)
