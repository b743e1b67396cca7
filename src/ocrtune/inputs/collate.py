"""ModelInputs → Batch: the first tensors on a page's way.

Shapes: B rows, L positions, S side of the global views, T side of the tiles, all in pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocrtune.errors import InputsError
from ocrtune.families import Family
from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.inputs.kept import KNOWN_IMAGES, KnownImages
from ocrtune.records import ModelInputs

PaddingSide = Literal["right", "left"]

VIEWS = frozenset({"pixel_values", "pixel_values_local"})
"""Native arguments that hold pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of equal length, and the views of all their images one after another.

    Attributes:
        input_ids: int64 (B, L).
        attention_mask: int64 (B, L), 0 at padding.
        labels: int64 (B, L), unshifted; -100 where nothing is learned.
        image_mask: bool (B, L), True exactly at the image tokens.
        pixel_values: (images, 3, S, S) global views; None for a batch of text alone. Before they are normalised uint8
            (images, S, S, 3).
        pixel_values_local: (tiles, 3, T, T), image after image, row by row; None where no image has tiles. The same.
        num_local_patches: Tiles of each image.
        patches_grid: [columns, rows] of each image; [1, 1] for one without tiles.
        images_per_row: Images of each row.
        num_prompt_tokens: int64 (B,), positions before the answer, without padding.
        family: Whose arguments `native` gives.
        pixel_dtype: Of the views.
        known: What is known of all images, those without views included; None where nobody keeps features.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    image_mask: Tensor
    pixel_values: Tensor | None
    pixel_values_local: Tensor | None
    num_local_patches: list[int]
    patches_grid: list[list[int]]
    images_per_row: list[int]
    num_prompt_tokens: Tensor
    family: Family
    pixel_dtype: torch.dtype
    known: KnownImages | None = None

    def native(self) -> dict[str, Any]:
        """Keyword arguments of the native classes; those about images only if there are some."""
        arguments: dict[str, Any] = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "labels": self.labels,
        }
        if self.pixel_values is not None:
            arguments["pixel_values"] = self.pixel_values
            arguments["pixel_values_local"] = self.pixel_values_local
            arguments["num_local_patches"] = self.num_local_patches
            if self.family.grid_argument:
                arguments["patches_grid"] = self.patches_grid
        if self.known is not None:
            arguments[KNOWN_IMAGES] = self.known
        return arguments

    def published(self) -> dict[str, Any]:
        """Keyword arguments of the published model code.

        `images` has one `(tiles, global_view)` tuple per row, (P, 3, T, T) and (N, 3, S, S) with N 1 but for a row of
        several images; tiles are zeros (1, 3, S, S) where there are none, and so are both for a row of text alone.
        All images must have been opened: the form knows no features.
        `images_spatial_crop` is int64 (B, 2), [columns, rows]; `images_seq_mask` is bool (B, L).
        """
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "labels": self.labels,
            "images": self._view_tuples(),
            "images_seq_mask": self.image_mask,
            "images_spatial_crop": self._grid_of_each_row(),
        }

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            labels=self.labels.to(device),
            image_mask=self.image_mask.to(device),
            pixel_values=None if self.pixel_values is None else self.pixel_values.to(device),
            pixel_values_local=None
            if self.pixel_values_local is None
            else self.pixel_values_local.to(device),
            num_prompt_tokens=self.num_prompt_tokens.to(device),
        )

    def _view_tuples(self) -> list[tuple[Tensor, Tensor]]:
        blank = self._blank_view()
        tuples: list[tuple[Tensor, Tensor]] = []
        first_image = first_tile = 0
        for count in self.images_per_row:
            images = slice(first_image, first_image + count)
            tiles = slice(first_tile, first_tile + sum(self.num_local_patches[images]))
            first_image, first_tile = images.stop, tiles.stop
            tuples.append(
                (_cut(self.pixel_values_local, tiles, blank), _cut(self.pixel_values, images, blank))
            )
        return tuples

    def _grid_of_each_row(self) -> Tensor:
        # Only a row of a single image has tiles, so its first image tells the grid.
        firsts = np.cumsum([0, *self.images_per_row[:-1]])
        grids = [
            self.patches_grid[first] if count else [1, 1]
            for first, count in zip(firsts, self.images_per_row, strict=True)
        ]
        return torch.tensor(grids, dtype=torch.int64, device=self.input_ids.device)

    def _blank_view(self) -> Tensor:
        if self.pixel_values is not None:
            return torch.zeros_like(self.pixel_values[:1])
        side = self.family.modes[self.family.default_mode].global_px
        return torch.zeros((1, 3, side, side), dtype=self.pixel_dtype, device=self.input_ids.device)


