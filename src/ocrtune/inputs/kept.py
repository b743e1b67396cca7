"""Images of a batch whose vision features were computed earlier, beside those whose views must go through the encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ocrtune.records import ImageViews, KeptFeatures

KNOWN_IMAGES = "known_images"
"""The key of a batch's native arguments under which its `KnownImages` stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownImages:
    """What is known of a batch's images, one entry each, in the order of their tokens.

    Attributes:
        features: (tokens, H) on the CPU; None of an image whose views are in the batch.
        keys: Digests of their contents; empty of an image that nobody asked the key of.
        sizes: (width, height) in pixels.
    """

    features: tuple[Tensor | None, ...]
    keys: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.keys)

    @property
    def num_kept(self) -> int:
        """Images that need no encoder."""
        return sum(features is not None for features in self.features)

    def pin_memory(self) -> "KnownImages":
        """The same in memory that a card reads from directly; data loaders ask for it."""
        pinned = tuple(None if features is None else features.pin_memory() for features in self.features)
        return replace(self, features=pinned)

    @classmethod
    def of(cls, images: Sequence[ImageViews | KeptFeatures]) -> "KnownImages | None":
        """What is known of these; None where nobody keeps features."""
        if not any(image.key for image in images):
            return None
        return cls(
            features=tuple(as_tensor(image) if isinstance(image, KeptFeatures) else None for image in images),
            keys=tuple(image.key for image in images),
            sizes=tuple(image.size for image in images),
        )


def as_tensor(kept: KeptFeatures) -> Tensor:
    """(tokens, H) in memory of its own: what is mapped may come from a slow disk, and go away."""
    dtype: torch.dtype = getattr(torch, kept.dtype)
    return torch.from_numpy(np.array(kept.values)).view(dtype)


def as_kept(features: Tensor, *, key: str, size: tuple[int, int]) -> KeptFeatures:
    """(tokens, H) of any device, as numbers that go to other processes and files."""
    flat = features.detach().cpu().contiguous()
    return KeptFeatures(
        values=flat.view(torch.uint8).numpy(),
        dtype=str(features.dtype).removeprefix("torch."),
        key=key,
        size=size,
    )
