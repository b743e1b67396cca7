"""Attention within segments: several examples stand in one row, and none sees another.

No mask of the row is built. Each segment is attended to by itself, with the kernel for causal rows, so nothing is
computed across borders, and what an example gets does not depend on its neighbours.

Shapes: T tokens of the row, S segments, N heads, D head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from ocrtune.errors import InputsError
from ocrtune.models.attention import prompt_lengths
from ocrtune.models.configs import REFERENCE_WINDOW

try:
    from torch.nn.attention import varlen
except ImportError:
    varlen = None  # type: ignore[assignment]

SEGMENTED = "ocrtune_segments"
"""The attention implementation; without segments it is transformers' `sdpa`."""

VARLEN_CAPABILITY = (8, 0)
"""CUDA devices from here on have the kernel that attends to all segments at once."""

Kernel = Literal["each", "varlen"]


@dataclass(frozen=True, eq=False)
class Segments:
    """Where the examples of a row begin and end.

    Attributes:
        lengths: Tokens of each example, in order.
        device: Of the model.
        prompts: Tokens before each example's answer; None for a family without a reference window.
        window: Width of the reference window.
    """

    lengths: tuple[int, ...]
    device: torch.device
    prompts: tuple[int, ...] | None = None
    window: int = 0

    @cached_property
    def position_ids(self) -> Tensor:
        """int64 (1, T): each example begins at 0."""
        return torch.cat([torch.arange(length, device=self.device) for length in self.lengths])[None]

    @cached_property
    def borders(self) -> Tensor:
        """int32 (S + 1,), where segments begin, and the end."""
        ends = torch.tensor(self.lengths).cumsum(0)
        return nn.functional.pad(ends, (1, 0)).to(device=self.device, dtype=torch.int32)

    @cached_property
    def window_masks(self) -> list[Tensor | None]:
        """Masks of the segments, bool (length, length), True where a position is seen; None where all before it are."""
        if self.prompts is None:
            return self.no_masks
        return [
            None
            if length - prompt <= self.window
            else _window_mask(length, prompt, self.window, device=self.device)
            for length, prompt in zip(self.lengths, self.prompts, strict=True)
        ]

    @property
    def no_masks(self) -> list[Tensor | None]:
        """For layers of full attention."""
        return [None] * len(self.lengths)

    @cached_property
    def stand_in_mask(self) -> Tensor:
        """(1, 1, 0, 0): transformers builds no mask where it is given one of four dimensions."""
        return torch.empty((1, 1, 0, 0), dtype=torch.bool, device=self.device)


def make_segments(
    text_config: Any,
    lengths: Sequence[int],
    tokens: Tensor,
    *,
    labels: Tensor | None = None,
    prompt_tokens: Tensor | None = None,
    windowed: bool = False,
) -> Segments:
    """The segments of a row, checked.

    Args:
        text_config: The decoder's configuration.
        lengths: Tokens of each example; together those of the row.
        tokens: (1, T) or (1, T, H).
        labels: int64 (1, T), unshifted; they tell where answers begin if `prompt_tokens` does not.
        prompt_tokens: int64 (S,), where each example's answer begins.
        windowed: The family has a reference window.

    Raises:
        InputsError: The lengths do not fit the row, or the model was not set up for segments.
    """
    if text_config._attn_implementation != SEGMENTED:  # noqa: SLF001  # transformers has no other name for it
        raise InputsError(
            f"segment_lengths and attention {text_config._attn_implementation!r}, which does not know them",  # noqa: SLF001
            hint="call attend_by_segments(model) once before packed rows",
        )
    if tokens.shape[0] != 1 or min(lengths, default=0) < 1 or sum(lengths) != tokens.shape[1]:
        raise InputsError(
            f"segments of {sum(lengths)} tokens for {tokens.shape[0]} row(s) of {tokens.shape[1]}",
            hint="a packed batch is one row; its segments hold a token or more, and together all of them",
        )
    return Segments(
        lengths=tuple(lengths),
        device=tokens.device,
        prompts=_prompts(lengths, labels, prompt_tokens) if windowed else None,
        window=text_config.sliding_window if windowed else 0,
    )


