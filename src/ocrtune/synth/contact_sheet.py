"""Many images on one, to be looked at."""

from collections.abc import Sequence
from statistics import median

from PIL import Image

GAP_PX = 12
TABLE_COLOUR = (112, 112, 116)
"""What pages lie on: darker than paper, lighter than ink."""

FLAT = 4.0
"""Images this many times wider than high are lines."""


def contact_sheet(
    images: Sequence[Image.Image], *, width_px: int = 1600, columns: int | None = None
) -> Image.Image:
    """Images in columns of one width, each put where there is most room; those that are wider are scaled down.

    Args:
        images: At least one.
        width_px: Of the sheet.
        columns: How many; without it two for lines, four for pages, or fewer where there are fewer images.

    Returns:
        An RGB image, as high as needed.
    """
    if columns is None:
        is_lines = median(image.width / image.height for image in images) > FLAT
        columns = min(2 if is_lines else 4, len(images))
    column_px = (width_px - GAP_PX * (columns + 1)) // columns
    bottoms = [GAP_PX] * columns
    placed = []
    for image in images:
        shown = _narrowed(image, column_px)
        column = bottoms.index(min(bottoms))
        placed.append((shown, (GAP_PX + column * (column_px + GAP_PX), bottoms[column])))
        bottoms[column] += shown.height + GAP_PX
    sheet = Image.new("RGB", (width_px, max(bottoms)), TABLE_COLOUR)
    for shown, place in placed:
        sheet.paste(shown, place)
    return sheet


def _narrowed(image: Image.Image, width_px: int) -> Image.Image:
    if image.width <= width_px:
        return image
    height = max(1, round(image.height * width_px / image.width))
    return image.resize((width_px, height), Image.Resampling.LANCZOS)
