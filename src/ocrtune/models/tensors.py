"""Names and shapes of a model's tensors, in its files and as its configuration wants them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ocrtune.errors import CheckpointError, TensorMismatch
from ocrtune.models.layout import Layout, assemble, native_layout, published_layout

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

Shapes = Mapping[str, tuple[int, ...]]

_UNSAFE_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LISTED = 20


def published_tensors(model: Any) -> dict[str, Tensor]:
    """The tensors of a model under their published names: experts apart, queries, keys and values of CLIP together.

    They are views of the model's own, but for CLIP's, which are joined.
    """
    state = model.state_dict()
    return {name: assemble(pieces, state) for name, pieces in published_layout(model).items()}


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder: the one, or those its index names.

    Raises:
        CheckpointError: None, only pickled ones, or one the index names is missing.
    """
    if (folder / INDEX_FILE).is_file():
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        files = sorted({folder / name for name in index["weight_map"].values()})
        if missing := [path.name for path in files if not path.is_file()]:
            raise CheckpointError(
                f"weight files are missing: {', '.join(missing)}",
                where=str(folder / INDEX_FILE),
                hint="the download was cut; fetch the model again",
            )
        return files
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    raise _no_weights(folder)


def read_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors, from the files' headers alone.

    Raises:
        CheckpointError: A file is not safetensors, or was cut.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as handle:
                shapes |= {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise CheckpointError(
                f"not a whole safetensors file: {error}", where=str(path), hint="fetch or write it again"
            ) from error
    return shapes


def read_tensors(files: Sequence[Path], names: Sequence[str]) -> dict[str, Tensor]:
    """The named tensors, those of them that the files have."""
    found: dict[str, Tensor] = {}
    for path in files:
        with safe_open(path, framework="pt") as handle:
            found |= {name: handle.get_tensor(name) for name in names if name in set(handle.keys())}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the tensors of a folder differ from those its configuration wants."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[str, ...]

    def __len__(self) -> int:
        """Number of tensors concerned."""
        return len(self.missing) + len(self.unexpected) + len(self.misshaped)


def compare(found: Shapes, wanted: Shapes, *, unused: Sequence[str]) -> Difference:
    """What is missing, unexpected and mis-shaped in `found`; tensors named in `unused` may be there."""
    return Difference(
        missing=tuple(name for name in wanted if name not in found),
        unexpected=tuple(name for name in found if name not in wanted and name not in unused),
        misshaped=tuple(
            f"{name}: {list(found[name])} in the file, {list(shape)} wanted"
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ),
    )


def check_tensors(folder: Path, model: Any, *, unused: Sequence[str]) -> Layout:
    """Compare the headers of a folder's weight files with `model`, which may be on the meta device.

    The folder may hold published or native names; the layout that fits better is the one compared with.

    Returns:
        That layout.

    Raises:
        TensorMismatch: They differ; every tensor concerned is in the message.
    """
    found, state = read_shapes(weight_files(folder)), model.state_dict()
    published = published_layout(model)
    layouts = (
        (published, {name: tuple(assemble(pieces, state).shape) for name, pieces in published.items()}),
        (native_layout(model), {name: tuple(tensor.shape) for name, tensor in state.items()}),
    )
    compared = [(compare(found, shapes, unused=unused), layout) for layout, shapes in layouts]
    least, layout = min(compared, key=lambda pair: len(pair[0]))
    if len(least):
        raise TensorMismatch(
            _told(least),
            where=str(folder),
            hint="config.json and the weights must be of one model; was the family or the folder mixed up?",
        )
    return layout


def _told(difference: Difference) -> str:
    kinds = {
        "missing": difference.missing,
        "unexpected": difference.unexpected,
        "mis-shaped": difference.misshaped,
    }
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
    lines = [f"the tensors of the folder are not the model's: {counts}"]
    for kind, names in kinds.items():
        lines += [f"  {kind}: {name}" for name in names]
    return "\n".join(lines)


def _no_weights(folder: Path) -> CheckpointError:
    unsafe = sorted(path.name for pattern in _UNSAFE_WEIGHTS for path in folder.glob(pattern))
    if unsafe:
        return CheckpointError(
            f"only pickled weights: {', '.join(unsafe[:_LISTED])}",
            where=str(folder),
            hint="a pickle runs code when it is read; convert it to safetensors where you trust it",
        )
    return CheckpointError(
        f"no {WEIGHTS_FILE} and no {INDEX_FILE}",
        where=str(folder),
        hint="give the folder that holds the weights",
    )
