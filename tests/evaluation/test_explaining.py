import random

import pytest

from ocrtune.evaluation import evaluate_predictions, explain_micro, score_page, summarize
from ocrtune.records import Page, Prediction
from ocrtune.text import Normalization

CHARS = 250


def page(number: int, edits: int) -> tuple[str, str]:
    """A line of text, and a reading with so many letters wrong."""
    chance = random.Random(number)
    reference = "".join(chance.choice("abcdefghij") for _ in range(CHARS))
    wrong = set(chance.sample(range(CHARS), edits))
    return reference, "".join("#" if place in wrong else letter for place, letter in enumerate(reference))


@pytest.fixture(scope="module")
def pages():
    """The published case: 200 pages at 15.4 %, one of which runs on for 8100 tokens of two characters."""
    return [page(number, (33, 38, 39, 44)[number % 4]) for number in range(200)]


def scores_of(pairs):
    return [
        score_page(reference, Prediction(image=str(number), text=text), Normalization())
        for number, (reference, text) in enumerate(pairs)
    ]


def test_one_runaway_page_of_200_lifts_micro_from_15_to_48_percent_and_nothing_else(pages):
    reference, text = pages[100]
    calm = summarize(scores_of(pages), Normalization())
    wild_scores = scores_of([*pages[:100], (reference, text + "z " * 8100), *pages[101:]])
    wild = summarize(wild_scores, Normalization())
    assert calm.cer.micro == pytest.approx(0.154)
    assert wild.cer.micro == pytest.approx(0.478, abs=0.0005)
    assert wild.cer.median == pytest.approx(calm.cer.median, abs=0.003)
    assert wild.cer.clipped == pytest.approx(calm.cer.clipped, abs=0.006)
    assert wild.runaway_rate == wild.repetition_rate == 1 / 200
    assert explain_micro(scores_of(pages)) == ""
    assert explain_micro(wild_scores) == (
        "1 of 200 pages ran away and makes 68% of all edits: micro 47.8%, without it 15.4%"
    )


def test_the_evaluation_says_it_too(pages):
    references = [Page(name=str(number), images=(), text=text) for number, (text, _) in enumerate(pages)]
    answers = [Prediction(image=str(number), text=text) for number, (_, text) in enumerate(pages)]
    answers[3] = Prediction(image="3", text="the the " * 3000)
    found = evaluate_predictions(answers, references)
    assert found.as_dict()["explanation"].startswith("1 of 200 pages ran away")
    low, high = found.intervals.of("cer", "micro").low, found.intervals.of("cer", "micro").high
    assert high - low > 0.3
    clipped = found.intervals.of("cer", "clipped")
    assert clipped.high - clipped.low < 0.03


def test_several_pages_are_named_together_and_small_ones_are_not():
    pairs = [page(number, 20) for number in range(100)]
    pairs[:2] = [(reference, text + "y" * 9000) for reference, text in pairs[:2]]
    pairs[2] = (pairs[2][0], pairs[2][1] + "y" * 260)
    assert explain_micro(scores_of(pairs)).startswith("2 of 100 pages ran away and make 8")


def test_bad_pages_that_did_not_run_away_explain_nothing():
    assert explain_micro(scores_of([page(0, 0), page(1, 250), page(2, 0)])) == ""
    assert explain_micro(scores_of([("a", "")])) == explain_micro(scores_of([("a", "bbbbb")])) == ""
