"""Page sizes in integers: which grid of tiles a page gets, and how many positions its image takes."""

from functools import lru_cache

from ocrtune.families import Family, Mode

PATCH_PX = 16
"""Side of a patch of the vision encoder."""

PATCHES_PER_QUERY = 4
"""The encoder merges this many patches along each side into one vision feature."""


def choose_grid(size: tuple[int, int], mode: Mode) -> tuple[int, int]:
    """The grid of tiles that `mode` cuts a page of this size into.

    The grid whose aspect ratio is closest to the page's wins. Where several are equally close, a larger one
    replaces a smaller one if the page has more than half the pixels of the larger one.

    Args:
        size: (width, height) of the page in pixels.
        mode: Its `tile_px` and `max_tiles` matter here.

    Returns:
        (columns, rows); (1, 1) for a page without tiles.

    Source: the published model code's `dynamic_preprocess`, every grid recorded in `golden/views.json`.
    """
    if mode.tile_px is None or max(size) <= mode.tile_px:
        return (1, 1)
    width, height = size
    aspect_ratio = width / height
    best, smallest_difference = (1, 1), float("inf")
    for columns, rows in candidate_grids(mode.max_tiles):
        difference = abs(aspect_ratio - columns / rows)
        fills_half = width * height > 0.5 * mode.tile_px**2 * columns * rows
        if difference < smallest_difference or (difference == smallest_difference and fills_half):
            best, smallest_difference = (columns, rows), difference
    return best


@lru_cache
def candidate_grids(max_tiles: int) -> tuple[tuple[int, int], ...]:
    """Every grid of 2 to `max_tiles` tiles as (columns, rows), fewest tiles first.

    Of equally many tiles, tall grids come first. That order matters for modes of 2 or 3 tiles only: in all others
    a third grid is closer to a page that lies between two of equally many tiles.
    """
    grids = [
        (columns, rows)
        for columns in range(1, max_tiles + 1)
        for rows in range(1, max_tiles // columns + 1)
        if columns * rows > 1
    ]
    return tuple(sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)))


def num_image_tokens(family: Family, *, global_px: int, tile_px: int | None, grid: tuple[int, int]) -> int:
    """Positions one image takes in the sequence: tiles, global view and the separator behind them.

    Args:
        family: With row breaks, the tiles' features are laid out as one picture, a newline after each of its rows.
        global_px: Side of the global view.
        tile_px: Side of a tile; None only where the grid is (1, 1).
        grid: (columns, rows); (1, 1) for an image without tiles.
    """
    columns, rows = grid
    tokens = _num_feature_tokens(family, _num_queries(global_px), columns=1, rows=1) + 1
    if grid == (1, 1) or tile_px is None:
        return tokens
    return tokens + _num_feature_tokens(family, _num_queries(tile_px), columns=columns, rows=rows)


def count_image_tokens(size: tuple[int, int], family: Family, mode: Mode) -> int:
    """Positions a page of this (width, height) takes, known before any pixel is read."""
    grid = choose_grid(size, mode)
    return num_image_tokens(family, global_px=mode.global_px, tile_px=mode.tile_px, grid=grid)


def _num_queries(side_px: int) -> int:
    """Vision features along one side of a view."""
    return -(-(side_px // PATCH_PX) // PATCHES_PER_QUERY)


def _num_feature_tokens(family: Family, queries: int, *, columns: int, rows: int) -> int:
    return queries * rows * (queries * columns + family.newline_after_row)
