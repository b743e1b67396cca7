"""Does an export compute what its checkpoint computes? Asked with a page, before anybody loads it.

Logits are compared in float32 whatever the dtype of the files. A difference is relative to the largest logit.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ocrtune.errors import ExportError
from ocrtune.families import Mode
from ocrtune.inputs import InputsRecipe, Tokenizer, encode
from ocrtune.inputs.collate import collate
from ocrtune.models import OcrModel
from ocrtune.models.precision import Dtype
from ocrtune.records import Example

RELOAD_TOLERANCE = 1e-5
"""Largest difference between the weights in memory, rounded to the export's dtype, and the files read back."""

ROUNDING_TOLERANCE: Mapping[Dtype, float] = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference, at the median position, between merged and rounded weights and the checkpoint's own.

The median, because a rounded router may send a token to another expert, which moves that position's logits by more
than rounding itself does; an adapter that was lost or added twice moves all positions.
"""

_PROBE_SEED = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two sets of logits are apart, relative to the largest logit.

    Attributes:
        largest: At the position where they differ most.
        median: At the median position.
    """

    largest: float
    median: float


def page_logits(model: OcrModel, recipe: InputsRecipe, tokenizer: Tokenizer) -> torch.Tensor:
    """What `model` says after each token of a synthetic page, encoded by the recipe: float32 (L, vocabulary)."""
    inputs = encode(synthetic_example(recipe), recipe, tokenizer)
    arguments = collate([inputs], recipe.family, pad_id=tokenizer.pad_id).to(model.device).native()
    del arguments["labels"]
    with torch.no_grad():
        logits: torch.Tensor = model(**arguments, use_cache=False).logits
    return logits[0].float().cpu()


def synthetic_example(recipe: InputsRecipe) -> Example:
    """The prompt of the recipe with an image for each `<image>`: noise, of a size that takes two tiles."""
    pixels = np.random.default_rng(_PROBE_SEED).integers(0, 256, (*_page_size(recipe.mode), 3), np.uint8)
    count = recipe.prompt.count(recipe.family.vocabulary.image)
    return Example(name="synthetic", images=(Image.fromarray(pixels),) * count, prompt=recipe.prompt)


def difference(found: torch.Tensor, wanted: torch.Tensor) -> Difference:
    """How far `found` is from `wanted`; NaN where either is not finite."""
    positions = (found - wanted).abs().amax(dim=1) / wanted.abs().max()
    return Difference(largest=float(positions.max()), median=float(positions.median()))


def require_same(found: torch.Tensor, wanted: torch.Tensor, *, folder: str) -> None:
    """Raise if files read back do not compute what was written into them.

    Raises:
        ExportError: With the difference.
    """
    apart = difference(found, wanted)
    # Not `>`: NaN compares false, and must not pass.
    if not apart.largest <= RELOAD_TOLERANCE:
        raise ExportError(
            f"the export read back differs from what was written: {apart.largest:.1e} of the largest logit",
            where=folder,
            hint="nothing was left behind; is the disk full or failing?",
        )


def require_close(found: torch.Tensor, wanted: torch.Tensor, dtype: Dtype) -> None:
    """Raise if merging and rounding changed more than the dtype explains.

    Raises:
        ExportError: With the difference.
    """
    apart = difference(found, wanted)
    if not apart.median <= ROUNDING_TOLERANCE[dtype]:
        raise ExportError(
            f"the merged weights in {dtype} differ from the checkpoint: "
            f"{apart.median:.1e} of the largest logit at the median position, at most "
            f"{ROUNDING_TOLERANCE[dtype]:.0e} is explained by rounding",
            hint="export in float32 to see whether it is the dtype",
        )


def _page_size(mode: Mode) -> tuple[int, int]:
    """(height, width)."""
    side = mode.tile_px or mode.global_px // 2
    return side, 2 * side
