import random
from dataclasses import asdict
from statistics import fmean, median

import numpy as np
import pytest

from ocrtune.evaluation import measure_differences, measure_intervals, score_page, summarize
from ocrtune.evaluation.intervals import WAYS, Counts, Resampler, tell_few
from ocrtune.records import Prediction
from ocrtune.text import Normalization

RAW = Normalization(unicode="none", whitespace="keep")


def score(reference: str, prediction: str):
    return score_page(reference, Prediction(image="a", text=prediction), RAW)


def book(chance: random.Random, *, documents: int, pages: int, spread: float = 0.05):
    """Scores of a book's pages; each document has an error rate of its own."""
    scores, names = [], []
    for number in range(documents):
        rate = min(0.9, max(0.0, chance.gauss(0.15, spread)))
        for _ in range(pages):
            text = "a" * chance.randint(50, 200)
            scores.append(score(text, "".join("b" if chance.random() < rate else "a" for _ in text)))
            names.append(str(number))
    return scores, names


def test_a_sample_holds_the_rates_of_what_was_drawn():
    chance = random.Random(0)
    scores, documents = book(chance, documents=7, pages=3, spread=0.1)
    scores[4] = score("a river", "runaway" * 500)
    scores[7] = score("", "made up")
    resampler = Resampler(documents, resamples=40, seed=3)
    samples = resampler.sample([Counts.of(scores, "cer"), Counts.of(scores, "wer")])
    # The same draws once more, page by page in plain Python.
    drawn = np.random.default_rng(3).integers(0, 7, size=(40, 7))
    for row, draw in enumerate(drawn):
        pages = [score for number in draw for score in scores[3 * number : 3 * number + 3]]
        card = summarize(pages, RAW)
        for measure, rates in enumerate((card.cer, card.wer)):
            expected = [asdict(rates)[way] for way in WAYS]
            assert samples[measure, :, row] == pytest.approx(expected)


def test_the_same_pages_give_the_same_interval_however_many_are_drawn_at_a_time(monkeypatch):
    scores, documents = book(random.Random(1), documents=9, pages=2)
    whole = measure_intervals(scores, documents)
    monkeypatch.setattr("ocrtune.evaluation.intervals._VALUES_AT_A_TIME", 100)
    few = measure_intervals(scores, documents)
    for measure in ("cer", "wer"):
        for way in WAYS:
            assert asdict(few.of(measure, way)) == pytest.approx(asdict(whole.of(measure, way)))
    assert measure_intervals(scores, documents) == few


def test_intervals_hold_the_rate_and_other_seeds_differ_a_little():
    scores, documents = book(random.Random(2), documents=30, pages=4)
    intervals, card = measure_intervals(scores, documents), summarize(scores, RAW)
    for way in WAYS:
        interval = intervals.of("cer", way)
        assert interval.low < asdict(card.cer)[way] < interval.high
    assert (intervals.unit, intervals.num_units) == ("document", 30)


def test_a_95_percent_interval_covers_the_truth_about_so_often():
    # The truth is 15 %: what a book of endless many documents has.
    chance = random.Random(3)
    covered = []
    for _ in range(100):
        scores, documents = book(chance, documents=40, pages=2)
        interval = measure_intervals(scores, documents).of("cer", "macro")
        covered.append(interval.low <= 0.15 <= interval.high)
    assert 0.87 <= fmean(covered) <= 1.0


def test_pages_of_few_documents_are_less_sure_than_as_many_documents():
    scores, documents = book(random.Random(4), documents=6, pages=40, spread=0.08)
    by_document = measure_intervals(scores, documents).of("cer", "micro")
    by_page = measure_intervals(scores, [str(number) for number in range(240)]).of("cer", "micro")
    assert by_document.high - by_document.low > 2 * (by_page.high - by_page.low)


def test_pages_of_one_document_are_drawn_themselves_and_one_page_has_no_interval():
    scores, _ = book(random.Random(5), documents=1, pages=20)
    intervals = measure_intervals(scores, ["a"] * 20)
    assert (intervals.unit, intervals.num_units) == ("page", 20)
    assert intervals.of("wer", "median") is not None
    alone = measure_intervals(scores[:1], ["a"])
    assert alone.rates == {}
    assert alone.of("cer", "micro") is None


def test_the_median_of_even_and_odd_draws_is_that_of_statistics():
    scores = [score("a" * 10, "b" * wrong + "a" * (10 - wrong)) for wrong in (0, 1, 3, 7)]
    samples = Resampler(list("abcd"), resamples=30).sample([Counts.of(scores, "cer")])
    drawn = np.random.default_rng(0).integers(0, 4, size=(30, 4))
    rates = [0, 0.1, 0.3, 0.7]
    assert samples[0, 2] == pytest.approx([median(rates[number] for number in draw) for draw in drawn])


def test_swapped_sides_differ_by_the_sign_and_equal_ones_not_at_all():
    chance = random.Random(6)
    a, documents = book(chance, documents=12, pages=3)
    b, _ = book(chance, documents=12, pages=3)
    b = [
        score(one.reference, other.prediction[: len(one.reference)]) for one, other in zip(a, b, strict=True)
    ]
    there, back = measure_differences(a, b, documents), measure_differences(b, a, documents)
    same = measure_differences(a, a, documents)
    for measure in ("cer", "wer"):
        for way in WAYS:
            one, other = there.rates[measure][way], back.rates[measure][way]
            assert one.value == -other.value
            assert one.interval.low == pytest.approx(-other.interval.high)
            assert one.interval.high == pytest.approx(-other.interval.low)
            assert one.b_is_better == pytest.approx(1 - other.b_is_better)
            nothing = same.rates[measure][way]
            assert (nothing.value, nothing.interval.low, nothing.interval.high) == (0, 0, 0)
            assert nothing.b_is_better == 0.5


def test_pairing_finds_a_small_gain_that_unpaired_intervals_do_not_show():
    chance = random.Random(7)
    a, documents = book(chance, documents=30, pages=3, spread=0.1)
    # B reads every page as A does, with one letter less wrong.
    b = [score(one.reference, one.prediction.replace("b", "a", 1)) for one in a]
    ones, others = (measure_intervals(each, documents).of("cer", "micro") for each in (a, b))
    assert ones.low < others.high
    difference = measure_differences(a, b, documents).rates["cer"]["micro"]
    assert difference.interval.high < 0
    assert difference.b_is_better == 1


def test_few_documents_are_warned_of_and_many_or_pages_of_one_are_not():
    assert tell_few(3, "document").startswith("3 documents are few")
    assert tell_few(10, "document") == tell_few(3, "page") == ""
