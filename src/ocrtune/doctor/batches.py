"""A batch of somebody's own pipeline, from a file to findings.

A file is `torch.save(dict(batch), "batch.pt")`, read back with `weights_only=True`, or safetensors. Safetensors
holds no lists, so the pairs of `images` are flat there: `images.0.tiles`, `images.0.global_view`,
`images.1.tiles` and so on by row; a prefix `input/` may stand before every name.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ocrtune.errors import SourceError
from ocrtune.families import Family
from ocrtune.inputs.contract import check_batch
from ocrtune.records import Finding

_VIEW = re.compile(r"images\.(\d+)\.(tiles|global_view)")
_PREFIX = "input/"
_PICKLED = {".pt", ".pth", ".bin"}


def check_batch_file(path: Path, family: Family, *, image_id: int | None = None) -> list[Finding]:
    """What is wrong with the batch in a file; see `check_batch`.

    Args:
        path: `.safetensors`, or `.pt`.
        family: Whose contract it must keep.
        image_id: Of `<image>`; the published tokenizer's without it.

    Raises:
        SourceError: The file cannot be read, or holds no batch.
    """
    return check_batch(read_batch(path), family, image_id=image_id)


def read_batch(path: Path) -> dict[str, Any]:
    """The keyword arguments in a file, `images` as a list of `(tiles, global_view)` pairs.

    Raises:
        SourceError: There is no such file, it is of another kind, or it holds no batch.
    """
    if not path.is_file():
        raise SourceError(f"no file {path}")
    batch = _read_pickled(path) if path.suffix in _PICKLED else _read_safetensors(path)
    if "input_ids" not in batch:
        raise SourceError(
            f"no input_ids among the keys: {', '.join(map(str, batch)) or 'none'}",
            where=str(path),
            hint='torch.save(dict(batch), "batch.pt") just before the forward',
        )
    return batch


def write_batch(batch: Mapping[str, Any], path: Path) -> None:
    """Write a batch to a safetensors file that `read_batch` reads back."""
    flat: dict[str, Tensor] = {}
    for key, value in batch.items():
        if key == "images" and value is not None:
            for row, (tiles, global_view) in enumerate(value):
                flat |= {f"images.{row}.tiles": tiles, f"images.{row}.global_view": global_view}
        elif value is not None:
            flat[key] = torch.as_tensor(value)
    # Views of one page may share memory, which safetensors refuses.
    save_file({name: tensor.contiguous().clone() for name, tensor in flat.items()}, path)


def _read_pickled(path: Path) -> dict[str, Any]:
    try:
        batch = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its unpickler meets, of many classes
        raise SourceError(
            f"cannot be read with weights_only=True: {str(error).splitlines()[0]}",
            where=str(path),
            hint="save tensors, lists, tuples and dicts alone: torch.save(dict(batch), path)",
        ) from error
    if not isinstance(batch, dict):
        raise SourceError(f"holds a {type(batch).__name__}, wanted a dict of arguments", where=str(path))
    return batch


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        flat = load_file(path)
    except SafetensorError as error:
        raise SourceError(f"not a whole safetensors file: {error}", where=str(path)) from error
    prefixed = any(name.startswith(_PREFIX) for name in flat)
    batch: dict[str, Any] = {}
    views: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        if prefixed and not name.startswith(_PREFIX):
            continue  # outputs recorded beside the inputs
        key = name.removeprefix(_PREFIX)
        if match := _VIEW.fullmatch(key):
            views.setdefault(int(match[1]), {})[match[2]] = tensor
        else:
            batch[key] = tensor
    if views:
        batch["images"] = _pairs(views, path)
    return batch


def _pairs(views: Mapping[int, Mapping[str, Tensor]], path: Path) -> list[tuple[Tensor, Tensor]]:
    wanted = {f"images.{row}.{name}" for row in range(max(views) + 1) for name in ("tiles", "global_view")}
    missing = sorted(wanted - {f"images.{row}.{name}" for row, named in views.items() for name in named})
    if missing:
        raise SourceError(
            f"missing: {', '.join(missing)}",
            where=str(path),
            hint="rows count from 0; a row without tiles has zeros for them",
        )
    return [(views[row]["tiles"], views[row]["global_view"]) for row in sorted(views)]
