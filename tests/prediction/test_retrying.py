from dataclasses import replace
from itertools import pairwise

import pytest

from ocrtune.config import DecodingSection
from ocrtune.errors import ModeError
from ocrtune.families import FAMILIES, Decoding
from ocrtune.inputs import InputsRecipe
from ocrtune.models import OcrModel
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import RetryPolicy, answer, loops, predict
from ocrtune.prediction.answering import Answer
from ocrtune.prediction.retrying import Setting, plan_settings, read_with_retries

RECIPE = InputsRecipe.default(FAMILIES["deepseek_ocr"])
UNGUARDED = DecodingSection(max_new_tokens=120, no_repeat_ngram_tokens=0, batch_size=4)


def read(stop, sure, tokens=8):
    return Answer(tokens=(1,), text=stop, num_tokens=tokens, stop=stop, logprobs=(sure,), seconds=1.0)


def settings(count):
    return [
        Setting(recipe=RECIPE, guard=Decoding(no_repeat_ngram_tokens=40 - place, window_tokens=90))
        for place in range(count)
    ]


def answers_in_turn(*turns):
    upcoming = iter(turns)
    return lambda _setting, places: zip(places, next(upcoming), strict=False)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_each_guard_is_stronger_than_the_one_before_and_the_mode_comes_last(family):
    recipe = InputsRecipe.default(family)
    plan = plan_settings(recipe, DecodingSection(), RetryPolicy(retries=2, mode="base"))
    assert plan[0] == Setting(recipe=recipe, guard=family.decoding["evaluation"])
    guards = [setting.guard for setting in plan[:3]]
    for weak, strong in pairwise(guards):
        assert strong.no_repeat_ngram_tokens <= weak.no_repeat_ngram_tokens / 2
        assert strong.window_tokens >= 2 * weak.window_tokens
    assert guards[1].no_repeat_ngram_tokens <= family.decoding["pages"].no_repeat_ngram_tokens
    assert plan[3] == Setting(recipe=replace(recipe, mode=family.modes["base"]), guard=guards[2])


def test_no_guard_becomes_the_published_one_and_no_ngram_is_too_short_for_a_page():
    plan = plan_settings(RECIPE, UNGUARDED, RetryPolicy(retries=9))
    assert plan[1].guard.no_repeat_ngram_tokens == RECIPE.family.decoding["pages"].no_repeat_ngram_tokens
    assert plan[-1].guard.no_repeat_ngram_tokens == 4


def test_a_mode_that_the_family_has_not_is_an_error():
    with pytest.raises(ModeError):
        plan_settings(RECIPE, DecodingSection(), RetryPolicy(mode="gundan"))


def test_only_pages_that_loop_are_read_again_and_all_tries_are_told():
    found = list(
        read_with_retries(
            3,
            settings(3),
            answers_in_turn(
                [read("eos", -1.0), read("repetition", -0.1), read("repetition", -0.1)],
                [read("repetition", -0.3), read("length", -2.0)],
                [read("repetition", -0.2)],
            ),
        )
    )
    assert found[0].attempts() == ()
    assert [(row.stop, row.no_repeat_ngram_tokens, row.kept) for row in found[1].attempts()] == [
        ("repetition", 40, True),
        ("repetition", 39, False),
        ("repetition", 38, False),
    ]
    assert [(row.stop, row.mean_logprob, row.kept) for row in found[2].attempts()] == [
        ("repetition", -0.1, False),
        ("length", -2.0, True),
    ]
    assert found[2].seconds == 2.0


def test_a_setting_that_does_not_suit_a_page_leaves_its_answer():
    (found,) = read_with_retries(1, settings(2), answers_in_turn([read("repetition", -0.1)], []))
    assert found.best.stop == "repetition"
    assert found.attempts() == ()


def test_readings_come_in_order_as_soon_as_those_before_them_are_settled():
    taken = []

    def one_by_one(_setting, places):
        for place in [1, 0, 3, 2] if len(places) == 4 else places:
            taken.append(place)
            yield place, read("repetition" if taken == [1, 0, 3] else "eos", -1.0)

    found = read_with_retries(4, settings(2), one_by_one)
    assert [len(taken) for _ in found] == [2, 2, 4, 5], "the last one looped and was read again"


@pytest.fixture(scope="module")
def loaded(tiny_v1):
    return replace(load_checkpoint(tiny_v1.folder, device="cpu"), recipe=tiny_v1.recipe)


@pytest.fixture(autouse=True)
def short_loops(monkeypatch):
    """Loops that are found early, so that tests are short."""
    monkeypatch.setattr(loops, "FEWEST_TOKENS", 24)
    monkeypatch.setattr(loops, "LOOK_EVERY_TOKENS", 4)


@pytest.fixture
def pages(page):
    return [page(f"{number}", (90 + 60 * number, 100), number) for number in range(3)]


def test_a_page_that_loops_does_not_burn_its_budget(loaded, pages):
    free = predict(loaded, pages, decoding=UNGUARDED, retry=RetryPolicy(retries=0))
    looping = [row for row in free if row.stop == "repetition"]
    assert looping, "the small model loops without a guard"
    for row in looping:
        assert row.truncated
        assert 24 <= row.num_tokens < 120
        assert not row.attempts


def test_and_is_read_again_under_a_guard_that_breaks_the_loop(loaded, pages):
    free = predict(loaded, pages, decoding=UNGUARDED, retry=RetryPolicy(retries=0))
    rows = predict(loaded, pages, decoding=UNGUARDED, retry=RetryPolicy(retries=2, mode="tiny"))
    for before, row in zip(free, rows, strict=True):
        if before.stop != "repetition":
            assert row == before
            continue
        assert row.attempts[0].num_tokens == before.num_tokens
        assert [attempt.kept for attempt in row.attempts].count(True) == 1
        assert row.stop != "repetition" or all(attempt.stop == "repetition" for attempt in row.attempts)


def test_the_part_before_a_loop_is_what_it_would_be_without_the_watch(loaded, tiny_v1, pages):
    from ocrtune.prediction.pages import _Encoder

    encoder = _Encoder(loaded.recipe, loaded.tokenizer, 2048, "stop")
    inputs = [encoder.encode(page) for page in pages]

    def read(*, stops_loops):
        return answer(
            loaded.model, tiny_v1.family, loaded.tokenizer, inputs, UNGUARDED, stops_loops=stops_loops
        )

    for watched, whole in zip(read(stops_loops=True), read(stops_loops=False), strict=True):
        assert whole.tokens[: len(watched.tokens)] == watched.tokens
        assert watched.stop == "repetition" or watched == whole


def test_a_page_that_is_read_again_in_the_same_mode_goes_through_the_vision_part_once(
    loaded, pages, monkeypatch
):
    encoded = []
    encode_images = OcrModel.encode_images

    def counting(self, images):
        encoded.extend(images)
        return encode_images(self, images)

    monkeypatch.setattr(OcrModel, "encode_images", counting)
    rows = predict(loaded, pages, decoding=UNGUARDED, retry=RetryPolicy(retries=2))
    assert any(len(row.attempts) > 1 for row in rows)
    assert len(encoded) == len(pages)
