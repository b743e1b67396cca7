import json

import pytest

from ocrtune.config import parse_config
from ocrtune.errors import CheckpointError, InputsError, ModeError
from ocrtune.families import FAMILIES
from ocrtune.inputs import CARD_FILE, InputsRecipe, parse_mode, read_recipe, resolve_mode
from ocrtune.text import Normalization

V1 = FAMILIES["deepseek_ocr"]
V2 = FAMILIES["deepseek_ocr2"]
OWN_MODE = {"global_px": 256, "tile_px": 128, "max_tiles": 9}


def config(**sections):
    return parse_config({"model": "m", **sections, "data": {"uri": "d", **sections.get("data", {})}})


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_without_choices_a_recipe_is_the_familys_own(family):
    recipe = InputsRecipe.default(family)
    assert recipe.mode is family.modes[family.default_mode]
    assert recipe.prompt == family.prompts[family.default_prompt]
    assert recipe.token_limit == family.max_positions
    assert InputsRecipe.from_config(config(), family) == recipe


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_recipe_survives_json(family):
    for mode in family.modes.values():
        recipe = InputsRecipe(
            family=family,
            mode=mode,
            prompt="<image>\nЧто здесь написано?",
            normalization=Normalization(unicode="NFD", case="fold"),
            max_tokens=4096,
        )
        assert InputsRecipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_a_runs_recipe_has_the_runs_choices():
    recipe = InputsRecipe.from_config(
        config(
            data={"prompt": "markdown", "normalization": {"whitespace": "collapse"}},
            inputs={"mode": OWN_MODE, "max_tokens": 512},
        ),
        V1,
    )
    assert (recipe.mode.global_px, recipe.mode.tile_px, recipe.mode.max_tiles) == (256, 128, 9)
    assert recipe.prompt == "<image>\n<|grounding|>Convert the document to markdown."
    assert recipe.normalization.whitespace == "collapse"
    assert recipe.token_limit == 512


def test_a_base_that_was_tuned_before_gives_the_mode_and_prompt_that_a_run_leaves_open():
    tuned = InputsRecipe(family=V1, mode=V1.modes["large"], prompt="<image>\nRead.")
    left_open = InputsRecipe.from_config(config(inputs={"max_tokens": 512}), V1, base=tuned)
    assert (left_open.mode.name, left_open.prompt, left_open.max_tokens) == ("large", "<image>\nRead.", 512)
    chosen = InputsRecipe.from_config(
        config(inputs={"mode": "base"}, data={"prompt": "free"}), V1, base=tuned
    )
    assert (chosen.mode.name, chosen.prompt) == ("base", "<image>\nFree OCR.")
    assert InputsRecipe.from_config(config(), V2, base=tuned) == InputsRecipe.default(V2)


def test_a_prompt_that_is_no_short_name_is_taken_as_it_is():
    assert (
        InputsRecipe.from_config(config(data={"prompt": "<image>Read it."}), V1).prompt == "<image>Read it."
    )


def test_a_mode_is_given_by_name_or_as_a_mapping_on_a_command_line():
    assert parse_mode(V1, "gundam-m") is V1.modes["gundam-m"]
    own = parse_mode(V1, "{global_px: 256, tile_px: 128, max_tiles: 9, fit: stretch}")
    assert (own.name, own.global_px, own.tile_px, own.max_tiles, own.fit) == (
        "custom",
        256,
        128,
        9,
        "stretch",
    )
    assert parse_mode(V1, '{"global_px": 256}').max_tiles == 0


@pytest.mark.parametrize("text", ["{", "{tile_px: 128}", "{global_px: big}", "{global_px: 256, tiles: 3}"])
def test_a_mapping_that_is_no_mode_is_an_error_with_an_example(text):
    with pytest.raises(ModeError, match="cannot be read") as caught:
        parse_mode(V1, text)
    assert "global_px: 1024" in caught.value.hint


def test_modes_the_family_cannot_see_are_refused():
    with pytest.raises(ModeError, match="sees only views of 768 and 1024 px"):
        parse_mode(V2, "{global_px: 640}")
    with pytest.raises(ModeError, match="not a multiple of 64"):
        parse_mode(V1, "{global_px: 1000}")
    with pytest.raises(ModeError, match="has no mode 'gundan'") as caught:
        resolve_mode(V1, "gundan")
    assert "did you mean 'gundam'" in caught.value.hint


def test_a_checkpoints_card_tells_its_recipe(tmp_path):
    recipe = InputsRecipe.from_config(config(inputs={"mode": OWN_MODE}), V1)
    (tmp_path / CARD_FILE).write_text(json.dumps({"format": 1, "inputs": recipe.as_dict()}))
    assert read_recipe(tmp_path) == recipe


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_plain_model_folder_has_its_familys_recipe(golden, family):
    assert read_recipe(golden / family.name) == InputsRecipe.default(family)


def test_a_folder_of_no_model_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"neither ocrtune\.json nor config\.json"):
        read_recipe(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_card_that_cannot_be_read_is_an_error_with_its_path(tmp_path, content):
    (tmp_path / CARD_FILE).write_text(content)
    with pytest.raises(CheckpointError) as caught:
        read_recipe(tmp_path)
    assert caught.value.where == str(tmp_path / CARD_FILE)


def test_missing_and_unknown_keys_of_a_recipe_are_named():
    values = InputsRecipe.default(V1).as_dict()
    del values["prompt"]
    with pytest.raises(InputsError, match="missing prompt; unknown tiles"):
        InputsRecipe.from_dict({**values, "tiles": 9})


@pytest.mark.parametrize(
    "broken",
    [
        {"mode": {"name": "own"}},
        {"mode": {"name": "own", "global_px": 256, "sides": 3}},
        {"mode": "gundam"},
        {"normalization": {"unicode": "NFX"}},
        {"max_tokens": "many"},
    ],
)
def test_a_recipe_with_a_value_that_cannot_be_read_is_an_error(broken):
    with pytest.raises(InputsError, match="cannot be read"):
        InputsRecipe.from_dict({**InputsRecipe.default(V1).as_dict(), **broken})


def test_a_recipe_whose_mode_the_family_cannot_see_is_refused():
    mode = {"name": "own", "global_px": 100, "tile_px": None, "max_tiles": 0, "fit": "pad"}
    with pytest.raises(ModeError):
        InputsRecipe.from_dict({**InputsRecipe.default(V1).as_dict(), "mode": mode})
