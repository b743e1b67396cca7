from dataclasses import replace

import pytest
import torch

from ocrtune.errors import ExportError
from ocrtune.export.comparing import difference, require_close, require_same, synthetic_example
from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import InputsRecipe, choose_grid


def test_a_difference_is_relative_to_the_largest_logit():
    wanted = torch.tensor([[1.0, -4.0], [2.0, 2.0], [0.0, 1.0]])
    found = wanted + torch.tensor([[0.0, 0.4], [0.0, 0.0], [0.04, 0.0]])
    apart = difference(found, wanted)
    assert apart.largest == pytest.approx(0.1)
    assert apart.median == pytest.approx(0.01)


@pytest.mark.parametrize("position", [0, 2])
def test_a_value_that_is_not_finite_never_passes(position):
    wanted = torch.ones(3, 2)
    found = wanted.clone()
    found[position, 0] = torch.nan
    with pytest.raises(ExportError):
        require_same(found, wanted, folder="out")
    with pytest.raises(ExportError):
        require_close(torch.full_like(wanted, torch.nan), wanted, "bfloat16")


def test_one_position_of_another_expert_is_no_wrong_merge_and_all_positions_are():
    wanted = torch.ones(9, 4)
    flipped = wanted.clone()
    flipped[3] += 0.5
    require_close(flipped, wanted, "float32")
    with pytest.raises(ExportError, match="differ from the checkpoint"):
        require_close(wanted + 1e-4, wanted, "float32")
    require_close(wanted + 1e-4, wanted, "bfloat16")


@pytest.mark.parametrize(
    ("family", "mode"),
    [(family, mode) for family in FAMILIES.values() for mode in family.modes.values()],
    ids=lambda value: value.name,
)
def test_the_synthetic_page_has_two_tiles_where_the_mode_cuts_any(family, mode):
    recipe = replace(InputsRecipe.default(family), mode=mode)
    (image,) = synthetic_example(recipe).images
    assert choose_grid(image.size, mode) == ((2, 1) if mode.tile_px else (1, 1))


def test_a_prompt_of_several_pages_gets_as_many():
    family = FAMILIES["unlimited_ocr"]
    recipe = InputsRecipe(
        family=family, mode=Mode(name="base", global_px=1024), prompt="<image><image>Multi page parsing."
    )
    assert len(synthetic_example(recipe).images) == 2
