"""Checks of a batch in the native form: `pixel_values` and what belongs to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from torch import Tensor

from ocrtune.families import Family
from ocrtune.inputs.layout import num_image_tokens
from ocrtune.inputs.view_checks import check_view, described, error
from ocrtune.records import Finding


def check_native(batch: Mapping[str, Any], family: Family, image_id: int) -> Iterator[Finding]:
    """What is wrong with the images of a native batch whose `input_ids` are (B, L).

    Args:
        batch: The keyword arguments.
        family: Decides how many image tokens a view takes, and whether the grids are needed.
        image_id: Of `<image>`.
    """
    if batch.get("mm_encoder_outputs"):
        return
    found = [int(count) for count in (batch["input_ids"] == image_id).sum(dim=1).tolist()]
    views, tiles = batch.get("pixel_values"), batch.get("pixel_values_local")
    if views is None:
        if any(found):
            yield error(
                "images-missing",
                f"input_ids hold {sum(found)} image tokens, and pixel_values is missing",
                hint="pixel_values (images, 3, S, S), or images, images_seq_mask and images_spatial_crop",
            )
        return
    broken = [
        *_check_stack(views, family, "pixel_values"),
        *([] if tiles is None else _check_stack(tiles, family, "pixel_values_local")),
    ]
    if not broken:
        layout = _Layout.of(batch, family)
        broken = list(layout.check())
        if not broken:
            broken = list(_check_counts(found, layout))
    yield from broken


def _check_stack(views: Any, family: Family, name: str) -> Iterator[Finding]:
    if not isinstance(views, Tensor):
        yield error(
            "image-tensor-not-4d",
            f"{name} is {described(views)}, wanted a tensor (N, 3, S, S)",
            where=name,
            hint="torch.cat the views of all rows",
        )
        return
    yield from check_view(views, family, where=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How the views of a batch belong together."""

    family: Family
    num_images: int
    num_tiles: int
    global_px: int
    tile_px: int | None
    tile_counts: Sequence[int] | None
    grids: Sequence[tuple[int, int]] | None

    @classmethod
    def of(cls, batch: Mapping[str, Any], family: Family) -> "_Layout":
        views: Tensor = batch["pixel_values"]
        tiles: Tensor | None = batch.get("pixel_values_local")
        return cls(
            family=family,
            num_images=len(views),
            num_tiles=0 if tiles is None else len(tiles),
            global_px=views.shape[-1],
            tile_px=None if tiles is None else tiles.shape[-1],
            tile_counts=_integers(batch.get("num_local_patches")),
            grids=_pairs(batch.get("patches_grid")),
        )

    def check(self) -> Iterator[Finding]:
        if self.tile_counts is None:
            if self.num_tiles:
                yield error(
                    "grid-mismatch",
                    f"num_local_patches is missing, and there are {self.num_tiles} tiles",
                    hint="the number of tiles of each image, 0 for one without",
                )
            return
        if len(self.tile_counts) != self.num_images:
            yield error(
                "image-count",
                f"num_local_patches has {len(self.tile_counts)} entries, and there are {self.num_images} global views",
                hint="one number for each image, 0 for one without tiles",
            )
        elif sum(self.tile_counts) and not self.num_tiles:
            yield error(
                "grid-mismatch",
                f"num_local_patches counts {sum(self.tile_counts)} tiles, and pixel_values_local is missing",
                hint="torch.cat the tiles of all images",
            )
        elif self.num_tiles and not sum(self.tile_counts):
            yield error(
                "tiles-discarded",
                f"num_local_patches is 0 for every image, and there are {self.num_tiles} tiles",
                hint="the number of tiles of each image",
            )
        elif sum(self.tile_counts) != self.num_tiles:
            yield error(
                "grid-mismatch",
                f"num_local_patches counts {sum(self.tile_counts)} tiles, and there are {self.num_tiles}",
                hint="the number of tiles of each image, 0 for one without",
            )
        else:
            yield from self._check_grids(self.tile_counts)

    def _check_grids(self, tile_counts: Sequence[int]) -> Iterator[Finding]:
        if self.grids is None:
            if self.family.grid_argument and self.num_tiles:
                yield error(
                    "spatial-crop-missing",
                    "patches_grid is missing",
                    hint="[columns, rows] of each image's tiles, [1, 1] for one without",
                )
            return
        if len(self.grids) != self.num_images:
            yield error(
                "spatial-crop-count",
                f"patches_grid has {len(self.grids)} entries, and there are {self.num_images} global views",
                hint="[columns, rows] for each image",
            )
            return
        for image, (count, (columns, rows)) in enumerate(zip(tile_counts, self.grids, strict=True)):
            yield from self._check_grid(count, columns, rows, where=f"image {image}")

    def _check_grid(self, count: int, columns: int, rows: int, *, where: str) -> Iterator[Finding]:
        if count == 1 and self.tile_px == self.global_px:
            yield error(
                "duplicate-global-view",
                f"one tile of the global view's size, {self.global_px} px: a 1×1 local branch, which inference "
                "never builds",
                where=where,
                hint="a page without tiles has 0 of them",
            )
        elif count > 1 and (columns, rows) == (1, 1):
            yield error(
                "tiles-discarded",
                f"patches_grid is [1, 1], and there are {count} tiles",
                where=where,
                hint="the grid the tiles were cut in, [columns, rows]",
            )
        elif count and columns * rows != count:
            yield error(
                "grid-mismatch",
                f"patches_grid is [{columns}, {rows}], and there are {count} tiles, wanted {columns * rows}",
                where=where,
                hint="columns × rows tiles, row by row",
            )

    def features(self, *, swapped: bool = False) -> list[int]:
        """Features of each image, or what they would be with rows and columns in each other's place."""
        counts = self.tile_counts or [0] * self.num_images
        grids = self.grids or [(count, 1) for count in counts]
        return [
            num_image_tokens(
                self.family,
                global_px=self.global_px,
                tile_px=self.tile_px,
                grid=((1, 1) if not count else grid[::-1] if swapped else grid),
            )
            for count, grid in zip(counts, grids, strict=True)
        ]


def _check_counts(found: Sequence[int], layout: _Layout) -> Iterator[Finding]:
    """Each row's image tokens must be those of the next images, one, several or none."""
    wanted = layout.features()
    if _fits(found, wanted):
        return
    if _fits(found, layout.features(swapped=True)):
        yield error(
            "grid-swapped",
            f"the views make {wanted} features with patches_grid as given; {[count for count in found if count]} "
            "image tokens are those of swapped grids",
            hint="the order is [columns, rows]: width first",
        )
        return
    few = sum(found) < sum(wanted)
    yield error(
        "too-few-image-tokens" if few else "too-many-image-tokens",
        f"rows hold {list(found)} image tokens, and the images make {wanted} features",
        hint="expand <image> to the number of features of its views, row by row in the order of the images",
    )


def _fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    ends_of_images = {0, *accumulate(wanted)}
    ends_of_rows = list(accumulate(found))
    return ends_of_rows[-1] == sum(wanted) and set(ends_of_rows) <= ends_of_images


def _integers(values: Any) -> list[int] | None:
    return None if values is None else [int(value) for value in values]


def _pairs(values: Any) -> list[tuple[int, int]] | None:
    return None if values is None else [(int(columns), int(rows)) for columns, rows in values]
