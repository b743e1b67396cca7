"""A batch some of whose images are known: the others go through the encoder, and all features go to the decoder."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ocrtune.inputs.kept import KNOWN_IMAGES, KnownImages, as_kept, as_tensor
from ocrtune.models.classes import NATIVE_IMAGE_KEYS, OcrModel
from ocrtune.models.feature_cache import Features
from ocrtune.models.feature_key import feature_dtype
from ocrtune.models.features import ImageTensors
from ocrtune.models.forms import native_images
from ocrtune.records import ModelInputs


class FeatureSource:
    """Gives batches their vision features: those that are kept, and the others computed and kept.

    Features are computed without gradients, all views of a size together, and cast to the dtype in which the decoder
    takes them; so what is read later is bit for bit what was computed.

    Args:
        features: Where they are kept.
        autocast: Makes the context that forwards run in.

    Attributes:
        counts: Images `computed` so far, and `read`: found where they are kept, or computed for the same batch.
    """

    def __init__(self, features: Features, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        self.features = features
        self.counts: Counter[str] = Counter()
        self._autocast = autocast

    def complete(self, model: OcrModel, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Native arguments with `mm_encoder_outputs` in place of views; as they are where no image is known.

        Args:
            model: On whose device the arguments are.
            arguments: As `Batch.native` gives them.
        """
        rest = dict(arguments)
        known: KnownImages | None = rest.pop(KNOWN_IMAGES, None)
        if known is None:
            return rest
        views = {name: rest.pop(name) for name in NATIVE_IMAGE_KEYS if name in rest}
        fresh = _fresh_images(model, views)
        return {**rest, "mm_encoder_outputs": {"image": self._features(model, known, fresh)}}

    def _features(
        self, model: OcrModel, known: KnownImages, fresh: Sequence[ImageTensors]
    ) -> BaseModelOutputWithPooling:
        found = [
            self._find(key) if features is None else features
            for key, features in zip(known.keys, known.features, strict=True)
        ]
        views = iter(fresh)
        waiting = {place: next(views) for place, features in enumerate(known.features) if features is None}
        missing = {place: image for place, image in waiting.items() if found[place] is None}
        # An image that stands in the batch twice is computed once; one without a key is like no other.
        firsts: dict[str | int, int] = {}
        for place in missing:
            firsts.setdefault(known.keys[place] or place, place)
        images = [missing[place] for place in firsts.values()]
        computed = dict(zip(firsts, self._compute(model, images), strict=True))
        for name, place in firsts.items():
            if known.keys[place]:
                self.features.add(as_kept(computed[name], key=known.keys[place], size=known.sizes[place]))
        for place in missing:
            found[place] = computed[known.keys[place] or place]
        self.counts.update(computed=len(computed), read=len(found) - len(computed))
        dtype = feature_dtype(model)
        return BaseModelOutputWithPooling(
            pooler_output=[
                features.to(model.device, dtype, non_blocking=True)
                for features in found
                if features is not None
            ]
        )

    def _find(self, key: str) -> Tensor | None:
        """Features that were computed after the batch was put together."""
        kept = self.features.find(key) if key else None
        return None if kept is None else as_tensor(kept)

    @torch.no_grad()
    def _compute(self, model: OcrModel, images: Sequence[ImageTensors]) -> list[Tensor]:
        if not images:
            return []
        with self._autocast():
            return [features.to(feature_dtype(model)) for features in model.encode_images(images)]


def with_known(inputs: ModelInputs, features: Features | None) -> ModelInputs:
    """The inputs with features in place of the views of those images whose features are known by now."""
    if features is None or not inputs.opened:
        return inputs
    return replace(
        inputs,
        views=tuple((features.find(image.key) if image.key else None) or image for image in inputs.views),
    )


def _fresh_images(model: OcrModel, views: Mapping[str, Any]) -> list[ImageTensors]:
    """The images of a batch whose views are in it."""
    if not views:
        return []
    arguments: dict[str, Any] = {name: views.get(name) for name in NATIVE_IMAGE_KEYS}
    return native_images(**arguments, needs_grid=model.family.newline_after_row)
