"""Checks of a batch in the published form: `images`, `images_seq_mask`, `images_spatial_crop`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ocrtune.families import Family
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.inputs.view_checks import check_view, described, error
from ocrtune.records import Finding

PUBLISHED_KEYS = ("images", "images_seq_mask", "images_spatial_crop")

_VIEW_NAMES = ("tiles", "global_view")


def check_published(batch: Mapping[str, Any], family: Family, image_id: int) -> Iterator[Finding]:
    """What is wrong with the images of a published batch whose `input_ids` are (B, L).

    Args:
        batch: The keyword arguments.
        family: Decides how many image tokens a view takes.
        image_id: Of `<image>`.
    """
    image_tokens = batch["input_ids"] == image_id
    images, mask, grids = (batch.get(key) for key in PUBLISHED_KEYS)
    broken = [
        *_check_keys(batch, has_image_tokens=bool(image_tokens.any())),
        *_check_mask(mask, image_tokens),
        *_check_images(images, family, num_rows=len(image_tokens)),
        *_check_grids(images, grids),
    ]
    yield from broken
    # Counts are compared only where every tensor is what it should be; else one mistake would be told many times.
    if images is not None and mask is not None and not broken:
        yield from _check_rows(images, mask, _listed(grids), image_tokens, family)


def _check_keys(batch: Mapping[str, Any], *, has_image_tokens: bool) -> Iterator[Finding]:
    if batch.get("pixel_values") is not None:
        yield error(
            "pixel-values-unexpected",
            "pixel_values is no argument of the published form",
            hint="give images=[(tiles, global_view), …], images_seq_mask and images_spatial_crop, "
            "or the native keywords alone",
        )
    has_images = batch.get("images") is not None
    if not has_images and has_image_tokens:
        yield error(
            "images-missing",
            "input_ids hold image tokens, and images is missing",
            hint="images=[(tiles, global_view), …], one pair of 4-D tensors for each row",
        )
    if batch.get("images_seq_mask") is None and (has_images or has_image_tokens):
        yield error(
            "sequence-mask-missing",
            "images_seq_mask is missing",
            hint="images_seq_mask = input_ids == image_token_id, a bool tensor (B, L)",
        )
    if batch.get("images_spatial_crop") is None and has_images:
        yield error(
            "spatial-crop-missing",
            "images_spatial_crop is missing",
            hint="int64 (B, 2): [columns, rows] of each page's tiles, [1, 1] for a page without tiles",
        )


def _check_mask(mask: Any, image_tokens: Tensor) -> Iterator[Finding]:
    if mask is None:
        return
    wanted = f"bool {tuple(image_tokens.shape)}, True at the image tokens"
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        yield error(
            "sequence-mask-not-bool",
            f"images_seq_mask is {described(mask)}, wanted {wanted}",
            hint="images_seq_mask = input_ids == image_token_id",
        )
    if isinstance(mask, Tensor) and mask.shape != image_tokens.shape:
        yield error(
            "sequence-mask-shape",
            f"images_seq_mask has shape {tuple(mask.shape)}, wanted {wanted}",
            hint="a mask of another shape is broadcast, and image features overwrite the text; "
            "images_seq_mask = input_ids == image_token_id",
        )


def _check_images(images: Any, family: Family, *, num_rows: int) -> Iterator[Finding]:
    if images is None:
        return
    if not isinstance(images, Sequence):
        yield error(
            "images-not-tuples",
            f"images is {described(images)}, wanted a list of (tiles, global_view) pairs",
            hint="images=[(tiles, global_view), …], one pair for each row",
        )
        return
    if len(images) != num_rows:
        yield error(
            "image-count",
            f"images has {len(images)} entries, wanted {num_rows}, one for each row",
            hint="a row without an image has zeros for both of its tensors",
        )
    for row, views in enumerate(images):
        yield from _check_pair(views, family, where=f"row {row}")


def _check_pair(views: Any, family: Family, *, where: str) -> Iterator[Finding]:
    is_pair = isinstance(views, Sequence) and len(views) == len(_VIEW_NAMES)
    if not is_pair or not all(isinstance(view, Tensor) for view in views):
        yield error(
            "images-not-tuples",
            f"an entry of images is {described(views)}, wanted a pair of tensors (tiles, global_view)",
            where=where,
            hint="tiles (P, 3, T, T), zeros (1, 3, S, S) where there are none; global_view (1, 3, S, S)",
        )
        return
    for name, view in zip(_VIEW_NAMES, views, strict=True):
        yield from check_view(view, family, where=f"{where}, {name}")


def _check_grids(images: Any, grids: Any) -> Iterator[Finding]:
    if grids is None or not isinstance(images, Sequence):
        return
    shape = _shape(grids)
    num_views = sum(
        len(views[1]) for views in images if isinstance(views, Sequence) and isinstance(views[-1], Tensor)
    )
    if shape not in {(len(images), 2), (num_views, 2)}:
        yield error(
            "spatial-crop-count",
            f"images_spatial_crop has shape {shape}, wanted {(len(images), 2)}",
            hint="[columns, rows] for each entry of images; with fewer the later images are dropped",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row whose tensors are all of the right kind."""

    where: str
    tiles: Tensor
    views: Tensor
    grid: tuple[int, int]
    mask: Tensor
    image_tokens: Tensor

    @property
    def num_true(self) -> int:
        return int(self.mask.sum())

    @property
    def has_tiles(self) -> bool:
        return bool(self.tiles.any())

    @property
    def has_views(self) -> bool:
        return bool(self.views.any())


