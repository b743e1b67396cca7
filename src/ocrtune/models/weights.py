"""Weights from safetensors files: each tensor is read once, into the memory it stays in.

What the files hold as the model wants it, in its dtype, is not read at all: it stays mapped, copy-on-write, and its
pages come from the file when they are first used. A file must not be written to in place while a model of it lives;
replaced or deleted it may be, the mapping keeps what it had.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ocrtune.models.layout import Layout, by_rows, num_rows, view
from ocrtune.progress import track

PORTION_BYTES = 2**28
"""Mapped at a time of what is copied: the pages of a portion leave memory before the next is read."""

_LARGEST_ITEM_BYTES = 4
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def read_state(
    files: Sequence[Path], layout: Layout, wanted: Mapping[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Every tensor of `wanted` on the CPU, by its name there.

    Args:
        files: Whose headers were compared with `layout`; what it does not name is left out.
        layout: Of the files.
        wanted: The model's tensors, which may be on the meta device.
        dtype: What all of them are cast to.
    """
    state = map_tensors(files, layout, wanted, dtype)
    made = {name: torch.empty(wanted[name].shape, dtype=dtype) for name in wanted if name not in state}
    copy_tensors(files, {name: pieces for name, pieces in layout.items() if pieces[0].name in made}, made)
    return state | made


def map_tensors(
    files: Iterable[Path], layout: Layout, wanted: Mapping[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """The tensors of `wanted` that the files have whole and in `dtype`: mapped, nothing is read yet."""
    mapped: dict[str, Tensor] = {}
    for path in files:
        with safe_open(path, framework="pt") as handle:
            for name in _named(handle, layout):
                pieces = layout[name]
                is_whole = all(piece.stop - piece.start == num_rows(wanted[piece.name]) for piece in pieces)
                if is_whole and _DTYPES.get(handle.get_slice(name).get_dtype()) is dtype:
                    rows = by_rows(handle.get_tensor(name))
                    parts = torch.split(rows, [piece.stop for piece in pieces])
                    mapped |= {
                        piece.name: part.view(wanted[piece.name].shape)
                        for piece, part in zip(pieces, parts, strict=True)
                    }
    return mapped


def copy_tensors(files: Iterable[Path], layout: Layout, state: Mapping[str, Tensor]) -> None:
    """Copy what `layout` names into the tensors of `state`, whatever their dtype and device."""
    portions = [(path, names) for path in files for names in _portions(path, layout)]
    with torch.no_grad():
        for path, names in track(portions, "loading weights"):
            # Its own handle: a mapping goes, and its pages with it, when no tensor of it is left.
            with safe_open(path, framework="pt") as handle:
                for name in names:
                    tensor, start = by_rows(handle.get_tensor(name)), 0
                    for piece in layout[name]:
                        rows = view(state[piece.name], piece)
                        rows.copy_(tensor[start : start + len(rows)])
                        start += len(rows)
                    del tensor


def _portions(path: Path, layout: Layout) -> Iterator[list[str]]:
    """Names of the file's tensors in the order of their bytes, about `PORTION_BYTES` at a time."""
    names, size = list[str](), 0
    with safe_open(path, framework="pt") as handle:
        for name in _named(handle, layout):
            names.append(name)
            size += math.prod(handle.get_slice(name).get_shape()) * _LARGEST_ITEM_BYTES
            if size >= PORTION_BYTES:
                yield names
                names, size = [], 0
    if names:
        yield names


def _named(handle: Any, layout: Layout) -> list[str]:
    return [name for name in handle.offset_keys() if name in layout]
