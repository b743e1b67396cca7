from dataclasses import replace

import pytest

from ocrtune.export import serving_findings
from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import InputsRecipe


def codes(family, mode):
    recipe = replace(InputsRecipe.default(FAMILIES[family]), mode=mode)
    return [finding.code for finding in serving_findings(recipe)]


def test_deepseek_ocr_in_gundam_is_served_with_fewer_tiles_than_it_learned():
    (finding,) = serving_findings(InputsRecipe.default(FAMILIES["deepseek_ocr"]))
    assert finding.code == "served-tiles"
    assert finding.message.startswith(
        "the checkpoint learned pages of at most 9 tiles, servers cut at most 6"
    )
    assert "max_tiles: 6" in finding.hint
    assert "MAX_CROPS" in finding.hint


def test_the_hinted_mode_is_served_as_it_was_learned():
    assert codes("deepseek_ocr", Mode(name="custom", global_px=1024, tile_px=640, max_tiles=6)) == []


@pytest.mark.parametrize("family", ["deepseek_ocr2", "unlimited_ocr"])
def test_the_other_families_are_served_in_their_default_mode(family):
    assert serving_findings(InputsRecipe.default(FAMILIES[family])) == []


@pytest.mark.parametrize(
    ("family", "mode"),
    [
        (family.name, mode)
        for family in FAMILIES.values()
        for name, mode in family.modes.items()
        if name != family.default_mode
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_other_mode_is_told_to_be_unknown_to_servers(family, mode):
    assert codes(family, mode) == ["served-mode"]


def test_a_mode_of_the_run_s_own_is_told_with_its_sizes():
    mode = Mode(name="custom", global_px=256, tile_px=128, max_tiles=9)
    recipe = replace(InputsRecipe.default(FAMILIES["deepseek_ocr"]), mode=mode)
    (finding,) = serving_findings(recipe)
    assert "global view 256 px, tiles of 128 px" in finding.message
    assert "global view 1024 px, tiles of 640 px" in finding.message
