"""Bytes that autograd keeps from the forward to the backward, layer by layer.

Counted from what each operation saves: a linear layer its inputs where its weights or an adapter learn, a norm its
inputs in fp32, attention queries, keys, values and outputs, a gated product all of its factors.

Source: `torch.autograd.graph.saved_tensors_hooks` on small models of all families, compared in
`tests/planning/test_memory.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ocrtune.models.precision import TORCH_DTYPES, PrecisionPolicy
from ocrtune.planning.shapes import DecoderShape, EncoderShape, Learning, ModelShape, SamShape, Work

FLOAT = 4
_INDEX = 8
_PIXEL_CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Bytes of a number.

    Attributes:
        stream: In the weights, and in what goes from layer to layer.
        compute: In products of matrices.
    """

    stream: int
    compute: int

    @classmethod
    def of(cls, policy: PrecisionPolicy) -> "Widths":
        """Those a precision policy leads to."""
        stream = TORCH_DTYPES[policy.base_dtype].itemsize
        return cls(stream=stream, compute=policy.torch_compute.itemsize)

    @property
    def casts(self) -> bool:
        """Autocast makes a shorter copy of whatever enters a product."""
        return self.compute < self.stream

    @property
    def casts_adapters(self) -> bool:
        """Inputs of an adapter are copied, because its matrices are in fp32."""
        return self.compute < FLOAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one layer keeps.

    Attributes:
        part: `vision` or `decoder`.
        kept: Bytes from the forward to the backward.
        recomputed: Bytes that are there only while the layer's backward runs, under checkpointing.
        work: Most bytes beside them while the layer's backward runs.
        gradients: Bytes of the gradients of its weights.
    """

    part: str
    kept: int
    recomputed: int = 0
    work: int = 0
    gradients: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Bytes of a layer's operations.

    Attributes:
        widths: Bytes of a number.
        learns: Weights get gradients.
        rank: Of adapters.
        flows: The layer's inputs get gradients.
    """

    widths: Widths
    learns: bool
    rank: int
    flows: bool = True

    @property
    def active(self) -> bool:
        """Something of it runs backward."""
        return self.flows or self.learns or self.rank > 0

    def behind(self) -> "_Layer":
        """The same behind the first thing that learns."""
        return _Layer(widths=self.widths, learns=self.learns, rank=self.rank, flows=self.active)

    def rms_norm(self, rows: int, width: int) -> int:
        """Inputs and their scale in fp32, and the normalised ones where the weights learn."""
        if not (self.flows or self.learns):
            return 0
        return rows * (width * FLOAT + FLOAT + self.learns * width * self.widths.stream)

    def layer_norm(self, rows: int, width: int) -> int:
        """Inputs, means and deviations in fp32."""
        return rows * (width * FLOAT + 2 * FLOAT) if self.flows or self.learns else 0

    def linears(self, rows: int, inputs: int, outputs: tuple[int, ...], *, kept: bool = False) -> int:
        """Linear layers that share their inputs, with their adapters.

        Args:
            rows: Of the inputs.
            inputs: Width of them.
            outputs: Width of each layer.
            kept: The inputs are kept anyway, in the dtype of products.
        """
        widths, count = self.widths, len(outputs)
        size = rows * inputs * widths.compute
        total = 0
        if self.learns:
            total += 0 if kept else size * count if widths.casts else rows * inputs * widths.stream
        elif self.rank:
            total += size * count if widths.casts_adapters else 0 if kept else size
        if self.rank:
            total += count * rows * self.rank * widths.compute
            if widths.casts_adapters:
                total += self.rank * (count * inputs * self.flows + sum(outputs)) * widths.compute
        if widths.casts and self.flows:
            total += inputs * sum(outputs) * widths.compute
        return total

    def attention(self, rows: int, positions: int, heads: int, key_value_heads: int, head_width: int) -> int:
        """Queries, keys, values, outputs and their normalisers; `positions` of a mask, 0 for none."""
        if not self.active:
            return 0
        kept = (2 * heads + 2 * key_value_heads) * head_width * self.widths.compute + heads * FLOAT
        return rows * (kept + positions * self.widths.compute)

    def gated(self, rows: int, width: int, inner: int) -> int:
        """A gated MLP: both factors, the activation, and the product where something behind it learns."""
        if not self.active:
            return 0
        factors = 3 * rows * inner * self.widths.compute
        return self.linears(rows, width, (inner, inner)) + factors + self.linears(rows, inner, (width,))


def decoder_layer(
    decoder: DecoderShape, work: Work, learning: Learning, widths: Widths, *, first: bool, has_experts: bool
) -> int:
    """Bytes that a layer of the decoder keeps, without checkpointing."""
    layer = _Layer(
        widths=widths,
        learns=learning.decoder,
        rank=learning.decoder_rank,
        flows=learning.reaches_embeddings or not first,
    )
    rows, width = work.tokens, decoder.width
    outs = tuple(heads * decoder.head_width for heads in (decoder.heads, *(decoder.key_value_heads,) * 2))
    kept = layer.rms_norm(rows, width) + layer.linears(rows, width, outs)
    layer = layer.behind()
    mask = work.positions if work.masked else 0
    kept += layer.attention(rows, mask, decoder.heads, decoder.key_value_heads, decoder.head_width)
    kept += layer.linears(rows, outs[0], (width,), kept=True) + layer.rms_norm(rows, width)
    if not has_experts:
        return kept + layer.gated(rows, width, decoder.dense_inner)
    return kept + _experts(decoder, layer, rows, learning) + layer.gated(rows, width, decoder.shared_inner)