def collate(
    inputs: Sequence[ModelInputs],
    family: Family,
    *,
    pad_id: int,
    dtype: torch.dtype = torch.float32,
    padding_side: PaddingSide = "right",
) -> Batch:
    """A batch of examples, with and without images in any order.

    Args:
        inputs: At least one; all encoded in one mode.
        family: What its native class wants.
        pad_id: Of the tokenizer.
        dtype: Of the pixels; the model's, or uint8 to leave them as they are until `normalize_views`.
        padding_side: `right` to train, `left` to decode.

    Raises:
        InputsError: There are no inputs, or views of different sizes.
    """
    if not inputs:
        raise InputsError("a batch of no examples")
    views = [view for example in inputs for view in example.opened]
    length = max(len(example) for example in inputs)

    def padded(rows: Iterable[NDArray[Any]], value: int) -> Tensor:
        return torch.from_numpy(np.stack([_pad(row, length, value, padding_side) for row in rows]))

    return Batch(
        input_ids=padded((example.input_ids for example in inputs), pad_id),
        attention_mask=padded((np.ones(len(example), np.int64) for example in inputs), 0),
        labels=padded((example.labels for example in inputs), IGNORED_LABEL),
        image_mask=padded((example.image_mask for example in inputs), 0),
        pixel_values=_pixels([view.global_view[None] for view in views], dtype),
        pixel_values_local=_pixels([view.tiles for view in views if len(view.tiles)], dtype),
        num_local_patches=[len(view.tiles) for view in views],
        patches_grid=[list(view.grid) for view in views],
        images_per_row=[len(example.views) for example in inputs],
        num_prompt_tokens=torch.tensor([example.num_prompt_tokens for example in inputs]),
        family=family,
        pixel_dtype=dtype,
        known=KnownImages.of([image for example in inputs for image in example.views]),
    )


def normalize_pixels(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 (N, H, W, 3) → (N, 3, H, W) of `dtype`, in -1 to 1, on the same device.

    Source: torchvision's `ToTensor` and `Normalize` with mean and deviation 0.5, then a cast, as the published code
    does it; bit for bit for each of the 256 values.
    """
    channels_first = pixels.permute(0, 3, 1, 2).contiguous()
    return (
        _normalized(channels_first, dtype) if pixels.device.type == "cpu" else look_up(channels_first, dtype)
    )


def look_up(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 → normalised values as a CPU computes them.

    A card would multiply by 1/255 where it is told to divide by 255, and round otherwise (torch 2.13).
    """
    every_value = torch.arange(256, dtype=torch.uint8)
    return _normalized(every_value, dtype).to(pixels.device)[pixels.to(torch.int32)]


def normalize_views(arguments: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Native arguments whose views are not normalised yet, with views that are; others as they are.

    Args:
        arguments: What `Batch.native` gives, on the device of the model.
        dtype: The model's.
    """
    return {
        name: normalize_pixels(value, dtype) if name in VIEWS and _is_raw(value) else value
        for name, value in arguments.items()
    }


def _is_raw(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8


def _normalized(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    return pixels.to(torch.float32).div_(255).sub_(0.5).div_(0.5).to(dtype)


def _pixels(views: Sequence[NDArray[np.uint8]], dtype: torch.dtype) -> Tensor | None:
    if not views:
        return None
    sides = sorted({view.shape[1] for view in views})
    if len(sides) > 1:
        raise InputsError(
            f"views of {' and '.join(map(str, sides))} px in one batch", hint="encode a batch in one mode"
        )
    pixels = torch.from_numpy(np.concatenate(views))
    return pixels if dtype == torch.uint8 else normalize_pixels(pixels, dtype)


def _pad(row: NDArray[Any], length: int, value: int, side: PaddingSide) -> NDArray[Any]:
    missing = length - len(row)
    widths = (0, missing) if side == "right" else (missing, 0)
    return np.pad(row, widths, constant_values=value)


def _cut(views: Tensor | None, span: slice, blank: Tensor) -> Tensor:
    return blank if views is None or span.start == span.stop else views[span]
