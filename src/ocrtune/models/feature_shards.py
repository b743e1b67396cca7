"""Shards: safetensors files of vision features, written whole or not at all, mapped into memory, each tensor checked.

The header of a shard says what is in it: for each image its key, its size and the checksum of its features.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ocrtune.inputs.kept import as_kept
from ocrtune.records import KeptFeatures
from ocrtune.sources.writing import make_readable

SUFFIX = ".safetensors"
TEMPORARY_SUFFIX = ".tmp"
BAD_SUFFIX = ".bad"
"""What the name of a shard that was set aside ends with."""

_CHECKSUM_BYTES = 16


class BadShard(Exception):
    """A shard was cut off, or a feature in it is not as it was written."""


def write_shard(folder: Path, images: Sequence[KeptFeatures]) -> Path:
    """Write features of images as a shard of a name of its own: any number of processes may do so at once.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    name = f"shard-{secrets.token_hex(8)}"
    temporary = folder / f".{name}{TEMPORARY_SUFFIX}"
    facts = {image.key: json.dumps(_facts(image)) for image in images}
    try:
        save_file({image.key: _as_tensor(image) for image in images}, temporary, metadata=facts)
        make_readable(temporary)
        return temporary.replace(folder / f"{name}{SUFFIX}")
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(slots=True)
class Shard:
    """A shard that is open.

    Attributes:
        path: The file.
        handle: Its mapping.
        facts: Of each image by key: size and checksum.
        checked: Keys whose features were compared with their checksum in this process.
    """

    path: Path
    handle: Any
    facts: Mapping[str, Mapping[str, Any]]
    checked: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Map a shard and read its header.

        Raises:
            FileNotFoundError: It has gone.
            BadShard: It is not whole.
        """
        try:
            handle: Any = safe_open(path, framework="pt")
            facts = {key: json.loads(told) for key, told in (handle.metadata() or {}).items()}
            if set(facts) != set(handle.keys()):
                raise BadShard("its header does not tell what it holds")
        except FileNotFoundError:
            raise
        except (SafetensorError, OSError, ValueError) as error:
            raise BadShard(str(error)) from error
        return cls(path, handle, facts)

    def keys(self) -> Iterator[str]:
        """Keys of the images in it."""
        return iter(self.facts)

    def read(self, key: str) -> KeptFeatures:
        """The features of an image, mapped; checked when they are read for the first time.

        Raises:
            BadShard: They are not as they were written.
        """
        facts = self.facts[key]
        try:
            features: Tensor = self.handle.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise BadShard(str(error)) from error
        kept = as_kept(features, key=key, size=(int(facts["size"][0]), int(facts["size"][1])))
        if key not in self.checked:
            if _checksum(kept) != facts["checksum"]:
                raise BadShard(f"the features of image {key} are not as they were written")
            self.checked.add(key)
        return kept


def _facts(image: KeptFeatures) -> dict[str, object]:
    return {"size": list(image.size), "checksum": _checksum(image)}


def _checksum(image: KeptFeatures) -> str:
    digest = blake2b(f"{image.dtype} {image.values.shape} {image.size}".encode(), digest_size=_CHECKSUM_BYTES)
    digest.update(image.values.data)
    return digest.hexdigest()


def _as_tensor(image: KeptFeatures) -> Tensor:
    dtype: torch.dtype = getattr(torch, image.dtype)
    return torch.from_numpy(image.values).view(dtype)
