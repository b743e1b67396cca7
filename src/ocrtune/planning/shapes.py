"""Sizes of a model and of one forward through it: all that FLOPs and bytes are counted from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import DeepseekOcr2Config

from ocrtune.config import TuningSection

_QUERY_TABLES = ((144, 144), (None, 256))
"""DeepSeek-OCR-2: SAM features up to which a table of so many queries is taken; the last one for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamShape:
    """The first vision encoder.

    Attributes:
        patch_px: Side of a patch.
        width: Of the residual stream.
        heads: Attention heads.
        inner: Width of the MLP.
        window: Patches along a window's side.
        trained_side: Patches along the side that its global position tables have a row for.
        neck: Channels of the neck.
        middle: Channels of the first of two steps that halve the sides.
        out: Channels behind both.
        layers: In order, True where attention is in windows.
    """

    patch_px: int
    width: int
    heads: int
    inner: int
    window: int
    trained_side: int
    neck: int
    middle: int
    out: int
    layers: tuple[bool, ...]

    def side(self, side_px: int) -> int:
        """Patches along a view's side."""
        return side_px // self.patch_px

    def padded_side(self, side_px: int) -> int:
        """The same, filled up to whole windows."""
        return -(-self.side(side_px) // self.window) * self.window

    def features(self, side_px: int) -> int:
        """Features of a view behind the two convolutions that halve its sides."""
        halved = -(-self.side(side_px) // 2)
        return (-(-halved // 2)) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """The second vision encoder: CLIP's, or Qwen2's with queries behind the features.

    Attributes:
        width: Of the residual stream.
        heads: Attention heads.
        key_value_heads: Heads of keys and values.
        inner: Width of the MLP.
        layers: How many.
        has_queries: Qwen2's: gated MLP, rotary positions, a mask, and a query for each feature.
    """

    width: int
    heads: int
    key_value_heads: int
    inner: int
    layers: int
    has_queries: bool

    def positions(self, features: int) -> int:
        """Positions of a view with so many features."""
        return features + self.queries(features) if self.has_queries else features + 1

    def queries(self, features: int) -> int:
        """Vision features that come out for so many that go in."""
        if not self.has_queries:
            return features
        return next(queries for most, queries in _QUERY_TABLES if most is None or features <= most)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """The decoder.

    Attributes:
        width: Of the residual stream.
        heads: Attention heads.
        key_value_heads: Heads of keys and values.
        head_width: Width of a head.
        dense_inner: Width of the MLP of layers without experts.
        expert_inner: Width of a routed expert.
        shared_inner: Width of the shared experts together.
        experts: Routed experts.
        chosen: Routed experts of a token.
        layers: In order, True where there are experts.
        vocabulary: Rows of the embedding.
    """

    width: int
    heads: int
    key_value_heads: int
    head_width: int
    dense_inner: int
    expert_inner: int
    shared_inner: int
    experts: int
    chosen: int
    layers: tuple[bool, ...]
    vocabulary: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The parts of a model.

    Attributes:
        sam: First vision encoder.
        encoder: Second vision encoder.
        projector: Widths before and behind the projector.
        decoder: Decoder and head.
    """

    sam: SamShape
    encoder: EncoderShape
    projector: tuple[int, int]
    decoder: DecoderShape

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "ModelShape":
        """The sizes a native configuration speaks of."""
        vision, text = config.vision_config, config.text_config
        sam, has_queries = _sam(vision.sam_config), isinstance(config, DeepseekOcr2Config)
        encoder = _encoder(vision.encoder_config, has_queries=has_queries)
        before = encoder.width if has_queries else encoder.width + sam.out
        return cls(sam=sam, encoder=encoder, projector=(before, text.hidden_size), decoder=_decoder(text))


def _sam(config: Any) -> SamShape:
    return SamShape(
        patch_px=config.patch_size,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        inner=config.mlp_dim,
        window=config.window_size,
        trained_side=config.image_size // config.patch_size,
        neck=config.output_channels,
        middle=config.downsample_channels[0],
        out=config.downsample_channels[1],
        layers=tuple(index not in config.global_attn_indexes for index in range(config.num_hidden_layers)),
    )


def _encoder(config: Any, *, has_queries: bool) -> EncoderShape:
    return EncoderShape(
        width=config.hidden_size,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads if has_queries else config.num_attention_heads,
        inner=config.intermediate_size,
        layers=config.num_hidden_layers,
        has_queries=has_queries,
    )


def _decoder(config: Any) -> DecoderShape:
    return DecoderShape(
        width=config.hidden_size,
        heads=config.num_attention_heads,
        key_value_heads=config.num_key_value_heads,
        head_width=config.head_dim or config.hidden_size // config.num_attention_heads,
        dense_inner=config.intermediate_size,
        expert_inner=config.moe_intermediate_size,
        shared_inner=config.moe_intermediate_size * config.n_shared_experts,
        experts=config.num_experts,
        chosen=config.num_experts_per_tok,
        layers=tuple(kind == "sparse" for kind in config.mlp_layer_types),
        vocabulary=config.vocab_size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one forward computes.

    Attributes:
        rows: Rows of the batch.
        positions: Positions of each row, padding included.
        supervised: Positions of the whole batch whose next token is learned.
        most_supervised: The same of the row that has most, where the last layer of the decoder computes those alone;
            None where it computes all positions.
        segments: Examples that stand in one packed row and do not see each other; None where a row is one example.
        views: (side in pixels, how many) of the views that the vision encoders see; none where features are given.
        most_views: (side in pixels, most views of it in one forward of the vision encoders); all of a side without.
        masked: Attention has a mask of its own: rows are padded, or seen through a window.
    """

    rows: int
    positions: int
    supervised: int
    most_supervised: int | None = None
    segments: int | None = None
    views: tuple[tuple[int, int], ...] = ()
    most_views: tuple[tuple[int, int], ...] = ()
    masked: bool = False

    @property
    def tokens(self) -> int:
        """Positions of the batch, padding included."""
        return self.rows * self.positions

    @property
    def pairs(self) -> int:
        """Queries times the keys of each, of all rows; examples of a packed row are taken to be equally long."""
        return self.tokens**2 // max(self.segments or self.rows, 1)

    @property
    def last_tokens(self) -> int:
        """Positions that the last layer of the decoder gives."""
        return self.tokens if self.most_supervised is None else self.supervised

    @property
    def last_queries(self) -> int:
        """Queries of the last layer: of each row as many as the row that has most, of a packed row all."""
        if self.most_supervised is None or self.segments is not None:
            return self.tokens
        return self.rows * max(self.most_supervised, 1)

    @property
    def last_pairs(self) -> int:
        """The same as `pairs` in the last layer."""
        if self.most_supervised is None or self.segments is not None:
            return self.pairs
        return self.last_queries * self.positions

    def views_at_once(self, side_px: int) -> int:
        """Most views of a side in one forward of the vision encoders."""
        return dict(self.most_views).get(side_px) or dict(self.views)[side_px]

    @staticmethod
    def count_views(sides_px: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Sides of single views as `views` has them."""
        return tuple(sorted(Counter(sides_px).items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What gets gradients.

    Attributes:
        decoder: Decoder and head in full.
        projector: Projector, newline and separator.
        vision: Both vision encoders in full.
        decoder_rank: Rank of the adapters on the decoder's linear layers; 0 for none.
        expert_rank: Rank of the adapters on the routed experts; 0 for none.
        vision_rank: Rank of the adapters on the vision encoders' linear layers; 0 for none.
        checkpointed: Parts whose activations are recomputed: `decoder`, `vision`.
    """

    decoder: bool = False
    projector: bool = False
    vision: bool = False
    decoder_rank: int = 0
    expert_rank: int = 0
    vision_rank: int = 0
    checkpointed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tuning: TuningSection, checkpointed: Iterable[str] = ()) -> "Learning":
        """What a recipe lets learn."""
        parts, full = set(tuning.parts), tuning.method == "full"
        rank = 0 if full else tuning.lora.rank
        return cls(
            decoder=full and "decoder" in parts,
            projector="projector" in parts,
            vision=full and "vision" in parts,
            decoder_rank=rank if "decoder" in parts else 0,
            expert_rank=rank if "decoder" in parts and tuning.lora.preset == "experts" else 0,
            vision_rank=rank if "vision" in parts else 0,
            checkpointed=frozenset(checkpointed),
        )

    @property
    def vision_runs_backward(self) -> bool:
        """Some part of the vision encoders gets gradients."""
        return self.vision or self.vision_rank > 0

    @property
    def reaches_embeddings(self) -> bool:
        """Gradients go back to what the decoder reads."""
        return self.decoder or self.projector or self.vision_runs_backward
