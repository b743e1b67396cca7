from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrtune.errors import ImageError, InputsError, SequenceTooLong, SeveralImagesError
from ocrtune.families import FAMILIES, Mode
from ocrtune.families.vocabulary import BOS, EOS, IMAGE, PAD
from ocrtune.inputs import (
    IGNORED_LABEL,
    EncodedExamples,
    InputsRecipe,
    count_tokens,
    encode,
    encode_all,
)
from ocrtune.records import Example

V1 = FAMILIES["deepseek_ocr"]
UNLIMITED = FAMILIES["unlimited_ocr"]
SMALL_MODE = Mode(name="own", global_px=64, tile_px=64, max_tiles=4)
RECIPE = InputsRecipe(family=V1, mode=SMALL_MODE, prompt="<image>\nFree OCR.")
PAGES_RECIPE = InputsRecipe(
    family=UNLIMITED, mode=Mode(name="own", global_px=64), prompt="<image>Multi page parsing."
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: not any(token in text for token in (BOS, EOS, PAD, IMAGE))
)


def make_example(page=None, *, prompt="<image>\nFree OCR.", target="answer", name="page.png", images=None):
    if images is None:
        images = () if page is None else (page,)
    return Example(name=name, images=tuple(images), prompt=prompt, target=target, where="manifest.jsonl:3")


def test_the_published_prompt_becomes_the_published_ids(published_tokenizer, draw_page):
    example = make_example(draw_page(60, 60), prompt="<image>\nFree OCR. ", target=None)
    inputs = encode(example, replace(RECIPE, mode=V1.modes["tiny"]), published_tokenizer)
    assert inputs.input_ids.tolist() == [0] + [128815] * 73 + [201, 21431, 126041, 16]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_published_prompt_ends_without_a_stray_token(published_tokenizer, draw_page, family):
    for prompt in family.prompts.values():
        example = make_example(draw_page(60, 60), prompt=f" {prompt}\n ", target="A")
        recipe = InputsRecipe(family=family, mode=family.modes["base"], prompt=prompt)
        inputs = encode(example, recipe, published_tokenizer)
        (num_image_tokens,) = [view.num_image_tokens for view in inputs.views]
        text = published_tokenizer.encode(prompt.removeprefix("<image>"))
        assert 223 not in text  # a lone space, which a prompt that is not stripped ends with
        assert inputs.input_ids.tolist() == (
            [0] + [128815] * num_image_tokens + text + published_tokenizer.encode("A") + [1]
        )


def test_the_pieces_around_an_image_are_tokenised_apart(published_tokenizer, draw_page):
    example = make_example(draw_page(60, 60), prompt="Read<image>ing.", target=None)
    inputs = encode(example, replace(RECIPE, mode=V1.modes["tiny"]), published_tokenizer)
    text = inputs.input_ids[~inputs.image_mask].tolist()
    assert text == [0, *published_tokenizer.encode("Read"), *published_tokenizer.encode("ing.")]
    assert text != [0, *published_tokenizer.encode("Reading.")]


def test_labels_are_unshifted_and_only_answer_and_eos_are_learned(tokenizer, draw_page):
    inputs = encode(make_example(draw_page(100, 60), target="ab"), RECIPE, tokenizer)
    learned = [*tokenizer.encode("ab"), tokenizer.eos_id]
    assert inputs.input_ids[-3:].tolist() == inputs.labels[-3:].tolist() == learned
    assert (inputs.labels[:-3] == IGNORED_LABEL).all()
    assert inputs.num_prompt_tokens == len(inputs) - 3


@settings(max_examples=60)
@given(
    target=TEXTS,
    around=st.tuples(TEXTS, TEXTS),
    size=st.tuples(st.integers(4, 200), st.integers(4, 200)),
)
def test_the_text_of_the_labels_is_the_target_and_eos(tokenizer, draw_page, target, around, size):
    prompt = "<image>".join(around)
    example = make_example(draw_page(*size), prompt=prompt, target=target)
    inputs = encode(example, RECIPE, tokenizer)
    learned = inputs.labels[inputs.labels != IGNORED_LABEL].tolist()
    assert tokenizer.decode(learned) == target
    assert learned == [*tokenizer.encode(target), tokenizer.eos_id]
    ids = inputs.input_ids.tolist()
    assert ids[0] == tokenizer.bos_id
    assert ids.count(tokenizer.bos_id) == ids.count(tokenizer.eos_id) == 1
    assert tokenizer.decode(ids[: inputs.num_prompt_tokens]) == prompt.strip().replace(IMAGE, "")
    assert inputs.image_mask.sum() == sum(view.num_image_tokens for view in inputs.views)
    assert (inputs.input_ids[inputs.image_mask] == tokenizer.image_id).all()
    assert len(inputs) == count_tokens(example, RECIPE, tokenizer)


