from pathlib import Path

import pytest

from ocrtune.data import build_example, build_examples, control_tokens, find_prompt
from ocrtune.errors import InputsError, SeveralImagesError
from ocrtune.families import FAMILIES, get_family
from ocrtune.sources import read_pages
from ocrtune.text import Normalization

V1 = get_family("deepseek_ocr")
UNLIMITED = get_family("unlimited_ocr")
PLAIN = Normalization()


def example(page, family=V1, prompt=None, normalization=PLAIN, **rest):
    return build_example(page, family, prompt=prompt, normalization=normalization, **rest)


def test_an_example_carries_what_the_page_is_known_by(make_page):
    page = make_page("scans/1.png", "a  b", document="book")
    built = example(page)
    assert (built.name, built.images, built.document) == ("scans/1.png", page.images, "book")
    assert built.where == page.where
    assert built.prompt == "<image>\nFree OCR."
    assert built.target == "a b"


def test_examples_keep_the_order_of_pages():
    pages = read_pages("builtin")
    built = build_examples(pages, V1, prompt="free", normalization=PLAIN)
    assert [one.name for one in built] == [page.name for page in pages]
    assert [one.target for one in built] == [page.text for page in pages]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_published_prompt_is_found_by_its_short_name(family, make_page):
    for name, text in family.prompts.items():
        assert find_prompt(name, family) == text
        assert example(make_page(), family, name).prompt == text
    assert find_prompt(None, family) == family.prompts[family.default_prompt]


def test_the_pages_prompt_goes_before_the_runs(make_page):
    page = make_page(prompt="<image>Only the title.")
    assert example(page, prompt="markdown").prompt == "<image>Only the title."
    assert example(make_page(prompt="figure")).prompt == V1.prompts["figure"]


def test_a_prompt_in_words_is_taken_as_it_is(make_page):
    assert example(make_page(), prompt="<image>\nRead. ").prompt == "<image>\nRead. "


def test_a_misspelt_short_name_is_an_error_with_the_nearest():
    with pytest.raises(InputsError, match="no prompt 'markdwon'") as caught:
        find_prompt("markdwon", V1)
    assert "did you mean 'markdown'?" in caught.value.hint
    with pytest.raises(InputsError) as caught:
        find_prompt("xyz", V1)
    assert caught.value.hint.startswith("known: free, markdown")


def test_a_prompt_without_a_mark_tells_where_to_put_one(make_page):
    with pytest.raises(InputsError, match="has 0 <image> for 1 image") as caught:
        example(make_page(), prompt="Free OCR.")
    assert "write <image> once for each image" in caught.value.hint
    assert caught.value.where == "m.jsonl:a.png"


def test_more_marks_than_images_are_an_error(make_page):
    with pytest.raises(InputsError, match="has 2 <image> for 1 image"):
        example(make_page(), prompt="<image><image>read")


def test_one_mark_is_repeated_for_several_images_where_it_stands(make_page):
    page = make_page(images=[Path("1.png"), Path("2.png"), Path("3.png")])
    assert example(page, UNLIMITED, "pages").prompt == "<image><image><image>Multi page parsing."
    assert example(page, UNLIMITED, "before <image> after").prompt == "before <image><image><image> after"


def test_as_many_marks_as_images_are_left_where_they_are(make_page):
    page = make_page(images=[Path("1.png"), Path("2.png")])
    assert example(page, UNLIMITED, "first <image> then <image>.").prompt == "first <image> then <image>."


@pytest.mark.parametrize("prompt", ["no mark", "<image><image>"])
def test_other_counts_of_marks_for_several_images_are_an_error(prompt, make_page):
    page = make_page(images=[Path("1.png"), Path("2.png"), Path("3.png")])
    with pytest.raises(InputsError, match="for 3 images"):
        example(page, UNLIMITED, prompt)


@pytest.mark.parametrize("family", [get_family("deepseek_ocr"), get_family("deepseek_ocr2")])
def test_several_images_are_refused_by_a_family_that_takes_one(family, make_page):
    with pytest.raises(SeveralImagesError, match="2 images"):
        example(make_page(images=[Path("1.png"), Path("2.png")]), family, "<image><image>read")


def test_a_page_of_text_alone_has_a_prompt_of_its_own(make_page):
    built = example(make_page(images=[], prompt="Translate"))
    assert (built.prompt, built.images) == ("Translate", ())
    with pytest.raises(InputsError, match="1 <image> for 0 images") as caught:
        example(make_page(images=[]))
    assert "prompt of its own" in caught.value.hint


def test_targets_are_normalised_and_prompts_are_not(make_page):
    page = make_page(text="A\u0308  b\r\n ", prompt="<image>  Read.")
    built = example(page, normalization=Normalization(case="fold"))
    assert built.target == "ä b"
    assert built.prompt == "<image>  Read."


def test_an_empty_text_is_a_target_and_no_text_is_none(make_page):
    assert example(make_page(text="")).target == ""
    with pytest.raises(InputsError, match="no text to learn"):
        example(make_page(text=None))


def test_to_predict_texts_are_left_aside(make_page):
    assert example(make_page(text=None), with_targets=False).target is None
    assert example(make_page(text="<image>"), with_targets=False).target is None


@pytest.mark.parametrize("token", control_tokens(V1))
def test_a_control_token_in_a_text_is_refused(token, make_page):
    with pytest.raises(InputsError, match="takes as control"):
        example(make_page(text=f"before {token} after"))


def test_a_control_token_that_normalisation_would_make_is_refused_too(make_page):
    page = make_page(text="\uff1cimage\uff1e")
    assert example(page).target == "\uff1cimage\uff1e"
    with pytest.raises(InputsError, match="holds <image>"):
        example(page, normalization=Normalization(unicode="NFKC"))


def test_boxes_and_tables_stay_in_targets(make_page):
    text = "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|><tr><td>1</td></tr>"
    assert example(make_page(text=text)).target == text
