"""Bytes that stand beside what is kept, for a moment: logits of a chunk, gradients of a layer's activations, scores."""

from collections.abc import Iterator

from ocrtune.models.head_loss import chunk_rows
from ocrtune.models.relative_attention import BLOCK_SCORES
from ocrtune.planning.operations import FLOAT, Widths
from ocrtune.planning.shapes import DecoderShape, Learning, ModelShape, SamShape, Work
from ocrtune.planning.vision_activations import chunks, projector, view_layers

_PIXEL_CHANNELS = 3


def pixel_values(work: Work) -> int:
    """Numbers that the views of a forward hold."""
    return sum(_PIXEL_CHANNELS * side_px**2 * count for side_px, count in work.views)


def loss_forward(decoder: DecoderShape, work: Work, widths: Widths) -> int:
    """The loss: normed outputs; logits of a chunk of positions, their logarithms, which become their gradient."""
    rows = chunk_rows(work.supervised, decoder.vocabulary)
    chunk = rows * (decoder.vocabulary * (widths.compute + FLOAT) + decoder.width * widths.compute)
    return chunk + work.supervised * decoder.width * widths.stream


def layer_backward(
    decoder: DecoderShape, rows: int, learning: Learning, widths: Widths, *, has_experts: bool, grouped: bool
) -> int:
    """Gradients of activations that stand beside each other in the backward of one layer of the decoder.

    Args:
        decoder: Its sizes.
        rows: Positions that its MLP computes.
        learning: What gets gradients.
        widths: Bytes of a number.
        has_experts: The layer has routed experts.
        grouped: All experts are computed at once, not one after another.
    """
    streams = 2 * rows * decoder.width * widths.stream
    if not has_experts:
        return streams + 2 * rows * decoder.dense_inner * widths.compute
    # Shared experts come first; when they are through, nothing is left of their factors.
    factors = 3 * rows * decoder.shared_inner * widths.compute
    shared = streams + 2 * rows * decoder.shared_inner * widths.compute
    routed = streams + rows * decoder.width * (FLOAT + widths.compute * (widths.compute < FLOAT))
    routed += _experts_backward(decoder, rows, learning, widths, grouped=grouped)
    return max(shared, routed - factors)


def _experts_backward(
    decoder: DecoderShape, rows: int, learning: Learning, widths: Widths, *, grouped: bool
) -> int:
    """Of all experts at once or of one: its rows, what comes for them and what goes on, and the factors of its MLP."""
    width, inner = decoder.width, decoder.expert_inner
    experts = decoder.experts if grouped else 1
    chosen = -(-rows * decoder.chosen * experts // decoder.experts)
    # Master weights in the dtype of products, and their gradients before they are in that of the weights.
    matrices = 3 * experts * width * inner * widths.compute * widths.casts
    return chosen * (3 * width + 6 * inner) * widths.compute + matrices * (1 + learning.decoder)


def vision_forwards(
    shape: ModelShape, work: Work, learning: Learning, widths: Widths
) -> Iterator[tuple[int, int]]:
    """(bytes kept, most bytes of a layer's backward) of the forwards of the vision encoders, like ones together."""
    for chunk in chunks(shape, work):
        rows = chunk.count * shape.encoder.queries(chunk.features)
        kept = projector(shape, rows, learning, widths)
        # Features go on to the decoder.
        kept += rows * shape.decoder.width * widths.stream
        moment = 0
        if learning.vision_runs_backward:
            recomputes = "vision" in learning.checkpointed
            for saved, inputs in view_layers(shape, chunk.side_px, chunk.count, learning, widths):
                kept += inputs if recomputes and inputs else saved
                moment = max(moment, saved if recomputes and inputs else 0)
            moment += _sam_backward(shape.sam, chunk.side_px, chunk.count, widths)
        yield kept * chunk.times, moment


def most_of_vision(shape: ModelShape, work: Work, learning: Learning, widths: Widths) -> int:
    """Most bytes of a forward of the vision encoders, with those kept of earlier ones and all views of the side."""
    most = earlier = 0
    learns, counts = learning.vision_runs_backward, dict(work.views)
    forwards = vision_forwards(shape, work, learning, widths)
    for chunk, (kept, _) in zip(chunks(shape, work), forwards, strict=True):
        before_last = kept * (chunk.times - (not learns)) // chunk.times
        moment = _sam_forward(shape.sam, chunk.side_px, chunk.count, widths)
        # Where patches learn, these are among what is kept.
        views = _PIXEL_CHANNELS * chunk.side_px**2 * counts[chunk.side_px] * widths.stream
        most = max(most, earlier + before_last + moment + views * (not learning.vision))
        earlier += kept
    return most


def _sam_forward(sam: SamShape, side_px: int, count: int, widths: Widths) -> int:
    """The most of a layer of SAM: attention, or the MLP, beside the patches and their normed ones.

    Queries, keys and values are there in rows and in windows, what was attended to twice, and terms of rows and columns.
    """
    patches = count * sam.side(side_px) ** 2
    mlp = 2 * patches * sam.inner * widths.compute
    attention = (
        scores + rows * (8 * sam.width + 2 * sam.heads * edge) * widths.compute
        for rows, edge, scores in _attended(sam, side_px, count)
    )
    return max(mlp, *attention) + 2 * patches * sam.width * widths.compute


def _sam_backward(sam: SamShape, side_px: int, count: int, widths: Widths) -> int:
    """Two blocks of scores, and gradients as large as queries, keys, values and what they give."""
    return max(
        2 * scores + 5 * rows * sam.width * widths.compute
        for rows, _, scores in _attended(sam, side_px, count)
    )


def _attended(sam: SamShape, side_px: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Of windowed and of global layers (positions of all windows, of a window's side, bytes of a block of scores)."""
    for windowed in set(sam.layers):
        side = sam.padded_side(side_px) if windowed else sam.side(side_px)
        edge, rows = sam.window if windowed else side, count * side**2
        yield rows, edge, min(BLOCK_SCORES, rows * sam.heads * edge**2) * FLOAT