def test_prediction_encodes_the_same_prompt_without_answer(tokenizer, draw_page):
    example = make_example(draw_page(100, 60))
    trained = encode(example, RECIPE, tokenizer)
    asked = encode(replace(example, target=None), RECIPE, tokenizer)
    assert asked.input_ids.tolist() == trained.input_ids[: trained.num_prompt_tokens].tolist()
    assert len(asked) == asked.num_prompt_tokens == trained.num_prompt_tokens
    assert (asked.labels == IGNORED_LABEL).all()
    assert (asked.views[0].global_view == trained.views[0].global_view).all()


def test_an_empty_target_teaches_eos_alone(tokenizer, draw_page):
    inputs = encode(make_example(draw_page(20, 20), target=""), RECIPE, tokenizer)
    assert inputs.labels[inputs.labels != IGNORED_LABEL].tolist() == [tokenizer.eos_id]


@pytest.mark.parametrize("token", [BOS, EOS, PAD, IMAGE])
def test_control_tokens_in_a_target_are_an_error(tokenizer, draw_page, token):
    with pytest.raises(InputsError, match="the target holds the control token") as caught:
        encode(make_example(draw_page(20, 20), target=f"one {token} two"), RECIPE, tokenizer)
    assert token in caught.value.message
    assert caught.value.where == "manifest.jsonl:3: page.png"


@pytest.mark.parametrize("token", [BOS, EOS, PAD])
def test_control_tokens_in_a_prompt_are_an_error(tokenizer, draw_page, token):
    with pytest.raises(InputsError, match="the prompt holds the control token"):
        encode(make_example(draw_page(20, 20), prompt=f"{token}<image>Read."), RECIPE, tokenizer)


def test_boxes_and_tables_may_be_targets(tokenizer, draw_page):
    target = "<|ref|>a<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|><tr><td>1</td></tr>"
    inputs = encode(make_example(draw_page(20, 20), target=target), RECIPE, tokenizer)
    assert tokenizer.decode(inputs.labels[inputs.labels != IGNORED_LABEL]) == target


@pytest.mark.parametrize(("prompt", "marks"), [("Free OCR.", 0), ("<image><image>Free OCR.", 2)])
def test_a_prompt_with_another_number_of_images_is_an_error(tokenizer, draw_page, prompt, marks):
    with pytest.raises(InputsError, match=f"has {marks} <image> for 1 image"):
        encode(make_example(draw_page(20, 20), prompt=prompt), RECIPE, tokenizer)


def test_an_example_of_text_alone_has_no_image_tokens(tokenizer):
    inputs = encode(make_example(prompt="Say yes.", target="yes"), RECIPE, tokenizer)
    assert inputs.views == ()
    assert not inputs.image_mask.any()
    assert inputs.input_ids.tolist() == [
        tokenizer.bos_id,
        *tokenizer.encode("Say yes."),
        *tokenizer.encode("yes"),
        tokenizer.eos_id,
    ]


def test_several_images_stand_where_their_marks_are(tokenizer, draw_page):
    pages = [draw_page(60, 40, seed) for seed in range(3)]
    example = make_example(images=pages, prompt="a<image>b<image><image>c", target=None)
    inputs = encode(example, PAGES_RECIPE, tokenizer)
    image = [tokenizer.image_id] * 3
    a, b, c = (tokenizer.encode(text) for text in "abc")
    assert inputs.input_ids.tolist() == [tokenizer.bos_id, *a, *image, *b, *image, *image, *c]
    alone = [encode(make_example(page), PAGES_RECIPE, tokenizer).views[0] for page in pages]
    assert all(
        (one.global_view == other.global_view).all() for one, other in zip(inputs.views, alone, strict=True)
    )


def test_several_pages_of_the_published_model_take_273_tokens_each(tokenizer, draw_page):
    example = make_example(images=[draw_page(20, 30)] * 2, prompt="<image><image>Multi page parsing.")
    inputs = encode(example, replace(PAGES_RECIPE, mode=UNLIMITED.modes["base"]), tokenizer)
    assert inputs.image_mask.sum() == 2 * 273


def test_several_images_are_refused_where_the_family_takes_one(tokenizer, draw_page):
    example = make_example(images=[draw_page(20, 20)] * 2, prompt="<image><image>")
    with pytest.raises(SeveralImagesError, match="2 images in an example; deepseek_ocr takes one"):
        encode(example, RECIPE, tokenizer)


def test_several_images_are_refused_only_where_one_of_them_is_cut_into_tiles(tokenizer, draw_page):
    recipe = replace(PAGES_RECIPE, mode=SMALL_MODE)
    small = make_example(images=[draw_page(60, 60)] * 2, prompt="<image><image>")
    assert len(encode(small, recipe, tokenizer).views) == 2
    large = make_example(images=[draw_page(60, 60), draw_page(65, 60)], prompt="<image><image>")
    with pytest.raises(SeveralImagesError, match="cuts 2×2 tiles of one"):
        encode(large, recipe, tokenizer)


