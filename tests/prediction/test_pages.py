import threading
from dataclasses import replace

import pytest
from PIL import Image

from ocrtune.config import DecodingSection
from ocrtune.errors import ImageError, InputsError, PredictionError
from ocrtune.inputs import encode
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import SkippedPage, answer, pages, predict, predict_pages
from ocrtune.records import Example, Page, Prediction

DECODING = DecodingSection(max_new_tokens=3, batch_size=2)
SIZES = [(100, 90), (300, 120), (80, 80), (250, 250), (128, 100), (90, 260), (60, 60), (200, 100), (110, 70)]


@pytest.fixture(scope="module")
def loaded(tiny_v1):
    return replace(load_checkpoint(tiny_v1.folder, device="cpu"), recipe=tiny_v1.recipe)


@pytest.fixture
def some_pages(page):
    return [page(f"page-{index}.png", size, index) for index, size in enumerate(SIZES)]


def test_predictions_come_in_the_order_of_the_pages(loaded, some_pages):
    found = predict(loaded, some_pages, decoding=DECODING)
    assert [row.image for row in found] == [page.name for page in some_pages]
    alone = [predict(loaded, [page], decoding=DECODING)[0] for page in some_pages]
    assert found == alone
    assert len({row.text for row in found}) > 1


def test_a_page_is_encoded_as_training_encodes_it(loaded, tiny_v1, some_pages):
    page = some_pages[1]
    example = Example(name=page.name, images=page.images, prompt=tiny_v1.recipe.prompt)
    inputs = encode(example, tiny_v1.recipe, tiny_v1.tokenizer)
    (wanted,) = answer(loaded.model, tiny_v1.family, tiny_v1.tokenizer, [inputs], DECODING)
    (found,) = predict(loaded, [page], decoding=DECODING)
    assert (found.text, found.num_tokens, found.truncated) == (wanted.text, 3, True)


def test_the_mode_of_the_checkpoint_is_obeyed(loaded, some_pages):
    other = replace(loaded, recipe=replace(loaded.recipe, mode=replace(loaded.recipe.mode, max_tiles=2)))
    seen = [
        [len(row.views[0].tiles) for row in _encoded(checkpoint, some_pages)]
        for checkpoint in (loaded, other)
    ]
    assert max(seen[0]) > 2
    assert max(seen[1]) == 2


def _encoded(checkpoint, some_pages):
    encoder = pages._Encoder(checkpoint.recipe, checkpoint.tokenizer, 2048, "stop")
    return [encoder.encode(page) for page in some_pages]


def test_texts_of_pages_are_not_looked_at(loaded, some_pages):
    told = [replace(page, text="<image> cannot be a target") for page in some_pages]
    assert predict(loaded, told, decoding=DECODING) == predict(loaded, some_pages, decoding=DECODING)


def test_a_prompt_may_be_given_by_its_short_name_and_a_page_s_own_goes_before_it(loaded, tiny_v1, some_pages):
    def ids(prompt, page):
        recipe = pages.recipe_with_prompt(loaded.recipe, prompt)
        return pages._Encoder(recipe, loaded.tokenizer, 2048, "stop").encode(page).input_ids.tolist()

    page = some_pages[0]
    markdown = tiny_v1.family.prompts["markdown"]
    assert ids("markdown", page) == ids(markdown, page) == ids(None, replace(page, prompt=markdown))
    assert ids("markdown", page) != ids(None, page)
    assert ids("markdown", replace(page, prompt="free")) == ids("free", page)
    with pytest.raises(InputsError, match="no prompt 'markdwn'"):
        list(predict_pages(loaded, [page], decoding=DECODING, prompt="markdwn"))


def test_a_page_that_cannot_be_read_stops_the_run(loaded, some_pages, tmp_path):
    broken = Page(name="broken", images=(tmp_path / "none.png",), where="manifest.jsonl:2")
    with pytest.raises(ImageError):
        predict(loaded, [some_pages[0], broken], decoding=DECODING)


def test_or_is_skipped_with_its_reason_in_its_place(loaded, some_pages, tmp_path):
    broken = Page(name="broken", images=(tmp_path / "none.png",), where="manifest.jsonl:2")
    wide = Image.new("RGB", (900, 500))
    long = Page(name="long", images=(wide,), prompt="<image>" + "x" * 3000)
    found = list(
        predict_pages(
            loaded, [broken, some_pages[0], long, some_pages[1]], decoding=DECODING, on_error="skip"
        )
    )
    assert [row.image for row in found] == ["broken", "page-0.png", "long", "page-1.png"]
    assert [type(row) for row in found] == [SkippedPage, Prediction, SkippedPage, Prediction]
    assert [found[0].code, found[2].code] == [ImageError.code, PredictionError.code]
    assert found[2].message.endswith("and the model 2048 positions: none is left to answer")
    alone = predict(loaded, some_pages[:2], decoding=DECODING)
    assert [found[1], found[3]] == alone


def test_a_length_limit_of_the_checkpoint_holds_for_prompts(loaded, some_pages):
    short = replace(loaded, recipe=replace(loaded.recipe, max_tokens=30))
    with pytest.raises(InputsError):
        predict(short, some_pages, decoding=DECODING)


def test_pages_are_taken_a_window_at_a_time_and_one_window_ahead(loaded, page):
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(threading.current_thread())
            yield page(f"{number}", (60, 60), number)
            number += 1

    window = DECODING.batch_size * pages.BATCHES_IN_WINDOW
    stream = predict_pages(loaded, endless(), decoding=DECODING)
    for number in range(window + 1):
        assert next(stream).image == str(number)
        assert len(taken) <= (2 if number < window else 3) * window
    stream.close()
    assert threading.main_thread() not in taken, "pages are encoded beside the decoding"


def test_no_pages_give_no_predictions(loaded):
    assert predict(loaded, [], decoding=DECODING) == []


def test_threads_that_encode_do_not_change_the_order(loaded, page):
    pages = [page(f"{number}", (60 + 30 * (number % 5), 60), number) for number in range(20)]
    assert predict(loaded, pages, decoding=DECODING, workers=4) == predict(loaded, pages, decoding=DECODING)


def test_as_many_threads_encode_as_are_asked_for(loaded, some_pages, monkeypatch):
    together = threading.Barrier(3, timeout=20)
    encode = pages.encode

    def waiting(*args):
        together.wait()
        return encode(*args)

    monkeypatch.setattr(pages, "encode", waiting)
    few = [replace(some_pages[0], name=f"{number}") for number in range(3)]
    assert len(predict(loaded, few, decoding=DECODING, workers=3)) == 3


def test_boxes_of_an_answer_are_pixels_of_its_page(loaded, some_pages):
    (width, height) = some_pages[0].images[0].size
    text = "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\nA"
    (box,) = pages._boxes(some_pages[0], text)
    assert (box.label, box.text, box.box) == ("title", "A", (0, 0, width, height))
    assert pages._boxes(replace(some_pages[0], images=some_pages[0].images * 2), text) == ()
    assert pages._boxes(some_pages[0], "no box") == ()


def test_a_row_tells_why_and_how_surely(loaded, some_pages):
    (row, *_) = predict(loaded, some_pages, decoding=DECODING)
    assert row.stop == "length"
    assert row.lowest_span.logprob == pytest.approx(row.mean_logprob, abs=1e-3), "three tokens are one span"
    assert row.lowest_span.text == row.text
    assert row.seconds >= 0
