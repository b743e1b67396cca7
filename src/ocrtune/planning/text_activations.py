"""Bytes that decoder, head and loss keep from the forward to the backward."""

from ocrtune.planning.operations import FLOAT, INDEX, Operations, Widths
from ocrtune.planning.shapes import DecoderShape, Learning, Work


def decoder_layers(decoder: DecoderShape, work: Work, learning: Learning, widths: Widths) -> list[int]:
    """Bytes that each layer of the decoder keeps, without checkpointing."""
    layers = []
    for index, has_experts in enumerate(decoder.layers):
        layer = Operations(
            widths=widths,
            learns=learning.decoder,
            rank=learning.decoder_rank,
            flows=learning.reaches_embeddings or index > 0,
        )
        is_last = index == len(decoder.layers) - 1
        trims = is_last and work.most_supervised is not None
        attend = _trimmed_attention if trims else _attention
        kept = attend(decoder, work, layer)
        rows = work.last_tokens if trims else work.tokens
        kept += _behind_attention(decoder, layer.behind(), rows, learning, has_experts=has_experts)
        layers.append(kept)
    return layers


def _attention(decoder: DecoderShape, work: Work, layer: Operations) -> int:
    rows, width = work.tokens, decoder.width
    outs = tuple(heads * decoder.head_width for heads in (decoder.heads, *(decoder.key_value_heads,) * 2))
    kept = layer.rms_norm(rows, width) + layer.linears(rows, width, outs)
    behind = layer.behind()
    kept += behind.attention(
        rows,
        rows,
        work.pairs * work.masked,
        heads=decoder.heads,
        key_value_heads=decoder.key_value_heads,
        head_width=decoder.head_width,
    )
    # Outputs of packed examples are put together for the product behind them.
    return kept + behind.linears(rows, outs[0], (width,), kept=work.segments is None)


def _trimmed_attention(decoder: DecoderShape, work: Work, layer: Operations) -> int:
    """Of the last layer: keys and values of all positions, queries of those that are kept, taken from a copy."""
    rows, queries, width = work.tokens, work.last_queries, decoder.width
    inner, others = decoder.heads * decoder.head_width, decoder.key_value_heads * decoder.head_width
    kept = layer.rms_norm(rows, width)
    kept += layer.linears(rows, width, (others, others)) + layer.linears(queries, width, (inner,))
    # Where queries are taken from, all positions in order, and which of them are kept; what they are taken from, where
    # products have copies of it.
    copied = layer.widths.compute < FLOAT
    kept += layer.flows * rows * (INDEX + 1 + copied * width * layer.widths.stream)
    behind = layer.behind()
    # A row of the causal mask for each query, but of packed rows, whose examples are attended to one by one.
    has_mask = work.segments is None or work.masked
    kept += behind.attention(
        queries,
        rows,
        work.last_pairs * has_mask,
        heads=decoder.heads,
        key_value_heads=decoder.key_value_heads,
        head_width=decoder.head_width,
    )
    kept += behind.active * (2 * queries * decoder.head_width * layer.widths.stream + queries)
    return kept + behind.linears(work.last_tokens, inner, (width,))


def _behind_attention(
    decoder: DecoderShape, layer: Operations, rows: int, learning: Learning, *, has_experts: bool
) -> int:
    kept = layer.rms_norm(rows, decoder.width)
    if not has_experts:
        return kept + layer.gated(rows, decoder.width, decoder.dense_inner)
    kept += _experts(decoder, layer, rows, learning)
    return kept + layer.gated(rows, decoder.width, decoder.shared_inner)


def _experts(decoder: DecoderShape, layer: Operations, rows: int, learning: Learning) -> int:
    """Router and routed experts, which keep their inputs and their first product."""
    if not layer.active:
        return 0
    widths, width, inner, rank = layer.widths, decoder.width, decoder.expert_inner, learning.expert_rank
    chosen = rows * decoder.chosen
    kept = rows * decoder.experts * FLOAT + chosen * (INDEX + FLOAT) + chosen * 2 * inner * widths.compute
    if widths.compute < FLOAT:
        kept += rows * width * widths.compute
    # The router computes in fp32.
    if layer.learns and widths.casts:
        kept += rows * width * FLOAT
    kept += (widths.stream < FLOAT) * decoder.experts * width * FLOAT
    # Second matrices of adapters lie in another order than they are multiplied in.
    kept += decoder.experts * rank * (2 * inner + width) * widths.compute
    return kept + widths.casts_adapters * decoder.experts * rank * (width + inner) * widths.compute


def embeddings(decoder: DecoderShape, work: Work, learning: Learning, widths: Widths) -> int:
    """Bytes kept before the first layer of the decoder: ids, the places of images, rotary tables."""
    ids = work.tokens * INDEX * learning.decoder + work.tokens * learning.reaches_embeddings
    return ids + 2 * work.positions * decoder.head_width * widths.stream


def head(decoder: DecoderShape, work: Work, learning: Learning, widths: Widths) -> int:
    """Bytes that the last norm, the head and the loss keep."""
    layer = Operations(widths=widths, learns=learning.decoder, rank=0)
    kept = layer.rms_norm(work.last_tokens, decoder.width)
    # Which positions are supervised.
    kept += work.tokens * (work.most_supervised is None)
    return kept + (work.supervised + learning.decoder * decoder.vocabulary) * decoder.width * FLOAT
