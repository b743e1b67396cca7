"""Floating-point operations of a training step, product by product.

An addition and a multiplication are two operations. Attention is counted as the full product of queries and keys, as
torch's FlopCounter counts it: a kernel that leaves out what the mask hides computes about half of that. What is no
product of matrices (norms, activations, softmax, optimizer) is not counted; it costs bandwidth, not arithmetic.

Source: `torch.utils.flop_counter.FlopCounterMode`, compared for all families in `tests/planning/test_flops.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ocrtune.planning.shapes import DecoderShape, EncoderShape, Learning, ModelShape, SamShape, Work

Part = Literal["sam", "encoder", "projector", "decoder", "experts", "head"]

PARTS: tuple[Part, ...] = ("sam", "encoder", "projector", "decoder", "experts", "head")
VISION_PARTS = frozenset({"sam", "encoder"})

_PIXEL_CHANNELS = 3
_KERNEL = 9
"""Weights of a 3×3 convolution for each pair of channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product of matrices, and how often a step computes it.

    Attributes:
        part: What it belongs to.
        name: Of the layer that computes it.
        forward: Operations of the forward.
        backward: Operations of the backward.
        recomputed: Operations of computing it once more in the backward, under checkpointing.
    """

    part: Part
    name: str
    forward: int
    backward: int
    recomputed: int = 0

    @property
    def total(self) -> int:
        """Operations of a step."""
        return self.forward + self.backward + self.recomputed


@dataclass(frozen=True, slots=True)
class StepFlops:
    """The products of a step.

    Attributes:
        products: In the order of the forward.
    """

    products: tuple[Product, ...]

    @property
    def forward(self) -> int:
        """Operations of the forward."""
        return sum(product.forward for product in self.products)

    @property
    def backward(self) -> int:
        """Operations of the backward, recomputation included."""
        return sum(product.backward + product.recomputed for product in self.products)

    @property
    def total(self) -> int:
        """Operations of forward and backward."""
        return self.forward + self.backward

    def of(self, parts: Iterable[Part]) -> int:
        """Operations of some parts."""
        wanted = set(parts)
        return sum(product.total for product in self.products if product.part in wanted)

    def by_part(self) -> dict[Part, int]:
        """Operations of each part."""
        return {part: self.of([part]) for part in PARTS}


def step_flops(shape: ModelShape, work: Work, learning: Learning) -> StepFlops:
    """Operations of one forward and backward.

    Args:
        shape: Of the model.
        work: Of the forward.
        learning: What gets gradients, and what is recomputed.
    """
    vision = [product for side_px, count in work.views for product in _view(shape, learning, side_px, count)]
    return StepFlops((*vision, *_text(shape.decoder, work, learning)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where products of a layer are computed.

    Attributes:
        part: Of the model.
        learns: Weights get gradients.
        rank: Of adapters on the linear layers.
        flows: The layer's inputs get gradients.
    """

    part: Part
    learns: bool
    rank: int = 0
    flows: bool = True

    def linear(
        self, name: str, rows: int, inputs: int, outputs: int, *, adapted: bool = True
    ) -> Iterator[Product]:
        """A linear layer, and its adapter; the adapter's first matrix meets the same inputs."""
        flops = 2 * rows * inputs * outputs
        yield self.product(name, flops, weights=self.learns)
        if self.rank and adapted:
            inwards, outwards = 2 * rows * inputs * self.rank, 2 * rows * self.rank * outputs
            yield self.product(f"{name} adapter", inwards, weights=True)
            yield Product(part=self.part, name=f"{name} adapter", forward=outwards, backward=2 * outwards)

    def product(self, name: str, flops: int, *, weights: bool) -> Product:
        """One with gradients of inputs where they flow and of weights where these learn."""
        return Product(part=self.part, name=name, forward=flops, backward=flops * (self.flows + weights))

    def attention(self, pairs: int, heads: int, width: int) -> Iterator[Product]:
        """Both products of attention for so many pairs of a query and a key; the backward computes the first once more."""
        one = 2 * pairs * heads * width
        flows = self.flows or self.learns or self.rank > 0
        backward = 5 * one if flows else 0
        yield Product(part=self.part, name="attention", forward=2 * one, backward=backward)


