"""Layers of the decoder, mended in place: routers that stay in fp32, and a last layer that computes what is used.

The classes stay subclasses of transformers', and the names of all tensors stay as they are.

Shapes: B rows, L positions, H hidden, D of a head, n positions of all rows that are kept, m the most of one row.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2 as deepseek_ocr2
from transformers.models.unlimited_ocr import modeling_unlimited_ocr as unlimited_ocr

from ocrtune.models.segments import SEGMENTED, Segments

KEPT_POSITIONS = "kept_positions"
"""The keyword under which the decoder is told, bool (B, L), of which positions its outputs are used."""

TRIMMED_ATTENTION = frozenset({"sdpa", "eager", SEGMENTED})
"""Attention implementations whose masks are tensors with a row for each query, or that take segments in their place."""


class _Fp32Router(nn.Module):
    """A router that is computed in fp32 under autocast too, as the published code does."""

    def forward(self, hidden_states: Tensor) -> Any:
        with torch.autocast(hidden_states.device.type, enabled=False):
            return super().forward(hidden_states)


class UnlimitedOcrRouter(_Fp32Router, unlimited_ocr.UnlimitedOcrTextTopkRouter):  # noqa: D101
    pass


class DeepseekOcr2Router(_Fp32Router, deepseek_ocr2.DeepseekOcr2TextTopkRouter):  # noqa: D101
    pass


class _TrimmedLayer(nn.Module):
    """A layer that knows `kept_positions`: the others serve as keys and values alone."""

    _whole: Any
    input_layernorm: Any
    self_attn: Any
    post_attention_layernorm: Any
    mlp: Any

    def forward(
        self, hidden_states: Tensor, *, kept_positions: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """(B, L, H), or (1, n, H) where positions are kept, rows after one another.

        Source: transformers' layer, equal to 1e-6 at the kept positions and in gradients (`tests/models/test_decoder.py`).
        """
        if kept_positions is None:
            whole: Tensor = self._whole(self, hidden_states, **kwargs)
            return whole
        normed = self.input_layernorm(hidden_states)
        attended = _attend_from(
            self.self_attn,
            normed,
            kept_positions,
            attention_mask=kwargs["attention_mask"],
            position_embeddings=kwargs["position_embeddings"],
            segments=kwargs.get("segments"),
        )
        kept = (hidden_states[kept_positions] + attended).unsqueeze(0)
        output: Tensor = kept + self.mlp(self.post_attention_layernorm(kept))
        return output


class UnlimitedOcrLastLayer(_TrimmedLayer, unlimited_ocr.UnlimitedOcrTextDecoderLayer):  # noqa: D101
    # transformers wraps the forward of every layer's class for checkpointing; one within the other would checkpoint twice.
    _whole = staticmethod(inspect.unwrap(unlimited_ocr.UnlimitedOcrTextDecoderLayer.forward))


class DeepseekOcr2LastLayer(_TrimmedLayer, deepseek_ocr2.DeepseekOcr2TextDecoderLayer):  # noqa: D101
    _whole = staticmethod(inspect.unwrap(deepseek_ocr2.DeepseekOcr2TextDecoderLayer.forward))


_ROUTERS = {router.__bases__[1]: router for router in (UnlimitedOcrRouter, DeepseekOcr2Router)}
_LAST_LAYERS = {layer.__bases__[1]: layer for layer in (UnlimitedOcrLastLayer, DeepseekOcr2LastLayer)}


def mend_decoder(model: Any) -> None:
    """Have the routers of `model` and its last decoder layer computed so, in place; a second time changes nothing."""
    for module in model.modules():
        module.__class__ = _ROUTERS.get(type(module), type(module))
    last = model.model.language_model.layers[-1]
    last.__class__ = _LAST_LAYERS.get(type(last), type(last))


def can_trim(model: Any) -> bool:
    """The last layer of the model knows `kept_positions`, with the attention the model has."""
    decoder = model.model.language_model
    attention = decoder.config._attn_implementation  # noqa: SLF001
    last = decoder.layers[-1]
    # A layer that was wrapped, as accelerate does for several devices, has a forward of its own before the class's.
    is_mended = isinstance(last, _TrimmedLayer) and "forward" not in vars(last)
    return is_mended and attention in TRIMMED_ATTENTION


def _attend_from(
    attention: Any,
    normed: Tensor,
    kept: Tensor,
    *,
    attention_mask: Tensor | None,
    position_embeddings: tuple[Tensor, Tensor],
    segments: Segments | None,
) -> Tensor:
    """The attention's outputs at the kept positions, (n, H); its keys and values are all of `normed`, (B, L, H)."""
    positions, filled = _positions_of(kept) if segments is None else _all_positions_of(kept)
    heads = (*normed.shape[:2], -1, attention.head_dim)
    keys = attention.k_proj(normed).view(heads).transpose(1, 2)
    values = attention.v_proj(normed).view(heads).transpose(1, 2)
    queries = attention.q_proj(_take(normed, positions))
    queries = queries.view(*positions.shape, -1, attention.head_dim).transpose(1, 2)
    cosines, sines = (table.expand(len(normed), -1, -1) for table in position_embeddings)
    keys = _rotate(keys, cosines, sines)
    queries = _rotate(queries, _take(cosines, positions), _take(sines, positions))
    compute = ALL_ATTENTION_FUNCTIONS.get_interface(
        attention.config._attn_implementation,  # noqa: SLF001
        unlimited_ocr.eager_attention_forward,
    )
    attended, _ = compute(
        attention,
        queries,
        keys,
        values,
        _rows_of(attention_mask, positions, keys.shape[2]) if segments is None else None,
        dropout=attention.attention_dropout if attention.training else 0.0,
        scaling=attention.scaling,
        segments=segments,
    )
    projected: Tensor = attention.o_proj(attended.flatten(2)[filled])
    return projected


def _positions_of(kept: Tensor) -> tuple[Tensor, Tensor]:
    """The kept positions of each row in order, int64 (B, m), and which of them are no filling, bool (B, m)."""
    counts = kept.sum(dim=1)
    most = max(int(counts.max()), 1)
    positions = torch.argsort(kept.logical_not().int(), dim=1, stable=True)[:, :most]
    return positions, torch.arange(most, device=kept.device) < counts.unsqueeze(1)


def _all_positions_of(kept: Tensor) -> tuple[Tensor, Tensor]:
    """All positions of a packed row, int64 (1, L), and the kept ones among them.

    Its attention is cheap, and its kernels want a query for each key: one causal call to a segment, or to all.
    """
    return torch.arange(kept.shape[1], device=kept.device).unsqueeze(0), kept


def _take(values: Tensor, positions: Tensor) -> Tensor:
    """(B, L, …) → (B, m, …)."""
    return values.gather(1, positions.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def _rotate(values: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    rotated: Tensor = unlimited_ocr.rotate_half(values)
    return values * cosines.unsqueeze(1) + rotated * sines.unsqueeze(1)


def _rows_of(mask: Tensor | None, positions: Tensor, num_keys: int) -> Tensor:
    """The mask's rows at some positions, (B, 1, m, L); the causal ones where there is no mask."""
    if mask is None:
        keys = torch.arange(num_keys, device=positions.device)
        return (keys <= positions.unsqueeze(-1)).unsqueeze(1)
    rows = mask.expand(len(positions), *mask.shape[1:])
    index = positions[:, None, :, None].expand(-1, rows.shape[1], -1, rows.shape[-1])
    return rows.gather(2, index)
