import json
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from ocrtune.errors import ImageError
from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import make_views, view_sha256
from ocrtune.inputs.layout import candidate_grids

V1 = FAMILIES["deepseek_ocr"]


@lru_cache(maxsize=1)  # the cases of a page stand together
def draw_recorded_page(width, height, seed):
    """Blocks of 16 px in random colours, the last row and column repeated up to the size."""
    blocks = np.random.default_rng(seed).integers(
        0, 256, (max(1, height // 16), max(1, width // 16), 3), dtype=np.uint8
    )
    pixels = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    missing = ((0, max(0, height - len(pixels))), (0, max(0, width - pixels.shape[1])), (0, 0))
    return Image.fromarray(np.pad(pixels, missing, mode="edge")[:height, :width])


def test_every_recorded_view_is_equal_byte_for_byte(golden):
    cases = json.loads((golden / "views.json").read_text())["cases"]
    different = []
    for case in cases:
        family = FAMILIES[case["family"]]
        page = draw_recorded_page(case["width"], case["height"], case["seed"])
        views = make_views(page, family, family.modes[case["mode"]])
        found = {
            "grid": list(views.grid),
            "image_tokens": views.num_image_tokens,
            "global_view": view_sha256(views.global_view),
            "tiles": [view_sha256(tile) for tile in views.tiles],
        }
        different += [case for key, value in found.items() if case[key] != value]
    assert len(cases) == 190
    assert different == []


@pytest.mark.parametrize("grid", [*candidate_grids(9), (32, 1), (1, 32), (4, 8), (5, 6)])
def test_tiles_are_cut_row_by_row(grid):
    columns, rows = grid
    mode = Mode(name="own", global_px=64, tile_px=64, max_tiles=columns * rows)
    # A page of exactly the grid's size is not resized: each tile shows its own number.
    numbers = np.arange(columns * rows, dtype=np.uint8).reshape(rows, columns)
    page = np.repeat(np.repeat(numbers, 64, axis=0), 64, axis=1)
    views = make_views(Image.fromarray(page).convert("RGB"), V1, mode)
    assert views.grid == grid
    assert views.tiles.shape == (columns * rows, 64, 64, 3)
    assert [set(np.unique(tile)) for tile in views.tiles] == [{number} for number in range(columns * rows)]


def test_gundam_m_makes_a_view_of_1280_px_and_tiles_of_1024_px(draw_page):
    views = make_views(draw_page(1100, 600), V1, V1.modes["gundam-m"])
    assert views.global_view.shape == (1280, 1280, 3)
    assert views.grid == (2, 1)
    assert views.tiles.shape == (2, 1024, 1024, 3)
    assert views.num_image_tokens == 421 + 16 * (16 * 2 + 1)


def test_a_padded_view_is_centred_on_grey_of_127():
    views = make_views(Image.new("RGB", (100, 50), "white"), V1, Mode(name="own", global_px=128))
    assert (views.global_view[:32] == 127).all()
    assert (views.global_view[32:96] == 255).all()
    assert (views.global_view[96:] == 127).all()


def test_a_stretched_view_has_no_padding():
    mode = Mode(name="own", global_px=128, fit="stretch")
    assert (make_views(Image.new("RGB", (100, 50), "white"), V1, mode).global_view == 255).all()


def test_no_tiles_is_an_empty_array_of_the_tiles_side(draw_page):
    views = make_views(draw_page(100, 50), V1, V1.modes["gundam"])
    assert views.tiles.shape == (0, 640, 640, 3)
    assert views.tiles.dtype == np.uint8


def test_a_page_that_leaves_nothing_in_the_view_is_an_error_with_its_size():
    with pytest.raises(ImageError, match="1×5000 px leaves nothing"):
        make_views(Image.new("RGB", (1, 5000)), V1, V1.modes["base"])


def test_an_image_that_is_not_rgb_is_refused():
    with pytest.raises(ImageError, match="mode L, not RGB"):
        make_views(Image.new("L", (10, 10)), V1, V1.modes["base"])