def _experts(decoder: DecoderShape, layer: _Layer, rows: int, learning: Learning) -> int:
    """Router and routed experts, which keep their inputs and their first product."""
    if not layer.active:
        return 0
    widths, width, inner, rank = layer.widths, decoder.width, decoder.expert_inner, learning.expert_rank
    chosen = rows * decoder.chosen
    kept = rows * decoder.experts * FLOAT + chosen * (_INDEX + FLOAT) + chosen * 2 * inner * widths.compute
    if widths.compute < FLOAT:
        kept += rows * width * widths.compute
    if layer.learns and widths.casts:
        # The router computes in fp32.
        kept += rows * width * FLOAT
    # Second matrices of adapters lie in another order than they are multiplied in.
    kept += decoder.experts * rank * (2 * inner + width) * widths.compute
    return kept + widths.casts_adapters * decoder.experts * rank * (width + inner) * widths.compute


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
    layer = _Layer(
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
    kept += 2 * edge**2 * (width // sam.heads) * widths.compute + 2 * edge**2 * _INDEX * layer.learns
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
    layer = _Layer(widths=widths, learns=learning.vision, rank=learning.vision_rank)
    rows, width = count * positions, encoder.width
    head_width = width // encoder.heads
    outs = tuple(heads * head_width for heads in (encoder.heads, *(encoder.key_value_heads,) * 2))
    mask = positions if encoder.has_queries else 0
    norm = layer.rms_norm if encoder.has_queries else layer.layer_norm
    kept = 2 * norm(rows, width) + layer.linears(rows, width, outs)
    kept += layer.attention(rows, mask, encoder.heads, encoder.key_value_heads, head_width)
    kept += layer.linears(rows, width, (width,), kept=True)
    if encoder.has_queries:
        return kept + layer.gated(rows, width, encoder.inner)
    kept += layer.linears(rows, width, (encoder.inner,)) + 2 * rows * encoder.inner * widths.compute
    return kept + layer.linears(rows, encoder.inner, (width,))


def encoder_ends(
    encoder: EncoderShape, positions: int, count: int, learning: Learning, widths: Widths
) -> int:
    """Bytes that the second encoder keeps beside its layers."""
    layer = _Layer(widths=widths, learns=learning.vision, rank=learning.vision_rank)
    if encoder.has_queries:
        rotary = 2 * positions * (encoder.width // encoder.heads) * widths.stream
        return layer.rms_norm(count * positions, encoder.width) + rotary
    return layer.layer_norm(count * positions, encoder.width)


def projector(shape: ModelShape, rows: int, learning: Learning, widths: Widths) -> int:
    """Bytes that the projector keeps for so many vision features."""
    layer = _Layer(widths=widths, learns=learning.projector, rank=0, flows=learning.vision_runs_backward)
    return layer.linears(rows, shape.projector[0], (shape.projector[1],))


def embeddings(decoder: DecoderShape, work: Work, learning: Learning, widths: Widths) -> int:
    """Bytes kept before the first layer of the decoder: ids, the places of images, rotary tables."""
    ids = work.tokens * _INDEX * learning.decoder + work.tokens * learning.reaches_embeddings
    return ids + 2 * work.positions * decoder.head_width * widths.stream


def head(decoder: DecoderShape, work: Work, learning: Learning, widths: Widths) -> int:
    """Bytes that the last norm, the head and the loss keep."""
    layer = _Layer(widths=widths, learns=learning.decoder, rank=0)
    kept = layer.rms_norm(work.tokens, decoder.width) + work.tokens
    return kept + (work.supervised + learning.decoder * decoder.vocabulary) * decoder.width * FLOAT


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
        most = min(work.chunk_views or count, count)
        features = shape.sam.features(side_px)
        yield Chunk(side_px=side_px, count=most, features=features, times=count // most)
        if count % most:
            yield Chunk(side_px=side_px, count=count % most, features=features, times=1)


def saved_bytes(shape: ModelShape, work: Work, learning: Learning, widths: Widths) -> int:
    """All bytes kept from forward to backward, without checkpointing."""
    decoder = shape.decoder
    total = embeddings(decoder, work, learning, widths) + head(decoder, work, learning, widths)
    total += sum(
        decoder_layer(decoder, work, learning, widths, first=index == 0, has_experts=has_experts)
        for index, has_experts in enumerate(decoder.layers)
    )
    for chunk in chunks(shape, work):
        rows = chunk.count * shape.encoder.queries(chunk.features)
        total += chunk.times * projector(shape, rows, learning, widths)
        if learning.vision_runs_backward:
            kept = sum(kept for kept, _ in view_layers(shape, chunk.side_px, chunk.count, learning, widths))
            total += chunk.times * kept
    return total


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
