import json
import pickle
from dataclasses import replace

import pytest
from PIL import Image
from tiny_models import tokenizer_json

from ocrtune.data import build_example
from ocrtune.data.pictures import Picture, look_at
from ocrtune.families import get_family, get_mode
from ocrtune.inputs import InputsRecipe, Tokenizer, count_tokens
from ocrtune.inputs.budget import TokenBudget, view_scale
from ocrtune.records import Page
from ocrtune.sources import read_pages, sample_path

V1 = get_family("deepseek_ocr")
GUNDAM = InputsRecipe.default(V1)
TINY = replace(GUNDAM, mode=get_mode(V1, "tiny"))
A4 = (1654, 2339)


def page(text, size=A4, **rest):
    return Page(name="a.png", images=(Image.new("RGB", size),), text=text, where="m.jsonl:1", **rest)


def picture(size=A4, x_height_px=None, letters=0):
    return Picture(digest=b"", size=size, ink_px=9999, letters=letters, x_height_px=x_height_px)


@pytest.fixture
def found(tokenizer):
    def find(text, recipe=GUNDAM, *, prompt=None, **seen):
        budget = pickle.loads(pickle.dumps(TokenBudget(recipe, tokenizer)))
        return {
            finding.code: finding for finding in budget.check(page(text, prompt=prompt), [picture(**seen)])
        }

    return find


@pytest.mark.parametrize("recipe", [GUNDAM, TINY], ids=["gundam", "tiny"])
@pytest.mark.parametrize("text", [None, "", "two  words"])
def test_tokens_are_counted_as_encoding_makes_them(recipe, text, tokenizer):
    counts = TokenBudget(recipe, tokenizer).count(page(text), [A4])
    example = build_example(
        page(text),
        V1,
        prompt=recipe.prompt,
        normalization=recipe.normalization,
        with_targets=text is not None,
    )
    assert counts.total == count_tokens(example, recipe, tokenizer)
    assert counts.tiles == (((2, 3),) if recipe is GUNDAM else ((1, 1),))
    assert counts.image_tokens == ((903,) if recipe is GUNDAM else (73,))


def test_images_are_counted_without_a_tokenizer():
    counts = TokenBudget(GUNDAM).count(page("words"), [A4])
    assert (counts.image_tokens, counts.prompt_tokens, counts.text_tokens, counts.total) == (
        (903,),
        None,
        None,
        None,
    )


def test_a_sequence_over_the_limit_is_an_error(found):
    finding = found("x" * 9000)["sequence-too-long"]
    assert finding.severity == "error"
    assert "8192 are allowed: 903 image tokens and 9000 of the text" in finding.message
    assert found("x" * 7000) == {}


def test_much_text_for_few_image_tokens_is_told_with_the_ratio(found):
    assert found("x" * 730, TINY) == {}
    assert "11 text tokens for each" in found("x" * 800, TINY)["compression-high"].message
    assert "most of it is lost" in found("x" * 73 * 21, TINY)["compression-high"].message


@pytest.mark.parametrize(
    ("mode", "size", "scale"),
    [
        ("base", (1024, 2048), 0.5),
        ("tiny", (512, 1024), 0.5),
        ("gundam", (640, 1280), 1.0),
        ("gundam", (500, 600), 1024 / 600),
    ],
)
def test_the_scale_is_that_of_the_sharpest_view(mode, size, scale):
    assert view_scale(size, get_mode(V1, mode)) == pytest.approx(scale)


def test_letters_that_become_too_small_are_told(found):
    assert found("words", x_height_px=15) == {}
    small = replace(GUNDAM, mode=get_mode(V1, "base"))
    assert found("words", small, x_height_px=12)["resolution-low"].severity == "note"
    finding = found("words", small, x_height_px=8)["resolution-low"]
    assert finding.severity == "warning"
    assert "3.5 px" in finding.message


def test_only_a_gross_difference_of_text_and_image_is_told(found):
    fits = A4[0] * A4[1] / (2 * 40**2)
    assert found("x" * int(2.9 * fits), x_height_px=40) == {}
    assert list(found("x" * int(3.1 * fits), x_height_px=40)) == ["text-too-long-for-image"]
    assert found("x" * 200, x_height_px=20, letters=1900) == {}
    assert list(found("x" * 180, x_height_px=20, letters=1900)) == ["text-too-short-for-image"]
    assert found("x", x_height_px=20, letters=1900, prompt="describe") == {}


def test_wrong_prompts_and_missing_pictures_are_left_to_other_checks(tokenizer, found):
    assert found("x" * 9000, prompt="no mark") == {}
    assert list(TokenBudget(GUNDAM, tokenizer).check(page("x" * 9000), [])) == []


def test_the_sample_pages_have_no_findings(published_tokenizer):
    budget = TokenBudget(GUNDAM, published_tokenizer)
    pages = [*read_pages(str(sample_path("vicksburg_pages"))), *read_pages("builtin")[:40]]
    assert [finding for one in pages for finding in budget.check(one, [look_at(one.images[0])])] == []


RUNES = "\u16a0\u16a2\u16a6\u16a8\u16b1\u16b2\u16b7\u16b9\u16ba "


def test_scripts_that_take_many_tokens_are_told_once(published_tokenizer):
    budget = TokenBudget(GUNDAM, published_tokenizer)
    counted, other = (
        budget.count_vocabulary(text) for text in ("plain words of no note, " * 20 + RUNES * 15, RUNES * 15)
    )
    counted.merge(other)
    (finding,) = counted.findings()
    assert (finding.code, finding.severity) == ("vocabulary-fit", "note")
    assert finding.message.startswith("Runic: ")
    assert finding.message.endswith("over 298 characters")
    latin, runic = counted.scripts()
    assert (latin.script, latin.characters, runic.script) == ("Latin", 480, "Runic")
    assert latin.tokens_per_character < 0.5 < runic.tokens_per_character


def test_characters_that_a_tokenizer_cannot_write_are_told_with_their_number(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    budget = TokenBudget(GUNDAM, Tokenizer.read(tmp_path))
    counted = budget.count_vocabulary("plain\u3042\u3042\u3044")
    (finding,) = counted.findings()
    assert (finding.code, finding.severity, finding.count) == ("character-unknown", "warning", 3)
    assert finding.message.endswith("2 characters of the texts: \u3042 \u3044")


def test_without_a_tokenizer_no_vocabulary_is_counted():
    assert TokenBudget(GUNDAM).count_vocabulary("plain") is None