def test_a_sequence_at_the_limit_passes_and_one_over_it_is_an_error_that_counts(tokenizer, draw_page):
    example = make_example(draw_page(100, 60), target="12345")
    length = len(encode(example, RECIPE, tokenizer))
    assert len(encode(example, replace(RECIPE, max_tokens=length), tokenizer)) == length
    with pytest.raises(SequenceTooLong) as caught:
        encode(example, replace(RECIPE, max_tokens=length - 1), tokenizer)
    num_image_tokens = length - 1 - len("\nFree OCR.") - len("12345") - 1
    assert caught.value.message == (
        f"a sequence of {length} tokens, {length - 1} are allowed: {num_image_tokens} image tokens, "
        "11 of the prompt, 6 of the answer"
    )


def test_without_a_limit_of_its_own_a_recipe_has_the_familys(tokenizer, draw_page):
    assert RECIPE.token_limit == 8192
    assert PAGES_RECIPE.token_limit == 32768
    with pytest.raises(SequenceTooLong, match="8192 are allowed"):
        encode(make_example(draw_page(20, 20), target="x" * 8192), RECIPE, tokenizer)


def too_long_in_the_middle(draw_page):
    return [
        make_example(draw_page(60, 60), name="first"),
        make_example(draw_page(60, 60), name="long", target="x" * 100),
        make_example(draw_page(130, 60), name="last"),
    ]


def test_long_examples_are_skipped_and_listed_when_that_is_the_choice(tokenizer, draw_page):
    recipe = replace(RECIPE, max_tokens=60)
    encoded, skipped = encode_all(too_long_in_the_middle(draw_page), recipe, tokenizer, on_too_long="skip")
    assert [inputs.name for inputs in encoded] == ["first", "last"]
    (finding,) = skipped
    assert (finding.code, finding.severity) == ("sequence-too-long", "warning")
    assert finding.where == "manifest.jsonl:3: long"
    with pytest.raises(SequenceTooLong):
        encode_all(too_long_in_the_middle(draw_page), recipe, tokenizer)


def test_lazily_encoded_examples_are_what_encode_makes(tokenizer, draw_page, tmp_path):
    draw_page(130, 60).save(tmp_path / "page.png")
    examples = [make_example(draw_page(60, 60)), make_example(tmp_path / "page.png", target="longer")]
    encoded = EncodedExamples(examples, RECIPE, tokenizer)
    assert len(encoded) == 2
    assert encoded.lengths().tolist() == [len(inputs) for inputs in encoded]
    for example, inputs in zip(examples, encoded, strict=True):
        wanted = encode(example, RECIPE, tokenizer)
        assert (inputs.input_ids == wanted.input_ids).all()
        assert (inputs.views[0].tiles == wanted.views[0].tiles).all()
    assert [len(inputs) for inputs in encoded[1:]] == encoded.lengths()[1:].tolist()


def test_lengths_and_skips_are_known_without_decoding_an_image(tokenizer, draw_page, tmp_path, monkeypatch):
    draw_page(130, 60).save(tmp_path / "page.png")
    monkeypatch.setattr("ocrtune.sources.sizes.open_image", lambda source: pytest.fail("decoded"))
    examples = [
        make_example(tmp_path / "page.png", target="short"),
        make_example(tmp_path / "page.png", target="x" * 100),
    ]
    encoded = EncodedExamples(examples, replace(RECIPE, max_tokens=60), tokenizer, on_too_long="skip")
    assert (len(encoded), len(encoded.skipped)) == (1, 1)
    with pytest.raises(SequenceTooLong):
        EncodedExamples(examples, replace(RECIPE, max_tokens=60), tokenizer)


def test_examples_with_errors_stop_or_are_skipped_by_choice(tokenizer, draw_page, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    examples = [
        make_example(tmp_path / "broken.png"),
        make_example(draw_page(60, 60), prompt="no mark"),
        make_example(draw_page(60, 60)),
    ]
    encoded = EncodedExamples(examples, RECIPE, tokenizer, on_error="skip")
    assert len(encoded) == 1
    assert [finding.code for finding in encoded.skipped] == ["image", "inputs"]
    with pytest.raises(ImageError):
        EncodedExamples(examples, RECIPE, tokenizer, on_too_long="skip")


def test_an_exif_rotation_turns_the_page_before_it_is_cut(tokenizer, draw_page, tmp_path):
    page = draw_page(128, 64)
    exif = page.getexif()
    exif[0x0112] = 6
    page.save(tmp_path / "page.png", exif=exif)
    example = make_example(tmp_path / "page.png")
    inputs = encode(example, RECIPE, tokenizer)
    assert inputs.views[0].grid == (1, 2)
    turned = np.rot90(np.asarray(page), -1)
    assert (inputs.views[0].tiles.reshape(128, 64, 3) == turned).all()
    assert count_tokens(example, RECIPE, tokenizer) == len(inputs)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_any_pil_mode_becomes_rgb(tokenizer, draw_page, mode):
    page = draw_page(40, 40).convert("L").convert(mode)
    inputs = encode(make_example(page), RECIPE, tokenizer)
    assert inputs.views[0].global_view.shape == (64, 64, 3)
