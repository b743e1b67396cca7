import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.unlimited_ocr.generation_unlimited_ocr import (
    UnlimitedOcrSlidingWindowNoRepeatNgramLogitsProcessor,
)

from ocrtune.families import FAMILIES, Decoding
from ocrtune.prediction.guard import NgramWindow, RepetitionGuard

VOCABULARY = 6
PAD, IMAGE = 0, 5

sequences = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40)
decodings = st.builds(Decoding, no_repeat_ngram_tokens=st.integers(0, 5), window_tokens=st.integers(1, 20))


def naive(sequence, decoding, ignored=()):
    """The rule as it is stated: tokens that complete an n-gram lying in the last tokens of the sequence."""
    n = decoding.no_repeat_ngram_tokens
    if n == 0 or len(sequence) < n - 1:
        return []
    prefix = sequence[len(sequence) - n + 1 :]
    window = sequence[-decoding.window_tokens :]
    ngrams = [window[start : start + n] for start in range(len(window) - n + 1)]
    return sorted({g[-1] for g in ngrams if g[:-1] == prefix and not set(g) & set(ignored)})


def scores_for(rows):
    return torch.zeros(len(rows), VOCABULARY)


def forbidden(scores):
    return [[token for token in range(VOCABULARY) if row[token] == -torch.inf] for row in scores]


@given(sequence=sequences, decoding=decodings)
@settings(max_examples=400)
def test_the_window_kept_token_by_token_forbids_what_the_rule_says(sequence, decoding):
    window = NgramWindow(decoding, ignored=(PAD, IMAGE))
    for length, token in enumerate(sequence, start=1):
        window.append(token)
        assert window.forbidden() == naive(sequence[:length], decoding, (PAD, IMAGE))


@given(sequence=sequences, decoding=decodings, prompt=st.integers(1, 10))
@settings(max_examples=200)
def test_a_row_of_its_own_is_guarded_as_transformers_guards_it(sequence, decoding, prompt):
    prompt = min(prompt, len(sequence))
    # transformers refuses an n-gram of 0 tokens, and looks past the window for the prefix of a longer n-gram.
    n = min(max(1, decoding.no_repeat_ngram_tokens), decoding.window_tokens)
    decoding = Decoding(no_repeat_ngram_tokens=n, window_tokens=decoding.window_tokens)
    theirs = UnlimitedOcrSlidingWindowNoRepeatNgramLogitsProcessor(n, decoding.window_tokens)
    ours = RepetitionGuard(decoding)
    for length in range(prompt, len(sequence) + 1):
        ids = torch.tensor([sequence[:length]])
        wanted = forbidden(theirs(ids, scores_for(ids)))
        assert forbidden(ours(ids, scores_for(ids))) == wanted


@given(
    rows=st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=15), min_size=1, max_size=4),
    answers=st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=15),
    decoding=decodings,
)
@settings(max_examples=200)
def test_left_padding_changes_nothing_for_a_row(rows, answers, decoding):
    width = max(len(row) for row in rows)
    batch = [[PAD] * (width - len(row)) + row for row in rows]
    together = RepetitionGuard(decoding, ignored=(PAD, IMAGE))
    alone = [RepetitionGuard(decoding, ignored=(PAD, IMAGE)) for _ in rows]
    for steps in range(len(answers) + 1):
        more = answers[:steps]
        ids = torch.tensor([row + more for row in batch])
        single = [
            forbidden(guard(torch.tensor([row + more]), scores_for([row])))[0]
            for guard, row in zip(alone, rows, strict=True)
        ]
        assert forbidden(together(ids, scores_for(batch))) == single


def test_table_cells_may_repeat_and_other_tokens_may_not():
    decoding = Decoding(no_repeat_ngram_tokens=2, window_tokens=10)
    ids = torch.tensor([[1, 2, 1], [3, 4, 3]])
    guard = RepetitionGuard(decoding, unguarded=(4,))
    assert forbidden(guard(ids, scores_for(ids))) == [[2], []]


def test_image_tokens_in_the_prompt_do_not_count():
    decoding = Decoding(no_repeat_ngram_tokens=2, window_tokens=10)
    ids = torch.tensor([[1, IMAGE, IMAGE, IMAGE, 1, 2, 1]])
    assert forbidden(RepetitionGuard(decoding, ignored=(PAD, IMAGE))(ids, scores_for(ids))) == [[2]]
    assert forbidden(RepetitionGuard(decoding)(ids, scores_for(ids))) == [[2, IMAGE]]


def test_scores_that_are_not_forbidden_stay_as_they_are():
    decoding = Decoding(no_repeat_ngram_tokens=2, window_tokens=10)
    before = torch.arange(float(VOCABULARY)).unsqueeze(0)
    after = RepetitionGuard(decoding)(torch.tensor([[1, 2, 1]]), before.clone())
    kept = [token for token in range(VOCABULARY) if token != 2]
    assert torch.equal(after[:, kept], before[:, kept])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
@pytest.mark.parametrize("use", ["single", "pages", "evaluation"])
def test_published_settings_stop_a_loop_once_it_is_one_window_old(family, use):
    decoding = family.decoding[use]
    loop = [1, 2, 3]
    window = NgramWindow(decoding)
    first_forbidden = None
    for length in range(1, 3 * decoding.window_tokens):
        window.append(loop[(length - 1) % len(loop)])
        if window.forbidden():
            first_forbidden = length
            break
    # A loop of 3 tokens repeats an n-gram after n + 3 tokens; the guard acts before the last of them.
    assert first_forbidden == decoding.no_repeat_ngram_tokens + len(loop) - 1


def test_memory_does_not_grow_with_the_answer():
    decoding = Decoding(no_repeat_ngram_tokens=30, window_tokens=90)
    window = NgramWindow(decoding)
    for token in range(20_000):
        window.append(token)
    assert sum(len(followers) for followers in window._followers.values()) == 90 - 30 + 1


def test_a_long_answer_costs_no_more_a_step_than_a_short_one():
    window = NgramWindow(Decoding(no_repeat_ngram_tokens=35, window_tokens=1024))
    start = time.perf_counter()
    for token in range(32_768):
        window.append(token % 997)
        window.forbidden()
    # A rescan of the window would take 32 768 × 990 comparisons, about half a minute.
    assert time.perf_counter() - start < 5
