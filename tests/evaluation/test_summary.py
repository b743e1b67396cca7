import random
from dataclasses import asdict
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
    assert asdict(rate_page(score)) == {"cer": rate, "wer": rate, "ned": rate}
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
    assert list(printed) == ["pages", "cer", "wer", "ned", "runaway_rate", "normalization"]
    for name in ("cer", "wer", "ned"):
        assert list(printed[name]) == ["micro", "macro", "median", "clipped"]
    assert printed["normalization"] == {"unicode": "NFC", "whitespace": "collapse", "case": "keep"}