def _check_rows(
    images: Sequence[Sequence[Tensor]],
    mask: Tensor,
    grids: Sequence[tuple[int, int]],
    image_tokens: Tensor,
    family: Family,
) -> Iterator[Finding]:
    grid_for_each_view = len(grids) != len(images)
    first_view = 0
    for index, (tiles, views) in enumerate(images):
        row = _Row(
            where=f"row {index}",
            tiles=tiles,
            views=views,
            grid=grids[first_view if grid_for_each_view else index],
            mask=mask[index],
            image_tokens=image_tokens[index],
        )
        first_view += len(views)
        yield from _check_row(row, family)


def _check_row(row: _Row, family: Family) -> Iterator[Finding]:
    if not row.num_true:
        yield from _check_text_row(row, family)
        return
    unusable = list(_check_tiles(row, family))
    if unusable:
        yield from unusable
        return
    yield from _check_count(row, family)
    if not float(row.views.sum()):
        yield Finding(
            code="view-sums-to-zero",
            severity="note",
            message="the global view sums to 0: the published code takes the page for none and skips it",
            where=row.where,
            hint="a blank view belongs to a row without image tokens; ocrtune's models see it as any other",
        )


def _check_text_row(row: _Row, family: Family) -> Iterator[Finding]:
    if row.has_views:
        wanted = _features(row, family, row.grid)
        yield error(
            "too-few-image-tokens",
            f"images_seq_mask is True nowhere, and there is an image of {wanted} features",
            where=row.where,
            hint="give the row its image tokens, or zeros for both of its tensors if it is text alone",
        )
    elif bool(row.image_tokens.any()):
        yield error(
            "sequence-mask-misplaced",
            f"images_seq_mask is False at all of the {int(row.image_tokens.sum())} image tokens",
            where=row.where,
            hint="images_seq_mask = input_ids == image_token_id",
        )


