"""The reference window (R-SWA): what a training step must see so that it equals decoding.

Decoding keeps the prompt with its images and a window of the newest generated tokens. A training step sees a
whole row at once, so it needs a mask that says the same.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from ocrtune.inputs.encode import IGNORED_LABEL
from ocrtune.models.configs import FULL_ATTENTION, REFERENCE_WINDOW


def prompt_lengths(labels: Tensor) -> Tensor:
    """Positions before the first supervised label of each row, (B,); all of them in a row without any.

    Args:
        labels: int64 (B, L), unshifted, -100 where nothing is learned.
    """
    supervised = labels != IGNORED_LABEL
    first = supervised.int().argmax(dim=1)
    return torch.where(supervised.any(dim=1), first, labels.shape[1])


def reference_window_masks(
    text_config: Any,
    *,
    shape: tuple[int, int],
    attention_mask: Tensor | None,
    prompt_tokens: Tensor,
    dtype: torch.dtype,
) -> dict[str, Tensor | None]:
    """Masks by layer type, in the form the decoder takes and the attention implementation wants.

    Position i sees position j where `j <= i and (j < prompt_tokens or i - j < window)`, and never padding.

    Args:
        text_config: The decoder's configuration; its `sliding_window` is the window.
        shape: (B, L) of the batch.
        attention_mask: (B, L), 0 at padding; None where there is none.
        prompt_tokens: int64 (B,), positions before the answer; on the device of the masks.
        dtype: Of the activations.

    Source: the published ring-buffer decode, recorded in `golden/unlimited_ocr`.
    """

    def in_prompt(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (key < prompt_tokens[row])

    # The mask functions read shape, dtype and device of the embeddings, never their values.
    stand_in = torch.empty((*shape, 0), dtype=dtype, device=prompt_tokens.device)
    given = {
        "config": text_config,
        "inputs_embeds": stand_in,
        "attention_mask": attention_mask,
        "past_key_values": None,
    }
    window = create_sliding_window_causal_mask(
        **given, or_mask_function=in_prompt, allow_is_causal_skip=False
    )
    masks = {REFERENCE_WINDOW: window}
    if FULL_ATTENTION in text_config.layer_types:
        masks[FULL_ATTENTION] = create_causal_mask(**given)
    return masks
