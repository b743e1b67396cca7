"""The model classes: transformers' own, with both call forms, the training mask and one vision forward per size.

They bear the names transformers gives them, because the class's name is what lands in `architectures` of a
native `config.json`. DeepSeek-OCR has no class there: it is Unlimited-OCR's with full attention.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2 as deepseek_ocr2
from transformers.models.unlimited_ocr import modeling_unlimited_ocr as unlimited_ocr

from ocrtune.errors import InputsError
from ocrtune.families import FAMILIES, Family
from ocrtune.inputs.contract import PUBLISHED_KEYS, require_batch
from ocrtune.models.attention import prompt_lengths, reference_window_masks
from ocrtune.models.configs import DeepseekOcrConfig
from ocrtune.models.features import ImageTensors, arrange, encode_views
from ocrtune.models.forms import native_images, published_images
from ocrtune.models.sam import speed_up_sam
from ocrtune.models.segments import Segments, make_segments
from ocrtune.models.supervised import forward_to_loss

NATIVE_IMAGE_KEYS = ("pixel_values", "pixel_values_local", "num_local_patches", "patches_grid")
"""Native keywords that say what the images are."""

ROUTER_CLASSES = (unlimited_ocr.UnlimitedOcrTextTopkRouter, deepseek_ocr2.DeepseekOcr2TextTopkRouter)
"""Modules that choose the experts of each token."""


class OcrModel(PreTrainedModel):
    """What every family's class has on top of transformers' own; it stands before that in the class's bases.

    Attributes:
        vision_chunk_views: Most views in one forward of the vision encoder; None for as many as `views_per_forward`
            says.
        trims_last_layer: Where nothing but the loss is asked for, the last decoder layer computes supervised positions
            only; off where something else is to look at its outputs.
    """

    vision_chunk_views: int | None = None
    trims_last_layer: bool = True

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        speed_up_sam(self)

    @property
    def family(self) -> Family:
        """Facts about the model's family."""
        return FAMILIES[self.config.model_type]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        images: Sequence[Sequence[Tensor]] | None = None,
        images_seq_mask: Tensor | None = None,
        images_spatial_crop: Tensor | Sequence[Sequence[int]] | None = None,
        pixel_values: Tensor | None = None,
        pixel_values_local: Tensor | None = None,
        num_local_patches: Sequence[int] | Tensor | None = None,
        patches_grid: Sequence[Sequence[int]] | Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        prompt_tokens: Tensor | None = None,
        segment_lengths: Sequence[int] | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        loss_only: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Logits and, with labels, the loss; images in the native or in the published form.

        Args:
            input_ids: int64 (B, L).
            attention_mask: (B, L), 0 at padding; without it nothing is padding.
            labels: int64 (B, L), unshifted, -100 where nothing is learned.
            images: Published form: a `(tiles, global_view)` pair of 4-D tensors for each row.
            images_seq_mask: Published form: bool (B, L), True at the image tokens.
            images_spatial_crop: Published form: int64 (B, 2), [columns, rows].
            pixel_values: Native form: (images, 3, S, S), global views.
            pixel_values_local: Native form: (all tiles, 3, T, T).
            num_local_patches: Native form: tiles of each image.
            patches_grid: Native form: [columns, rows] of each image.
            mm_encoder_outputs: `{"image": …}` with vision features made earlier, instead of images.
            prompt_tokens: int64 (B,), where each row's answer begins; its first label without it. It matters to a
                family with a reference window.
            segment_lengths: Tokens of each example of a packed row, B being 1 and nothing padded: examples do not
                see each other, positions begin anew with each, and `prompt_tokens` has one entry for each. The
                model needs `attend_by_segments` before.
            past_key_values: Cache of earlier positions, which hold the images then.
            inputs_embeds: (B, L, H) instead of `input_ids`.
            use_cache: Off by default where labels are given.
            loss_only: Compute the loss at `logits_to_keep` and no logits, see `forward_to_loss`.
            **kwargs: What transformers' class takes besides, such as `logits_to_keep`.

        Returns:
            transformers' output record: `loss`, `logits` (B, L, vocabulary), `past_key_values` and more.

        Raises:
            BatchError: A batch of the published form breaks its contract; nothing is computed then.
            InputsError: `segment_lengths` do not fit the row, or the model is not set up for them.
        """
        batch = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "images": images,
            "images_seq_mask": images_seq_mask,
            "images_spatial_crop": images_spatial_crop,
            "pixel_values": pixel_values,
            "pixel_values_local": pixel_values_local,
            "num_local_patches": num_local_patches,
            "patches_grid": patches_grid,
        }
        tokens = input_ids if inputs_embeds is None else inputs_embeds
        segments = (
            None if segment_lengths is None else self._segments(batch, segment_lengths, tokens, prompt_tokens)
        )
        if past_key_values is None or past_key_values.get_seq_length() == 0:
            mm_encoder_outputs = self._features(batch) or mm_encoder_outputs
        if segments is not None:
            attention_mask, use_cache, prompt_tokens = segments.stand_in_mask, False, None
            kwargs = {**kwargs, "position_ids": segments.position_ids, "segments": segments}
        elif labels is not None and past_key_values is None:
            use_cache = bool(use_cache)
            prompt_tokens = prompt_lengths(labels) if prompt_tokens is None else prompt_tokens
        given = {
            "input_ids": input_ids,
            "attention_mask": self._decoder_mask(
                tokens, attention_mask, None if past_key_values is not None else prompt_tokens
            ),
            "mm_encoder_outputs": mm_encoder_outputs,
            "past_key_values": past_key_values,
            "inputs_embeds": inputs_embeds,
            "use_cache": use_cache,
        }
        if loss_only:
            return forward_to_loss(self, given, **kwargs)
        return super().forward(labels=labels, **given, **kwargs)

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        """True: transformers would look for the experts in this file, and they are in the file of its own class."""
        return True

    def get_image_features(
        self,
        pixel_values: Tensor,
        pixel_values_local: Tensor | None = None,
        num_local_patches: Sequence[int] | Tensor | None = None,
        patches_grid: Sequence[Sequence[int]] | Tensor | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling:
        """Features of images given by native keywords, for `mm_encoder_outputs` of `forward` and `generate`.

        Returns:
            `pooler_output` holds (tokens, H) for each image.
        """
        images = native_images(
            pixel_values,
            pixel_values_local,
            num_local_patches,
            patches_grid,
            needs_grid=self.family.newline_after_row,
        )
        return BaseModelOutputWithPooling(pooler_output=self.encode_images(images))

    def encode_images(self, images: Sequence[ImageTensors]) -> list[Tensor]:
        """The features of each image in the order of its tokens, (tokens, H) each."""
        tiled = [image.tiles for image in images if image.tiles is not None]
        stacks = [*(image.global_view for image in images), *tiled]
        encoded = iter(
            encode_views(
                self.model.vision_tower,
                self.model.multi_modal_projector,
                stacks,
                chunk_views=self.vision_chunk_views,
            )
        )
        views = [next(encoded)[0] for _ in images]
        newline = self.model.image_newline if self.family.newline_after_row else None
        return [
            arrange(
                view,
                None if image.tiles is None else next(encoded),
                image.grid,
                separator=self.model.view_separator,
                newline=newline,
            )
            for view, image in zip(views, images, strict=True)
        ]

    def _features(self, batch: Mapping[str, Any]) -> dict[str, Any] | None:
        """Features of either form, as transformers' classes take them; None for a batch without images."""
        if any(batch[key] is not None for key in PUBLISHED_KEYS):
            images = self._published_images(batch)
            if not images:
                return None
            return {"image": BaseModelOutputWithPooling(pooler_output=self.encode_images(images))}
        if batch["pixel_values"] is None:
            return None
        return {"image": self.get_image_features(**{key: batch[key] for key in NATIVE_IMAGE_KEYS})}

    def _published_images(self, batch: Mapping[str, Any]) -> list[ImageTensors]:
        text = self.config.text_config
        require_batch(
            batch,
            self.family,
            image_id=self.config.image_token_id,
            bos_id=text.bos_token_id,
            eos_id=text.eos_token_id,
        )
        if batch["images"] is None:
            return []
        return published_images(batch["images"], batch["images_seq_mask"], batch["images_spatial_crop"])

    def _segments(
        self,
        batch: Mapping[str, Any],
        lengths: Sequence[int],
        tokens: Tensor | None,
        prompt_tokens: Tensor | None,
    ) -> Segments:
        given = [key for key in ("attention_mask", *PUBLISHED_KEYS) if batch[key] is not None]
        if given or tokens is None:
            raise InputsError(
                f"segment_lengths with {', '.join(given) or 'no tokens'}",
                hint="a packed row has no padding, and its images are given by native keywords",
            )
        return make_segments(
            self.config.text_config,
            lengths,
            tokens,
            labels=batch["labels"],
            prompt_tokens=prompt_tokens,
            windowed=self.family.reference_window,
        )

    def _decoder_mask(
        self, tokens: Tensor | None, attention_mask: Tensor | None, prompt_tokens: Tensor | None
    ) -> Tensor | dict[str, Tensor | None] | None:
        """The mask with which a row whose answer begins at `prompt_tokens` is decoded; padding alone without them."""
        if tokens is None or prompt_tokens is None or not self.family.reference_window:
            return attention_mask
        return reference_window_masks(
            self.config.text_config,
            shape=(tokens.shape[0], tokens.shape[1]),
            attention_mask=attention_mask,
            prompt_tokens=prompt_tokens.to(tokens.device),
            dtype=self.dtype,
        )


