"""Bytes that the vision encoders and the projector keep from the forward to the backward."""

from collections.abc import Iterator
from dataclasses import dataclass

from ocrtune.planning.operations import FLOAT, INDEX, Operations, Widths
from ocrtune.planning.shapes import EncoderShape, Learning, ModelShape, SamShape, Work

_PIXEL_CHANNELS = 3


def sam_layer(
    sam: SamShape,
    side_px: int,
    count: int,
    learning: Learning,
    widths: Widths,
    *,
    first: bool,
    windowed: bool,
) -> int:
    """Bytes that a layer of SAM keeps for `count` views."""
    layer = Operations(
        widths=widths,
        learns=learning.vision,
        rank=learning.vision_rank,
        flows=learning.vision or (learning.vision_rank > 0 and not first),
    )
    side = sam.padded_side(side_px) if windowed else sam.side(side_px)
    edge = sam.window if windowed else side
    rows, patches, width = count * side**2, count * sam.side(side_px) ** 2, sam.width
    kept = layer.layer_norm(patches, width) + layer.linears(patches, width, (3 * width,))
    layer = layer.behind()
    if not layer.active:
        return 0
    # Queries, keys and values by window, queries once more for their positions, what was attended to, and the terms of
    # rows and columns; no scores.
    kept += 5 * rows * width * widths.compute + 2 * rows * sam.heads * edge * widths.compute
    kept += 2 * edge**2 * (width // sam.heads) * widths.compute + 2 * edge**2 * INDEX * layer.learns
    kept += layer.linears(patches, width, (width,)) + layer.layer_norm(patches, width)
    kept += layer.linears(patches, width, (sam.inner,)) + patches * sam.inner * widths.compute
    return kept + layer.linears(patches, sam.inner, (width,))


def sam_ends(sam: SamShape, side_px: int, count: int, learning: Learning, widths: Widths) -> int:
    """Bytes that patches and neck of SAM keep for `count` views."""
    patches = count * sam.side(side_px) ** 2
    kept = 2 * patches * (sam.neck + 2) * FLOAT
    if learning.vision:
        pixels = count * _PIXEL_CHANNELS * side_px**2
        kept += (pixels + patches * (sam.width + 2 * sam.neck) + patches // 4 * sam.middle) * widths.compute
    return kept


def encoder_layer(
    encoder: EncoderShape, positions: int, count: int, learning: Learning, widths: Widths
) -> int:
    """Bytes that a layer of the second encoder keeps for `count` views."""
    layer = Operations(widths=widths, learns=learning.vision, rank=learning.vision_rank)
    rows, width = count * positions, encoder.width
    head_width = width // encoder.heads
    outs = tuple(heads * head_width for heads in (encoder.heads, *(encoder.key_value_heads,) * 2))
    mask = positions if encoder.has_queries else 0
    norm = layer.rms_norm if encoder.has_queries else layer.layer_norm
    kept = 2 * norm(rows, width) + layer.linears(rows, width, outs)
    kept += layer.attention(
        rows,
        rows,
        rows * mask,
        heads=encoder.heads,
        key_value_heads=encoder.key_value_heads,
        head_width=head_width,
    )
    kept += layer.linears(rows, width, (width,), kept=True)
    if encoder.has_queries:
        return kept + layer.gated(rows, width, encoder.inner)
    kept += layer.linears(rows, width, (encoder.inner,)) + 2 * rows * encoder.inner * widths.compute
    return kept + layer.linears(rows, encoder.inner, (width,))


def encoder_ends(
    encoder: EncoderShape, positions: int, count: int, learning: Learning, widths: Widths
) -> int:
    """Bytes that the second encoder keeps beside its layers."""
    layer = Operations(widths=widths, learns=learning.vision, rank=learning.vision_rank)
    if encoder.has_queries:
        rotary = 2 * positions * (encoder.width // encoder.heads) * widths.stream
        return layer.rms_norm(count * positions, encoder.width) + rotary
    return layer.layer_norm(count * positions, encoder.width)


def projector(shape: ModelShape, rows: int, learning: Learning, widths: Widths) -> int:
    """Bytes that the projector keeps for so many vision features."""
    layer = Operations(widths=widths, learns=learning.projector, rank=0, flows=learning.vision_runs_backward)
    return layer.linears(rows, shape.projector[0], (shape.projector[1],))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Views that go through the vision encoders together.

    Attributes:
        side_px: Of each.
        count: Views of one forward.
        features: Vision features of a view.
        times: Forwards that are like this one.
    """

    side_px: int
    count: int
    features: int
    times: int


def chunks(shape: ModelShape, work: Work) -> Iterator[Chunk]:
    """The forwards of the vision encoders, like ones together."""
    for side_px, count in work.views:
        most = min(work.views_at_once(side_px), count)
        features = shape.sam.features(side_px)
        yield Chunk(side_px=side_px, count=most, features=features, times=count // most)
        if count % most:
            yield Chunk(side_px=side_px, count=count % most, features=features, times=1)


def view_layers(
    shape: ModelShape, side_px: int, count: int, learning: Learning, widths: Widths
) -> Iterator[tuple[int, int]]:
    """(bytes kept, bytes of its inputs) of each layer; the latter 0 for what is never recomputed."""
    features = shape.sam.features(side_px)
    positions = shape.encoder.positions(features)
    yield sam_ends(shape.sam, side_px, count, learning, widths), 0
    patches = count * shape.sam.side(side_px) ** 2 * shape.sam.width * widths.stream
    for index, windowed in enumerate(shape.sam.layers):
        kept = sam_layer(shape.sam, side_px, count, learning, widths, first=index == 0, windowed=windowed)
        yield kept, patches
    inputs = count * positions * shape.encoder.width * widths.stream
    for _ in range(shape.encoder.layers):
        yield encoder_layer(shape.encoder, positions, count, learning, widths), inputs
    yield encoder_ends(shape.encoder, positions, count, learning, widths), 0
