import json
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.families import FAMILIES, Mode
from ocrtune.inputs import choose_grid, count_image_tokens, num_image_tokens
from ocrtune.inputs.layout import candidate_grids

V1 = FAMILIES["deepseek_ocr"]
V2 = FAMILIES["deepseek_ocr2"]
GRIDS_UP_TO_32_TILES = [(1, 1), *candidate_grids(32)]
FAMILIES_AND_MODES = [(family, mode) for family in FAMILIES.values() for mode in family.modes.values()]


def lay_out_features(family, *, global_px, tile_px, grid):
    """One entry per feature in the order they reach the decoder, counted by hand, row by row."""
    columns, rows = grid
    features = []
    if grid != (1, 1):
        features += view_features(family, tile_px // 64, columns=columns, rows=rows)
    features += view_features(family, global_px // 64, columns=1, rows=1)
    return [*features, "separator"]


def view_features(family, side, *, columns, rows):
    if not family.newline_after_row:
        return ["feature"] * (columns * rows * side * side)
    features = []
    for _ in range(rows * side):
        features += ["feature"] * (columns * side) + ["newline"]
    return features


def test_every_recorded_page_gets_the_published_grid_and_token_count(golden):
    cases = json.loads((golden / "views.json").read_text())["cases"]
    assert len(cases) == 190
    for case in cases:
        family = FAMILIES[case["family"]]
        mode = family.modes[case["mode"]]
        size = (case["width"], case["height"])
        assert list(choose_grid(size, mode)) == case["grid"], case
        assert count_image_tokens(size, family, mode) == case["image_tokens"], case


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("sides", [(256, 128), (1024, 640), (1024, 768), (1280, 1024), (64, 64)])
def test_token_counts_equal_laid_out_features_for_every_grid_up_to_32_tiles(family, sides):
    global_px, tile_px = sides
    for grid in GRIDS_UP_TO_32_TILES:
        layout = {"global_px": global_px, "tile_px": tile_px, "grid": grid}
        assert num_image_tokens(family, **layout) == len(lay_out_features(family, **layout)), grid


@pytest.mark.parametrize(
    ("family", "mode"), FAMILIES_AND_MODES, ids=[f"{f.name}-{m.name}" for f, m in FAMILIES_AND_MODES]
)
def test_every_mode_counts_every_grid_it_can_cut(family, mode):
    for grid in [(1, 1), *candidate_grids(mode.max_tiles)]:
        layout = {"global_px": mode.global_px, "tile_px": mode.tile_px, "grid": grid}
        assert num_image_tokens(family, **layout) == len(lay_out_features(family, **layout)), grid


def test_published_token_counts_of_the_modes_without_tiles():
    counts = {name: count_image_tokens((640, 640), V1, mode) for name, mode in V1.modes.items()}
    assert counts == {"tiny": 73, "small": 111, "base": 273, "large": 421, "gundam": 273, "gundam-m": 421}
    assert count_image_tokens((768, 768), V2, V2.modes["small"]) == 145
    assert count_image_tokens((768, 768), V2, V2.modes["base"]) == 257


def test_an_a4_page_at_200_dpi_takes_903_tokens_in_gundam():
    assert choose_grid((1654, 2339), V1.modes["gundam"]) == (2, 3)
    assert count_image_tokens((1654, 2339), V1, V1.modes["gundam"]) == 903


def test_gundam_m_counts_tiles_of_1024_px():
    mode = V1.modes["gundam-m"]
    for columns, rows in candidate_grids(9):
        tokens = num_image_tokens(V1, global_px=1280, tile_px=1024, grid=(columns, rows))
        assert tokens == 421 + 16 * rows * (16 * columns + 1)
    assert choose_grid((1024, 1024), mode) == (1, 1)
    assert choose_grid((1654, 2339), mode) == (2, 3)


def test_a_page_of_640_px_has_no_tiles_and_one_of_641_px_has():
    mode = V1.modes["gundam"]
    assert choose_grid((640, 640), mode) == (1, 1)
    assert choose_grid((641, 640), mode) != (1, 1)
    assert choose_grid((640, 641), mode) != (1, 1)


def test_a_mode_without_tiles_never_cuts():
    assert choose_grid((9000, 9000), V1.modes["large"]) == (1, 1)


def test_of_equally_close_grids_the_larger_wins_only_for_a_page_of_more_than_half_its_pixels():
    mode = Mode(name="own", global_px=256, tile_px=64, max_tiles=8)
    # 1×2 and 2×4 tiles have the page's aspect ratio; 2×4 tiles hold 32768 px.
    assert choose_grid((64, 128), mode) == (1, 2)
    assert choose_grid((90, 180), mode) == (1, 2)
    assert choose_grid((92, 184), mode) == (2, 4)


def test_a_growing_square_page_gets_2_3_and_4_tiles_a_side():
    mode = Mode(name="own", global_px=256, tile_px=128, max_tiles=16)
    # Half of 3×3 tiles are 73728 px, between 271² and 272²; half of 4×4 tiles are 131072 px, between 362² and 363².
    assert choose_grid((271, 271), mode) == (2, 2)
    assert choose_grid((272, 272), mode) == (3, 3)
    assert choose_grid((362, 362), mode) == (3, 3)
    assert choose_grid((363, 363), mode) == (4, 4)


def test_the_order_among_equally_many_tiles_decides_nothing_from_4_tiles_on():
    for max_tiles in range(4, 33):
        grids = candidate_grids(max_tiles)
        assert [c * r for c, r in grids] == sorted(c * r for c, r in grids)
        by_ratio: dict[Fraction, set[int]] = {}
        for columns, rows in grids:
            by_ratio.setdefault(Fraction(columns, rows), set()).add(columns * rows)
        ratios = sorted(by_ratio)
        # Only neighbouring ratios can be equally close to a page that no third one is closer to.
        for lower, higher in pairwise(ratios):
            assert not by_ratio[lower] & by_ratio[higher]


def test_with_2_or_3_tiles_a_page_between_both_grids_takes_the_wide_one_if_it_is_large_enough():
    for max_tiles in (2, 3):
        mode = Mode(name="own", global_px=256, tile_px=64, max_tiles=max_tiles)
        assert choose_grid((75, 60), mode) == (2, 1)
        assert choose_grid((65, 52), mode) == (1, 2)


def test_the_candidates_are_every_grid_of_2_to_most_tiles_once():
    for max_tiles in range(2, 33):
        grids = candidate_grids(max_tiles)
        everything = {(c, r) for c in range(1, 33) for r in range(1, 33) if 2 <= c * r <= max_tiles}
        assert len(grids) == len(set(grids))
        assert set(grids) == everything


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    max_tiles=st.integers(2, 32),
    tile_px=st.sampled_from([64, 128, 640, 768, 1024]),
)
def test_no_other_grid_is_closer_to_the_page(width, height, max_tiles, tile_px):
    mode = Mode(name="own", global_px=1024, tile_px=tile_px, max_tiles=max_tiles)
    columns, rows = choose_grid((width, height), mode)
    if max(width, height) <= tile_px:
        assert (columns, rows) == (1, 1)
        return
    chosen = abs(width / height - columns / rows)
    assert 2 <= columns * rows <= max_tiles
    assert all(abs(width / height - c / r) >= chosen for c, r in candidate_grids(max_tiles))
