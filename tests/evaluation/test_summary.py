import random
from dataclasses import asdict, replace
from statistics import fmean, median

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import rate_page, score_page, summarize
from ocrtune.records import Prediction
from ocrtune.sources import read_pages
from ocrtune.text import Normalization

WORDS = Normalization(whitespace="collapse")


def scores_of(pairs, normalization=WORDS):
    return [
        score_page(reference, Prediction(image=str(n), text=prediction), normalization)
        for n, (reference, prediction) in enumerate(pairs)
    ]


def card_of(pairs, normalization=WORDS):
    return summarize(scores_of(pairs, normalization), normalization)


def spoil(text: str, chance: random.Random) -> str:
    """A reading of a line as a model makes it: letters lost, doubled and taken for others."""
    letters = [chance.choice([letter, letter, letter, "", letter * 2, "x"]) for letter in text]
    return "".join(letters)


def test_the_four_ways_to_sum_up_are_what_they_say():
    card = card_of([("aaaa", "aaaa"), ("aa", "ab"), ("a", "bbbbb")])
    assert card.pages == 3
    assert card.cer.micro == pytest.approx((0 + 1 + 5) / (4 + 2 + 1))
    assert card.cer.macro == pytest.approx(fmean([0, 0.5, 5]))
    assert card.cer.median == 0.5
    assert card.cer.clipped == pytest.approx(fmean([0, 0.5, 1]))
    assert card.ned.micro == pytest.approx((0 + 1 + 5) / (4 + 2 + 5))
    assert card.ned.macro == card.ned.clipped == pytest.approx(fmean([0, 0.5, 1]))
    assert card.runaway_rate == pytest.approx(1 / 3)


def test_real_lines_agree_with_jiwer_page_by_page_and_in_all():
    chance = random.Random(0)
    references = [page.text for page in read_pages("builtin")]
    predictions = [" ".join(spoil(text, chance).split()) for text in references]
    card = card_of(zip(references, predictions, strict=True))
    assert 0.2 < card.cer.micro < 0.9
    assert card.cer.micro == pytest.approx(jiwer.cer(references, predictions))
    assert card.wer.micro == pytest.approx(jiwer.wer(references, predictions))
    pairs = list(zip(references, predictions, strict=True))
    assert card.cer.macro == pytest.approx(fmean(jiwer.cer(*pair) for pair in pairs))
    assert card.wer.median == pytest.approx(median(jiwer.wer(*pair) for pair in pairs))


words = st.lists(st.text("abcé", min_size=1, max_size=5), min_size=1, max_size=8).map(" ".join)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=8))
def test_sums_over_pages_agree_with_jiwer(pairs):
    card = card_of(pairs)
    references, predictions = zip(*pairs, strict=True)
    assert card.cer.micro == pytest.approx(jiwer.cer(list(references), list(predictions)))
    assert card.wer.micro == pytest.approx(jiwer.wer(list(references), list(predictions)))


anything = st.text("ab ", max_size=10)


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=8))
def test_rates_keep_their_bounds(pairs):
    scores = scores_of(pairs)
    card = summarize(scores, WORDS)
    for rates in (card.cer, card.wer, card.ned):
        assert min(asdict(rates).values()) >= 0
        assert rates.clipped <= 1
        assert rates.clipped <= rates.macro
    assert max(asdict(card.ned).values()) <= 1
    assert card.cer.macro == pytest.approx(fmean(rate_page(score).cer for score in scores))


@given(st.lists(anything, min_size=1, max_size=8))
def test_equal_texts_score_0_in_every_way(texts):
    card = card_of([(text, text) for text in texts])
    for rates in (card.cer, card.wer, card.ned):
        assert set(asdict(rates).values()) == {0.0}
    assert card.runaway_rate == 0