def attend_by_segments(model: Any) -> None:
    """Have a model's decoder take `segment_lengths`, for good: checkpointed layers run again after the forward.

    Without segments it computes what `sdpa` computes, bit for bit.

    Args:
        model: An `OcrModel`.
    """
    model.config.text_config._attn_implementation = SEGMENTED  # noqa: SLF001


def choose_kernel(
    *, device: str, capability: tuple[int, int] | None, dtype: torch.dtype, masked: bool, available: bool
) -> Kernel:
    """Whether one call attends to all segments, or one call to each.

    Args:
        device: Its kind, such as `cuda`.
        capability: Of a CUDA device.
        dtype: In which attention is computed.
        masked: Some segment needs a mask.
        available: torch has the kernel.
    """
    fits = device == "cuda" and capability is not None and capability >= VARLEN_CAPABILITY
    half = dtype in {torch.bfloat16, torch.float16}
    return "varlen" if fits and half and available and not masked else "each"


def segmented_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: (1, N, T, D) three times → (1, T, N, D)."""
    if segments is None:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return attended
    masks = segments.window_masks if _is_windowed(module) else segments.no_masks
    return _attend(query, key, value, segments, masks, dropout=dropout, scaling=scaling), None


# Compiled code would be made anew for each list of lengths.
@torch.compiler.disable
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    masks: list[Tensor | None],
    *,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    dtype = _computing_dtype(query)
    kernel = choose_kernel(
        device=query.device.type,
        capability=torch.cuda.get_device_capability(query.device) if query.is_cuda else None,
        dtype=dtype,
        masked=dropout > 0 or any(mask is not None for mask in masks),
        available=varlen is not None,
    )
    if kernel == "varlen":
        return _attend_at_once(query, key, value, segments, dtype=dtype, scaling=scaling)
    # Split and not sliced: the backward pass of slices would fill a whole row for each.
    lengths = list(segments.lengths)
    parts = zip(*(torch.split(tensor, lengths, dim=2) for tensor in (query, key, value)), masks, strict=True)
    attended = [
        scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for q, k, v, mask in parts
    ]
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous()


def _attend_at_once(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    *,
    dtype: torch.dtype,
    scaling: float | None,
) -> Tensor:
    # Autocast does not know this kernel.
    q, k, v = (tensor[0].transpose(0, 1).to(dtype) for tensor in (query, key, value))
    borders, longest = segments.borders, max(segments.lengths)
    attended = varlen.varlen_attn(
        q,
        k,
        v,
        borders,
        borders,
        longest,
        longest,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(attended, Tensor)
    return attended[None]


def _computing_dtype(query: Tensor) -> torch.dtype:
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype


def _is_windowed(module: Any) -> bool:
    layer_types = getattr(module.config, "layer_types", None)
    return layer_types is not None and layer_types[module.layer_idx] == REFERENCE_WINDOW


def _window_mask(length: int, prompt: int, window: int, *, device: torch.device) -> Tensor:
    places = torch.arange(length, device=device)
    query, key = places[:, None], places[None]
    return (key <= query) & ((key < prompt) | (query - key < window))


def _prompts(
    lengths: Sequence[int], labels: Tensor | None, prompt_tokens: Tensor | None
) -> tuple[int, ...] | None:
    if prompt_tokens is not None:
        return tuple(prompt_tokens.tolist())
    if labels is None:
        return None
    # On the CPU: one wait for the device, not one for each segment.
    parts = torch.split(labels[0].cpu(), list(lengths))
    return tuple(int(prompt_lengths(part[None])) for part in parts)


AttentionInterface.register(SEGMENTED, segmented_attention_forward)
AttentionMaskInterface.register(SEGMENTED, sdpa_mask)