def _recomputed(products: Sequence[Product]) -> Iterator[Product]:
    """Products of a layer under checkpointing; the last is not computed again, nothing behind it needs it."""
    for product in products[:-1]:
        yield replace(product, recomputed=product.forward)
    yield products[-1]


def _layer(products: Iterable[Product], *, checkpointed: bool) -> Iterator[Product]:
    listed = list(products)
    yield from _recomputed(listed) if checkpointed else listed


def _view(shape: ModelShape, learning: Learning, side_px: int, count: int) -> Iterator[Product]:
    yield from _sam(shape.sam, learning, side_px, count)
    features = shape.sam.features(side_px)
    yield from _encoder(shape.encoder, learning, features, count)
    place = _Place(part="projector", learns=learning.projector, flows=learning.vision_runs_backward)
    yield from place.linear("projector", count * shape.encoder.queries(features), *shape.projector)


def _sam(sam: SamShape, learning: Learning, side_px: int, count: int) -> Iterator[Product]:
    place = _Place(part="sam", learns=learning.vision, rank=learning.vision_rank, flows=False)
    patches = count * sam.side(side_px) ** 2
    pixels = _PIXEL_CHANNELS * sam.patch_px**2
    yield from place.linear("patches", patches, pixels, sam.width, adapted=False)
    for index, windowed in enumerate(sam.layers):
        # The first layer's inputs get gradients only where the patches before it learn.
        flows = learning.vision or (index > 0 and learning.vision_rank > 0)
        here = replace(place, flows=flows)
        products = _sam_layer(sam, here, side_px, count, windowed=windowed)
        yield from _layer(
            products, checkpointed="vision" in learning.checkpointed and learning.vision_runs_backward
        )
    yield from _neck(sam, replace(place, flows=learning.vision_runs_backward), side_px, count)