def _check_tiles(row: _Row, family: Family) -> Iterator[Finding]:
    columns, rows = row.grid
    num_tiles = len(row.tiles)
    if len(row.views) > 1 and (not family.several_images or row.grid != (1, 1)):
        yield error(
            "image-count",
            f"{len(row.views)} global views in one row, wanted 1",
            where=row.where,
            hint="several pages share a row only where the family takes several images, and without tiles",
        )
    elif row.grid == (1, 1) and row.has_tiles:
        yield (
            _copies(row, family)
            if _is_copy(row)
            else error(
                "tiles-discarded",
                f"images_spatial_crop is [1, 1], and there are {num_tiles} tiles",
                where=row.where,
                hint="give the grid the tiles were cut in, [columns, rows]; a page without tiles has zeros for them",
            )
        )
    elif row.grid != (1, 1) and (min(row.grid) < 1 or columns * rows != num_tiles or not row.has_tiles):
        kind = "tiles" if row.has_tiles else "blank tiles"
        yield error(
            "grid-mismatch",
            f"images_spatial_crop is [{columns}, {rows}], and there are {num_tiles} {kind}, wanted {columns * rows}",
            where=row.where,
            hint="columns × rows tiles, row by row, stacked to (P, 3, T, T)",
        )


def _is_copy(row: _Row) -> bool:
    return row.tiles.shape == row.views.shape


def _copies(row: _Row, family: Family) -> Finding:
    side = row.views.shape[-1]
    wanted = len(row.views) * num_image_tokens(family, global_px=side, tile_px=None, grid=(1, 1))
    # A 1×1 local branch is a second set of the same features; the separator comes once.
    doubled = 2 * wanted - len(row.views)
    return error(
        "duplicate-global-view",
        f"tiles are of the global view's size, {side} px, for a grid of [1, 1]: the page twice makes {doubled} "
        f"features, inference makes {wanted}",
        where=row.where,
        hint="a page without tiles has (torch.zeros_like(global_view), global_view)",
    )


def _check_count(row: _Row, family: Family) -> Iterator[Finding]:
    wanted = _features(row, family, row.grid)
    columns, rows = row.grid
    found = row.num_true
    if found == wanted:
        yield from _check_places(row)
    elif found == _features(row, family, (rows, columns)):
        yield error(
            "grid-swapped",
            f"images_spatial_crop is [{columns}, {rows}], which makes {wanted} features; the {found} image tokens "
            f"are those of [{rows}, {columns}]",
            where=row.where,
            hint="the order is [columns, rows]: width first",
        )
    elif found < wanted:
        yield error(
            "too-few-image-tokens",
            f"images_seq_mask is True at {found} positions, wanted {wanted}, one for each feature",
            where=row.where,
            hint="tiles come first, so the global view is what never arrives; expand <image> to the number of features",
        )
    else:
        yield error(
            "too-many-image-tokens",
            f"images_seq_mask is True at {found} positions, wanted {wanted}, one for each feature",
            where=row.where,
            hint="True at the image tokens alone, and as many of them as the views have features",
        )


def _check_places(row: _Row) -> Iterator[Finding]:
    away = int((row.mask & ~row.image_tokens).sum())
    left_out = int((row.image_tokens & ~row.mask).sum())
    if away or left_out:
        yield error(
            "sequence-mask-misplaced",
            f"images_seq_mask is True at {away} positions that hold no image token, False at {left_out} that do",
            where=row.where,
            hint="images_seq_mask = input_ids == image_token_id; if no id is an image token, the id is another",
        )


def _features(row: _Row, family: Family, grid: tuple[int, int]) -> int:
    tile_px = row.tiles.shape[-1] if row.has_tiles else None
    each = num_image_tokens(family, global_px=row.views.shape[-1], tile_px=tile_px, grid=grid)
    return len(row.views) * each


def _listed(grids: Any) -> list[tuple[int, int]]:
    return [(int(columns), int(rows)) for columns, rows in torch.as_tensor(grids).tolist()]


def _shape(grids: Any) -> tuple[int, ...]:
    try:
        return tuple(torch.as_tensor(grids).shape)
    except (RuntimeError, TypeError, ValueError):  # ragged, or no numbers at all
        return ()
