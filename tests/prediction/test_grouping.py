from dataclasses import replace

import pytest

from ocrtune.config import DecodingSection
from ocrtune.errors import InputsError
from ocrtune.families import FAMILIES
from ocrtune.inputs import InputsRecipe
from ocrtune.models.checkpoint import load_checkpoint
from ocrtune.prediction import Together, predict, predict_to_file
from ocrtune.prediction.grouping import group_documents, most_pages_together, recipe_for_documents
from ocrtune.prediction.pages import _Encoder
from ocrtune.records import Page

UNLIMITED = InputsRecipe.default(FAMILIES["unlimited_ocr"])
DECODING = DecodingSection(max_new_tokens=6, batch_size=4)


def pages_of(*documents):
    return [
        Page(name=f"{number}.png", images=(number,), document=document)
        for number, document in enumerate(documents)
    ]


def groups(*documents, max_pages=None):
    found = group_documents(pages_of(*documents), recipe_for_documents(UNLIMITED), 32768, max_pages=max_pages)
    return [(page.name, list(page.images)) for page in found]


def test_pages_that_follow_each_other_in_a_document_are_one_example():
    assert groups("a", "a", "b", "", "", "a") == [
        ("a", [0, 1]),
        ("b", [2]),
        ("3.png", [3]),
        ("4.png", [4]),
        ("a", [5]),
    ]


def test_a_long_document_is_cut_where_the_context_ends():
    recipe = recipe_for_documents(UNLIMITED)
    assert most_pages_together(recipe, 32768) == 32768 // (273 + 2048) == 14
    assert most_pages_together(recipe, 100) == 1
    assert [name for name, _ in groups(*["a"] * 30)] == ["a#1-14", "a#15-28", "a#29-30"]
    assert groups("a", "a", "a", max_pages=2) == [("a#1-2", [0, 1]), ("a#3-3", [2])]


def test_a_page_with_a_prompt_or_several_images_stays_by_itself():
    first, second, third = pages_of("a", "a", "a")
    odd = [replace(first, prompt="document"), second, replace(third, images=(7, 8))]
    found = group_documents(odd, recipe_for_documents(UNLIMITED), 32768)
    assert found == [odd[0], replace(second, name="a"), odd[2]]


def test_the_recipe_asks_for_several_pages_and_cuts_no_tiles():
    recipe = recipe_for_documents(UNLIMITED)
    assert recipe.prompt == UNLIMITED.family.prompts["pages"]
    assert (recipe.mode.global_px, recipe.mode.tile_px, recipe.mode.max_tiles) == (1024, None, 0)
    assert recipe_for_documents(UNLIMITED, "document").prompt == UNLIMITED.family.prompts["document"]


@pytest.mark.parametrize("name", ["deepseek_ocr", "deepseek_ocr2"])
def test_other_families_read_page_by_page(name):
    with pytest.raises(InputsError, match="reads one page at a time"):
        recipe_for_documents(InputsRecipe.default(FAMILIES[name]))


@pytest.fixture(scope="module")
def loaded(golden, tmp_path_factory):
    from tiny_models import make_tiny_model

    tiny = make_tiny_model(golden, tmp_path_factory.mktemp("unlimited") / "model", "unlimited_ocr")
    return replace(load_checkpoint(tiny.folder, device="cpu"), recipe=tiny.recipe)


def test_a_document_is_read_in_one_go(loaded, page, tmp_path):
    folder = tmp_path / "scans" / "book"
    folder.mkdir(parents=True)
    for number in range(3):
        page("", (300, 200), number).images[0].save(folder / f"{number}.png")
    run = predict_to_file(
        loaded,
        str(folder.parent),
        tmp_path / "p.jsonl",
        decoding=DECODING,
        together=Together(max_pages=2),
    )
    assert run.num_pages == 2
    recipe = recipe_for_documents(loaded.recipe)
    encoder = _Encoder(recipe, loaded.tokenizer, 4096, "stop")
    whole = Page(name="w", images=tuple(folder / f"{number}.png" for number in range(3)))
    assert len(encoder.encode(whole).views) == 3
    (alone,) = predict(
        replace(loaded, recipe=recipe), [replace(whole, images=whole.images[:2])], decoding=DECODING
    )
    assert f'"image": "book#1-2", "text": "{alone.text}"'.encode() in (tmp_path / "p.jsonl").read_bytes()