def _sam_layer(
    sam: SamShape, place: _Place, side_px: int, count: int, *, windowed: bool
) -> Iterator[Product]:
    side = sam.padded_side(side_px) if windowed else sam.side(side_px)
    edge = sam.window if windowed else side
    windows, patches = count * (side // edge) ** 2, count * sam.side(side_px) ** 2
    behind = replace(place, flows=place.flows or place.learns or place.rank > 0)
    head_width = sam.width // sam.heads
    # What pads windows takes part in attention, but its queries, keys and values are the same everywhere.
    yield from place.linear("qkv", patches, sam.width, 3 * sam.width)
    if side > sam.side(side_px):
        yield from replace(place, flows=False).linear("qkv", 1, sam.width, 3 * sam.width)
    for axis in ("rows", "columns"):
        flops = 2 * windows * sam.heads * edge**3 * head_width
        yield behind.product(f"positions of {axis}", flops, weights=place.learns)
    yield from behind.attention(windows * edge**4, sam.heads, head_width)
    yield from behind.linear("proj", patches, sam.width, sam.width)
    yield from behind.linear("lin1", patches, sam.width, sam.inner)
    yield from behind.linear("lin2", patches, sam.inner, sam.width)


def _neck(sam: SamShape, place: _Place, side_px: int, count: int) -> Iterator[Product]:
    side = sam.side(side_px)
    halved = -(-side // 2)
    quartered = -(-halved // 2)
    steps = (
        (side, sam.width, sam.neck),
        (side, sam.neck * _KERNEL, sam.neck),
        (halved, sam.neck * _KERNEL, sam.middle),
        (quartered, sam.middle * _KERNEL, sam.out),
    )
    for edge, inputs, outputs in steps:
        yield from place.linear("neck", count * edge**2, inputs, outputs, adapted=False)


def _encoder(encoder: EncoderShape, learning: Learning, features: int, count: int) -> Iterator[Product]:
    place = _Place(
        part="encoder",
        learns=learning.vision,
        rank=learning.vision_rank,
        flows=learning.vision_runs_backward,
    )
    positions = encoder.positions(features)
    checkpointed = "vision" in learning.checkpointed and learning.vision_runs_backward
    for _ in range(encoder.layers):
        yield from _layer(_encoder_layer(encoder, place, positions, count), checkpointed=checkpointed)


def _encoder_layer(encoder: EncoderShape, place: _Place, positions: int, count: int) -> Iterator[Product]:
    rows, head_width = count * positions, encoder.width // encoder.heads
    outputs = (encoder.heads * head_width, encoder.key_value_heads * head_width)
    for name, size in zip("qkv", (outputs[0], outputs[1], outputs[1]), strict=True):
        yield from place.linear(name, rows, encoder.width, size)
    yield from place.attention(count * positions**2, encoder.heads, head_width)
    yield from place.linear("out", rows, encoder.width, encoder.width)
    if encoder.has_queries:
        yield from _gated(place, rows, encoder.width, encoder.inner)
    else:
        yield from place.linear("fc1", rows, encoder.width, encoder.inner)
        yield from place.linear("fc2", rows, encoder.inner, encoder.width)


def _gated(place: _Place, rows: int, width: int, inner: int) -> Iterator[Product]:
    for name in ("gate", "up"):
        yield from place.linear(name, rows, width, inner)
    yield from place.linear("down", rows, inner, width)


def _text(decoder: DecoderShape, work: Work, learning: Learning) -> Iterator[Product]:
    flows = learning.reaches_embeddings
    runs_backward = flows or learning.decoder_rank > 0
    for index, has_experts in enumerate(decoder.layers):
        # The first layer's inputs get gradients only where something before it learns.
        place = _Place(
            part="decoder",
            learns=learning.decoder,
            rank=learning.decoder_rank,
            flows=flows or (index > 0 and runs_backward),
        )
        is_last = index == len(decoder.layers) - 1
        products = _decoder_layer(decoder, place, work, learning, has_experts=has_experts, is_last=is_last)
        yield from _layer(products, checkpointed="decoder" in learning.checkpointed and runs_backward)
    flops = 2 * work.supervised * decoder.width * decoder.vocabulary
    yield _head(flops, flows=runs_backward, learns=learning.decoder)


def _decoder_layer(
    decoder: DecoderShape, place: _Place, work: Work, learning: Learning, *, has_experts: bool, is_last: bool
) -> Iterator[Product]:
    width, inner_width = decoder.width, decoder.heads * decoder.head_width
    queries, pairs, rows = (
        (work.last_queries, work.last_pairs, work.last_tokens)
        if is_last
        else (work.tokens, work.pairs, work.tokens)
    )
    behind = replace(place, flows=place.flows or place.learns or place.rank > 0)
    yield from place.linear("q", queries, width, inner_width)
    for name in ("k", "v"):
        yield from place.linear(name, work.tokens, width, decoder.key_value_heads * decoder.head_width)
    yield from behind.attention(pairs, decoder.heads, decoder.head_width)
    yield from behind.linear("o", rows, inner_width, width)
    if not has_experts:
        yield from _gated(behind, rows, width, decoder.dense_inner)
        return
    yield from behind.linear("router", rows, width, decoder.experts, adapted=False)
    yield from _experts(decoder, behind, rows, learning.expert_rank)
    yield from _gated(behind, rows, width, decoder.shared_inner)


def _experts(decoder: DecoderShape, place: _Place, tokens: int, rank: int) -> Iterator[Product]:
    """Routed experts; adapters of theirs are applied to rows, and the gradient of the rows is always computed."""
    here = replace(place, part="experts", rank=0, flows=True)
    rows = tokens * decoder.chosen
    sizes = (
        ("experts in", decoder.width, 2 * decoder.expert_inner),
        ("experts out", decoder.expert_inner, decoder.width),
    )
    for name, inputs, outputs in sizes:
        if rank:
            inwards, outwards = 2 * rows * inputs * rank, 2 * rows * rank * outputs
            # The backward computes what the first matrix gives once more.
            yield Product(part="experts", name=f"{name} adapter", forward=inwards, backward=3 * inwards)
            yield Product(part="experts", name=f"{name} adapter", forward=outwards, backward=2 * outwards)
        yield from here.linear(name, rows, inputs, outputs)


def _head(flops: int, *, flows: bool, learns: bool) -> Product:
    """The head and its loss: gradients are computed with the loss, in the forward."""
    return Product(part="head", name="head", forward=flops * (1 + flows + learns), backward=0)