@pytest.mark.parametrize(("prediction", "rate"), [("", 0.0), ("abc def", 1.0)])
def test_a_rate_over_an_empty_reference_is_0_or_1(prediction, rate):
    (score,) = scores_of([("", prediction)])
    assert asdict(rate_page(score)) == {
        "cer": rate,
        "wer": rate,
        "ned": rate,
        "grapheme_cer": rate,
        "bag_of_words_f1": 1 - rate,
    }
    assert card_of([("", prediction)]).cer.micro == rate


def test_edits_on_an_empty_reference_count_in_full_in_micro():
    assert card_of([("aaaa", "aaaa"), ("", "bb")]).cer.micro == 0.5


def test_an_empty_prediction_is_wholly_wrong():
    card = card_of([("abc def", "")])
    assert (card.cer.micro, card.wer.micro, card.ned.micro) == (1.0, 1.0, 1.0)


def test_one_runaway_page_rules_micro_but_not_clipped():
    pages = [("a" * 100, "a" * 90 + "b" * 10)] * 199
    calm, wild = card_of(pages), card_of([*pages, ("a" * 100, "b" * 8192)])
    assert wild.cer.micro > 4 * calm.cer.micro
    assert wild.cer.clipped < 1.1 * calm.cer.clipped
    assert wild.cer.median == calm.cer.median
    assert wild.runaway_rate == 1 / 200


def test_no_pages_have_no_scores():
    with pytest.raises(EvaluationError, match="no pages to score"):
        summarize([], WORDS)


def test_the_printed_card_has_the_keys_it_is_known_by():
    printed = card_of([("a", "b")]).as_dict()
    assert list(printed) == [
        "pages",
        "cer",
        "wer",
        "ned",
        "grapheme_cer",
        "bag_of_words_f1",
        "text_edit_distance",
        "exact_rate",
        "runaway_rate",
        "empty_rate",
        "repetition_rate",
        "structures",
        "normalization",
    ]
    for name in ("cer", "wer", "ned", "grapheme_cer"):
        assert list(printed[name]) == ["micro", "macro", "median", "clipped"]
    assert printed["normalization"] == {"unicode": "NFC", "whitespace": "collapse", "case": "keep"}


def test_shares_of_pages_are_told():
    card = card_of([("abc", "abc"), ("abc", ""), ("", ""), ("ab cd", "cd ab")])
    assert card.exact_rate == 0.5
    assert card.empty_rate == 0.25
    assert card.repetition_rate == card.runaway_rate == 0


def test_a_bag_of_words_knows_no_order_but_counts():
    card = card_of([("to be or not to be", "be be or not to")])
    # Shared are to, be twice, or, not: 5 of 6 and 5 of 5.
    assert card.bag_of_words_f1 == pytest.approx(2 * 5 / 11)
    # And of the three a only as many as the reference has.
    assert card_of([("a b", "a a a b")]).bag_of_words_f1 == pytest.approx(2 * 2 / 6)
    assert card_of([("one two three", "three two one")]).bag_of_words_f1 == 1


def test_omnidocbench_text_edit_distance_is_edits_by_the_longer_text_averaged_over_pages():
    # As OmniDocBench has it: by page, edits over the longer of both texts, then the mean.
    card = card_of([("abcd", "abXd"), ("ab", "abcdefgh"), ("abcdefghij", "")])
    assert card.text_edit_distance == pytest.approx(fmean([1 / 4, 6 / 8, 10 / 10]))


def test_structures_are_averaged_over_the_pages_that_have_them():
    one, other, third = scores_of([("a", "a"), ("b", "b"), ("c", "c")])
    with_tables = [
        replace(one, structures={"teds": 0.5}),
        replace(other, structures={"teds": 1.0, "box_f1": 0.2}),
    ]
    card = summarize([*with_tables, third], WORDS)
    assert card.as_dict()["structures"] == {
        "teds": {"mean": 0.75, "pages": 2},
        "box_f1": {"mean": 0.2, "pages": 1},
    }
