import hashlib

import numpy as np
import pytest

from ocrtune.errors import SequenceTooLong
from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import InputsRecipe, encode, show_page
from ocrtune.records import Example

V1 = FAMILIES["deepseek_ocr"]
RECIPE = InputsRecipe(
    family=V1,
    mode=Mode(name="own", global_px=128, tile_px=64, max_tiles=6),
    prompt="<image>\nFree OCR.",
)


def test_without_a_tokenizer_the_facts_are_grid_tokens_and_hashes(draw_page):
    shown = show_page(draw_page(128, 192), RECIPE)
    facts = shown.as_dict()
    assert list(facts) == ["family", "mode", "grid", "image_tokens", "global_view", "tiles"]
    assert facts["family"] == "deepseek_ocr"
    assert facts["mode"] == "own"
    assert facts["grid"] == [2, 3]
    assert facts["image_tokens"] == (2 * 3 + 1) + 3 * (2 + 1)
    pixels = np.asarray(draw_page(128, 192))
    first = hashlib.sha256(pixels[:64, :64].tobytes()).hexdigest()
    last = hashlib.sha256(pixels[128:, 64:].tobytes()).hexdigest()
    assert len(facts["tiles"]) == 6
    assert (facts["tiles"][0], facts["tiles"][5]) == (first, last)


def test_the_tokens_are_those_encode_makes(tokenizer, draw_page):
    page = draw_page(100, 60)
    shown = show_page(page, RECIPE, target="é!", tokenizer=tokenizer)
    inputs = encode(Example(name="", images=(page,), prompt=RECIPE.prompt, target="é!"), RECIPE, tokenizer)
    assert [token.id for token in shown.tokens] == inputs.input_ids.tolist()
    assert [token.in_loss for token in shown.tokens] == (inputs.labels != -100).tolist()
    # é has two bytes and here two tokens, none of them a letter.
    assert [token.text for token in shown.tokens[-4:]] == ["\ufffd", "\ufffd", "!", "<｜end▁of▁sentence｜>"]
    facts = shown.as_dict()
    assert facts["loss_tokens"] == 4
    assert (facts["prompt"], facts["target"]) == (RECIPE.prompt, "é!")
    assert facts["tokens"][0] == {"id": tokenizer.bos_id, "text": "<｜begin▁of▁sentence｜>", "in_loss": False}


def test_without_a_target_the_loss_sees_nothing(tokenizer, draw_page):
    facts = show_page(draw_page(60, 60), RECIPE, tokenizer=tokenizer).as_dict()
    assert facts["loss_tokens"] == 0
    assert facts["target"] is None


def test_a_sequence_over_the_limit_is_an_error_here_too(tokenizer, draw_page):
    with pytest.raises(SequenceTooLong):
        show_page(draw_page(60, 60), RECIPE, target="x" * 9000, tokenizer=tokenizer)


def panel_columns(picture):
    """Whether each column of the picture holds more than paper between title and captions."""
    return (np.asarray(picture)[90:800] != 255).any(axis=(0, 2))


@pytest.mark.parametrize("size", [(128, 192), (2000, 30), (30, 2000), (60, 60)])
def test_the_picture_shows_the_global_view_and_the_tiles_beside_it(draw_page, size):
    shown = show_page(draw_page(*size), RECIPE)
    picture = shown.draw()
    drawn = panel_columns(picture)
    assert picture.mode == "RGB"
    assert drawn[32:752].all()
    assert not drawn[756:780].any()
    assert drawn[784:].any() == bool(len(shown.views.tiles))
    right_margin = np.asarray(picture)[:, -30:]
    assert (right_margin == 255).all()
