"""The two ways a batch names its images, made one: the native keywords and the published ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ocrtune.errors import SpatialCropMissing
from ocrtune.models.features import ImageTensors


def native_images(
    pixel_values: Tensor,
    pixel_values_local: Tensor | None,
    num_local_patches: Sequence[int] | Tensor | None,
    patches_grid: Sequence[Sequence[int]] | Tensor | None,
    *,
    needs_grid: bool,
) -> list[ImageTensors]:
    """The images of a batch given by native keywords.

    Args:
        pixel_values: (images, 3, S, S).
        pixel_values_local: (all tiles, 3, T, T), or None for a batch without tiles.
        num_local_patches: Tiles of each image; needed where there are tiles.
        patches_grid: [columns, rows] of each image.
        needs_grid: The family lays tiles out as one picture, so that their grid matters.
    """
    global_views = torch.split(pixel_values, 1)
    if pixel_values_local is None or not len(pixel_values_local):
        return [ImageTensors(global_view=view, tiles=None, grid=(1, 1)) for view in global_views]
    if num_local_patches is None:
        raise SpatialCropMissing(
            "num_local_patches is missing although there are tiles",
            hint="give the number of tiles of each image",
        )
    if patches_grid is None and needs_grid:
        raise SpatialCropMissing(
            "patches_grid is missing although there are tiles", hint="give [columns, rows] of each image"
        )
    counts = [int(count) for count in num_local_patches]
    grids = [(count, 1) for count in counts] if patches_grid is None else _grids(patches_grid)
    tiles = torch.split(pixel_values_local, counts)
    return [
        ImageTensors(global_view=view, tiles=cut if len(cut) else None, grid=grid)
        for view, cut, grid in zip(global_views, tiles, grids, strict=True)
    ]


def published_images(
    images: Sequence[Sequence[Tensor]],
    images_seq_mask: Tensor,
    images_spatial_crop: Sequence[Sequence[int]] | Tensor,
) -> list[ImageTensors]:
    """The images of a batch given by published keywords, checked before; rows without image tokens have none.

    Args:
        images: A `(tiles, global_view)` pair for each row. A row of several pages has one global view for each,
            and no tiles.
        images_seq_mask: bool (B, L).
        images_spatial_crop: [columns, rows] of each row, or of each global view.
    """
    grids = _grids(images_spatial_crop)
    grid_for_each_view = len(grids) != len(images)
    found: list[ImageTensors] = []
    next_view = 0
    for row, (tiles, global_views) in enumerate(images):
        grid = grids[next_view if grid_for_each_view else row]
        next_view += len(global_views)
        if bool(images_seq_mask[row].any()):
            cut = None if grid == (1, 1) else tiles
            found += [
                ImageTensors(global_view=view, tiles=cut, grid=grid) for view in torch.split(global_views, 1)
            ]
    return found


def _grids(grids: Sequence[Sequence[int]] | Tensor) -> list[tuple[int, int]]:
    listed = grids.tolist() if isinstance(grids, Tensor) else grids
    return [(int(columns), int(rows)) for columns, rows in listed]