class DeepseekOcrForConditionalGeneration(OcrModel, unlimited_ocr.UnlimitedOcrForConditionalGeneration):
    """DeepSeek-OCR."""

    config_class = DeepseekOcrConfig
    config: DeepseekOcrConfig


class DeepseekOcr2ForConditionalGeneration(OcrModel, deepseek_ocr2.DeepseekOcr2ForConditionalGeneration):
    """DeepSeek-OCR-2."""


class UnlimitedOcrForConditionalGeneration(OcrModel, unlimited_ocr.UnlimitedOcrForConditionalGeneration):
    """Unlimited-OCR; with labels it sees what its decoding sees."""


MODEL_CLASSES: Mapping[str, type[OcrModel]] = {
    model_class.__name__: model_class
    for model_class in (
        DeepseekOcrForConditionalGeneration,
        DeepseekOcr2ForConditionalGeneration,
        UnlimitedOcrForConditionalGeneration,
    )
}
"""`Family.native_class` → the class."""


def register() -> None:
    """Make DeepSeek-OCR known to transformers, and its name conversion hold for the classes here.

    A class outside of transformers gets a conversion only where its model type was registered by hand.
    """
    AutoConfig.register(DeepseekOcrConfig.model_type, DeepseekOcrConfig, exist_ok=True)
    AutoModelForImageTextToText.register(
        DeepseekOcrConfig, DeepseekOcrForConditionalGeneration, exist_ok=True
    )
    for name in FAMILIES:
        known = get_checkpoint_conversion_mapping(name)
        conversion = known or get_checkpoint_conversion_mapping(unlimited_ocr.UnlimitedOcrConfig.model_type)
        register_checkpoint_conversion_mapping(name, conversion, overwrite=True)


register()
