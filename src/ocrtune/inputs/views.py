"""One image → what the model sees of it, in uint8."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ocrtune.errors import ImageError
from ocrtune.families import Family, Mode
from ocrtune.inputs.layout import choose_grid, num_image_tokens
from ocrtune.records import ImageViews

PADDING_COLOUR = (127, 127, 127)
"""Mean grey: it normalises to almost zero."""


def make_views(image: Image.Image, family: Family, mode: Mode) -> ImageViews:
    """The global view and the tiles of an image, pixel for pixel what the published code makes.

    Args:
        image: RGB and upright, as `sources.open_image` gives it.
        family: Decides how many positions the image takes.
        mode: Decides the views.

    Raises:
        ImageError: The image is not RGB, or so narrow that nothing of it is left in the global view.

    Source: the published model code with Pillow 13.0.0, every view recorded in `golden/views.json`.
    """
    if image.mode != "RGB":
        raise ImageError(f"image of mode {image.mode}, not RGB", hint="sources.open_image converts any image")
    grid = choose_grid(image.size, mode)
    return ImageViews(
        global_view=_global_view(image, mode),
        tiles=_tiles(image, mode, grid),
        grid=grid,
        num_image_tokens=num_image_tokens(family, global_px=mode.global_px, tile_px=mode.tile_px, grid=grid),
    )


def _global_view(image: Image.Image, mode: Mode) -> NDArray[np.uint8]:
    square = (mode.global_px, mode.global_px)
    if mode.fit == "stretch":
        return np.asarray(image.resize(square))
    if round(min(image.size) / max(image.size) * mode.global_px) == 0:
        raise ImageError(
            f"an image of {image.width}×{image.height} px leaves nothing in a global view of {mode.global_px} px",
            hint="crop it to what is written, or pad its short side",
        )
    return np.asarray(ImageOps.pad(image, square, color=PADDING_COLOUR))


def _tiles(image: Image.Image, mode: Mode, grid: tuple[int, int]) -> NDArray[np.uint8]:
    if mode.tile_px is None or grid == (1, 1):
        side = mode.tile_px or mode.global_px
        return np.empty((0, side, side, 3), np.uint8)
    (columns, rows), side = grid, mode.tile_px
    page = np.asarray(image.resize((columns * side, rows * side)))
    tiles = page.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return tiles.reshape(columns * rows, side, side, 3)
