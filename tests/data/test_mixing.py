import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.config import DataSection, SourceSection
from ocrtune.data.mixing import MixedPages, Mixture, Share, make_mixture, name_sources, read_data


def mixture(*sizes: tuple[int, int], seed: int = 0) -> Mixture:
    """Of (pages, examples in an epoch) of each source."""
    shares, start = [], 0
    for number, (num_pages, num_examples) in enumerate(sizes):
        shares.append(
            Share(name=f"s{number}", uri="", start=start, num_pages=num_pages, num_examples=num_examples)
        )
        start += num_pages
    return Mixture(tuple(shares), seed)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 60)), min_size=1, max_size=4), st.integers(1, 6))
def test_no_page_comes_again_before_all_of_its_source_have_come(sizes, epochs):
    mixed = mixture(*sizes)
    drawn = np.concatenate([mixed.draw(epoch) for epoch in range(epochs)])
    for share in mixed.shares:
        own = drawn[(share.start <= drawn) & (drawn < share.start + share.num_pages)]
        assert len(own) == epochs * share.num_examples
        counts = np.bincount(own - share.start, minlength=share.num_pages)
        assert counts.max() - counts.min() <= 1


def test_an_epoch_depends_on_its_number_and_the_seed_alone():
    mixed = mixture((10, 4), (5, 12))
    assert mixed.draw(3).tolist() == mixture((10, 4), (5, 12)).draw(3).tolist()
    assert mixed.draw(3).tolist() != mixed.draw(4).tolist()
    assert mixed.draw(3).tolist() != mixture((10, 4), (5, 12), seed=1).draw(3).tolist()
    assert mixed.count(mixed.draw(0)) == [4, 12]


@pytest.mark.parametrize(
    ("sources", "sizes", "examples"),
    [
        ([{}, {}], [30, 10], [30, 10]),
        ([{"repeats": 1}, {"repeats": 3}], [30, 10], [30, 30]),
        ([{"weight": 1}, {"weight": 1}], [30, 10], [20, 20]),
        ([{"weight": 0.3}, {"weight": 0.1}], [1000, 3], [752, 251]),
        ([{"weight": 2}, {"weight": 1}, {"weight": 1}], [7, 0, 4], [7, 0, 4]),
    ],
)
def test_weights_and_repeats_say_how_many_examples_an_epoch_has(sources, sizes, examples):
    sections = [SourceSection(uri=f"s{n}.jsonl", **keys) for n, keys in enumerate(sources)]
    pages = MixedPages(pages=[], findings=[], names=name_sources(sections), sizes=tuple(sizes))
    mixed = make_mixture(sections, pages, np.arange(sum(sizes)), seed=0)
    assert [share.num_examples for share in mixed.shares] == examples


def test_pages_that_are_not_learned_from_count_in_no_source():
    sections = [SourceSection(uri="a.jsonl"), SourceSection(uri="b.jsonl")]
    pages = MixedPages(pages=[], findings=[], names=("a", "b"), sizes=(4, 4))
    mixed = make_mixture(sections, pages, np.array([0, 3, 4, 5, 7]), seed=0)
    assert [(share.start, share.num_pages) for share in mixed.shares] == [(0, 2), (2, 3)]


@pytest.fixture
def manifests(tmp_path):
    def write(name: str, count: int) -> str:
        path = tmp_path / name / "manifest.jsonl"
        path.parent.mkdir()
        rows = [{"image": f"{n}.png", "text": name, "document": f"book{n // 2}"} for n in range(count)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return str(path.parent)

    return write


def test_pages_of_several_sources_have_names_and_documents_of_their_own(manifests):
    data = DataSection(sources=[{"uri": manifests("a", 3)}, {"uri": manifests("b", 2), "name": "letters"}])
    mixed = read_data(data, seed=0)
    assert [page.name for page in mixed.pages] == [
        "a/0.png",
        "a/1.png",
        "a/2.png",
        "letters/0.png",
        "letters/1.png",
    ]
    assert {page.document for page in mixed.pages} == {"a/book0", "a/book1", "letters/book0"}
    assert mixed.sizes == (3, 2)


def test_one_source_keeps_its_names(manifests):
    assert [page.name for page in read_data(DataSection(uri=manifests("a", 2)), 0).pages] == [
        "0.png",
        "1.png",
    ]


def test_a_cap_draws_pages_by_the_seed(manifests):
    data = DataSection(sources=[{"uri": manifests("a", 40), "max_pages": 10}])
    names = [[page.name for page in read_data(data, seed).pages] for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 10


def test_prompts_are_drawn_by_weight_and_stay_with_their_page(manifests):
    source = {"uri": manifests("a", 400), "prompts": {"free": 3, "<image>\nRead it.": 1}}
    pages = list(read_data(DataSection(sources=[source]), 0).pages)
    assert pages == list(read_data(DataSection(sources=[source]), 0).pages)
    counts = Counter(page.prompt for page in pages)
    assert 260 < counts["free"] < 340
    assert counts["free"] + counts["<image>\nRead it."] == 400


def test_names_are_made_of_uris_and_never_alike():
    uris = ["pdf:books?dpi=200", "books", "page:a/export.xml", "jsonl:x/export.jsonl", "builtin"]
    sections = [SourceSection(uri=uri) for uri in uris]
    assert name_sources(sections) == ("books", "books-2", "export", "export-2", "builtin")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "give uri, or sources"),
        ({"uri": "a", "sources": [{"uri": "b"}]}, "give uri, or sources"),
        ({"sources": [{"uri": "a", "weight": 1}, {"uri": "b"}]}, "a weight, or none"),
        ({"sources": [{"uri": "a", "weight": 1, "repeats": 2}]}, "weight or repeats"),
        ({"sources": [{"uri": "a", "name": "x"}, {"uri": "b", "name": "x"}]}, "several are called 'x'"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused(keys, problem):
    with pytest.raises(ValueError, match=problem):
        DataSection(**keys)
