"""Most memory of a training step, from a model of bytes.

The step is walked through as it runs: the vision encoders, the loss with everything kept for the backward, then each
layer's backward, in which what was kept goes and gradients come. The highest of these places is the peak.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ocrtune.models.head_loss import chunk_rows
from ocrtune.models.relative_attention import BLOCK_SCORES
from ocrtune.planning import activations
from ocrtune.planning.activations import FLOAT, Widths
from ocrtune.planning.shapes import Learning, ModelShape, Work
from ocrtune.planning.weights import QUANTIZED_BYTES, Weights

_MOMENTS_BYTES = {"float32": 8.0, "int8": 2.04}
"""Both of AdamW for each number that learns; blocks of 8-bit ones have a scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Memory at the place of a step where it is highest, by what holds it.

    Attributes:
        weights: Of the model and its adapters.
        gradients: That are there at that place.
        optimizer: AdamW's moments.
        decoder: Activations that the decoder keeps, and what its backward needs beside them.
        logits: Of the head and the loss.
        vision: Of the vision encoders, and pixels.
        overhead: Of libraries, and what the allocator cannot use.
        place: Where that is: `vision`, `loss`, `backward` or `update`.
    """

    weights: int
    gradients: int
    optimizer: int
    decoder: int
    logits: int
    vision: int
    overhead: int
    place: str

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.by_part().values())

    def by_part(self) -> dict[str, int]:
        """Bytes by what holds them."""
        return {name: size for name, size in asdict(self).items() if name != "place"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What memory depends on beside the model and the work.

    Attributes:
        learning: What gets gradients, and what is recomputed.
        widths: Bytes of a number.
        moments: Of AdamW: `float32` or `int8`.
        accumulates: Gradients of earlier forwards are there when a forward begins.
        batches: Batches whose pixels are there at once; the Trainer reads all of an optimizer step before the first.
        overhead_bytes: Of libraries, whatever runs.
        overhead_share: Of the rest, lost to the allocator.
    """

    learning: Learning
    widths: Widths
    moments: str = "float32"
    accumulates: bool = False
    batches: int = 1
    overhead_bytes: int = 0
    overhead_share: float = 0.0


def forecast_memory(shape: ModelShape, weights: Weights, work: Work, setting: Setting) -> Forecast:
    """The peak of a step after the first one, when moments are there.

    Args:
        shape: Of the model.
        weights: Of the model, with what learns.
        work: Of the largest forward.
        setting: Dtypes and what learns.
    """
    places = _places(shape, weights, work, setting)
    return max(places, key=lambda forecast: forecast.total)


def weight_bytes(weights: Weights, widths: Widths) -> int:
    """Bytes of all weights: those that learn in fp32, the others in the dtype of the base."""
    quantized = sum(group.quantized for group in weights.groups)
    plain = weights.frozen - quantized
    return round(plain * widths.stream + quantized * QUANTIZED_BYTES) + weights.learning * FLOAT


def gradient_bytes(weights: Weights) -> int:
    """Bytes of all gradients."""
    return weights.learning * FLOAT


def optimizer_bytes(weights: Weights, moments: str) -> int:
    """Bytes of AdamW's moments."""
    return round(weights.learning * _MOMENTS_BYTES[moments])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A layer of the decoder in the backward: what it keeps, what it needs for a moment, its gradients."""

    kept: int
    moment: int
    gradients: int


def _places(shape: ModelShape, weights: Weights, work: Work, setting: Setting) -> Iterator[Forecast]:
    widths, learning = setting.widths, setting.learning
    layers = _decoder_layers(shape, weights, work, setting)
    all_gradients = gradient_bytes(weights)
    earlier = all_gradients if setting.accumulates else 0
    # Where gradients are added up, the new one of a tensor stands beside the old one for a moment.
    added = weights.largest * FLOAT if setting.accumulates else 0
    views = sum(kept for kept, _ in _views(shape, work, setting))
    pixels = setting.batches * sum(3 * side_px**2 * count for side_px, count in work.views) * widths.stream
    ends = activations.embeddings(shape.decoder, work, learning, widths)
    kept = sum(layer.kept for layer in layers) + ends
    logits = activations.head(shape.decoder, work, learning, widths)

    def at(place: str, *, gradients: int, decoder: int, logits: int, vision: int) -> Forecast:
        sizes = {
            "weights": weight_bytes(weights, widths),
            "gradients": gradients,
            "optimizer": optimizer_bytes(weights, setting.moments),
            "decoder": decoder,
            "logits": logits,
            "vision": vision,
        }
        overhead = setting.overhead_bytes + round(setting.overhead_share * (decoder + logits + vision))
        return Forecast(**sizes, overhead=overhead, place=place)

    yield at(
        "vision",
        gradients=earlier,
        decoder=0,
        logits=0,
        vision=pixels + _most_of_vision(shape, work, setting),
    )
    # Logits of a chunk of positions, and their logarithms, which become their gradient.
    rows = chunk_rows(work.supervised, shape.decoder.vocabulary)
    chunk = rows * shape.decoder.vocabulary * (widths.compute + FLOAT)
    yield at("loss", gradients=earlier, decoder=kept, logits=logits + chunk, vision=pixels + views)
    gradients = 0 if setting.accumulates else weights.learning_of("head") * FLOAT
    for layer in reversed(layers):
        here = kept + layer.moment
        gradients += 0 if setting.accumulates else layer.gradients
        yield at(
            "backward", gradients=earlier + gradients + added, decoder=here, logits=0, vision=pixels + views
        )
        kept -= layer.kept
    if learning.vision_runs_backward:
        gradients += 0 if setting.accumulates else weights.learning_of("vision") * FLOAT
        moment = max((moment for _, moment in _views(shape, work, setting)), default=0)
        yield at(
            "backward",
            gradients=earlier + gradients + added,
            decoder=kept,
            logits=0,
            vision=pixels + views + moment,
        )
    yield at("update", gradients=all_gradients, decoder=0, logits=0, vision=pixels)


def _decoder_layers(shape: ModelShape, weights: Weights, work: Work, setting: Setting) -> list[_Layer]:
    decoder, learning, widths = shape.decoder, setting.learning, setting.widths
    layers = []
    for index, has_experts in enumerate(decoder.layers):
        saved = activations.decoder_layer(
            decoder, work, learning, widths, first=index == 0, has_experts=has_experts
        )
        recomputes = "decoder" in learning.checkpointed
        moment = _moment(shape, work, setting, has_experts=has_experts)
        layers.append(
            _Layer(
                kept=work.tokens * decoder.width * widths.stream if recomputes else saved,
                moment=moment + (saved if recomputes else 0),
                gradients=weights.learning_of(f"layer {index}") * FLOAT,
            )
        )
    return layers


def _moment(shape: ModelShape, work: Work, setting: Setting, *, has_experts: bool) -> int:
    """Gradients of activations that stand beside each other in the backward of one layer."""
    decoder, widths = shape.decoder, setting.widths
    if not has_experts:
        return work.tokens * (2 * decoder.dense_inner * widths.compute + 2 * decoder.width * widths.stream)
    # Three gradients of what the experts give stand beside each other while their order is restored; by then nothing
    # is left of the shared experts.
    shared = 3 * work.tokens * decoder.shared_inner * widths.compute
    return max(0, 3 * work.tokens * decoder.chosen * decoder.width * FLOAT - shared)


def _views(shape: ModelShape, work: Work, setting: Setting) -> Iterator[tuple[int, int]]:
    """(bytes kept, most bytes of a layer's backward) of the forwards of the vision encoders, like ones together."""
    learning, widths = setting.learning, setting.widths
    for chunk in activations.chunks(shape, work):
        rows = chunk.count * shape.encoder.queries(chunk.features)
        kept = activations.projector(shape, rows, learning, widths)
        # Features go on to the decoder.
        kept += rows * shape.decoder.width * widths.stream
        moment = 0
        if learning.vision_runs_backward:
            recomputes = "vision" in learning.checkpointed
            for saved, inputs in activations.view_layers(shape, chunk.side_px, chunk.count, learning, widths):
                kept += inputs if recomputes and inputs else saved
                moment = max(moment, saved if recomputes and inputs else 0)
            moment += _vision_moment(shape, chunk.side_px, chunk.count, widths)
        yield kept * chunk.times, moment


def _vision_moment(shape: ModelShape, side_px: int, count: int, widths: Widths) -> int:
    """Two blocks of scores of a layer of SAM, and gradients as large as its queries, keys, values and what they give."""
    sam = shape.sam
    rows = (
        count
        * max(sam.padded_side(side_px) if windowed else sam.side(side_px) for windowed in sam.layers) ** 2
    )
    return 2 * BLOCK_SCORES * FLOAT + 5 * rows * sam.width * widths.compute


def _most_of_vision(shape: ModelShape, work: Work, setting: Setting) -> int:
    """Most bytes of a forward of the vision encoders, with those kept of earlier ones."""
    most = earlier = 0
    sam, widths = shape.sam, setting.widths
    learns = setting.learning.vision_runs_backward
    for chunk, (kept, _) in zip(activations.chunks(shape, work), _views(shape, work, setting), strict=True):
        patches = chunk.count * sam.side(chunk.side_px) ** 2
        attention = _vision_moment(shape, chunk.side_px, chunk.count, widths)
        attention += 3 * patches * sam.width * widths.compute
        inner = patches * (2 * sam.width + 2 * sam.inner) * widths.compute
        before_last = kept * (chunk.times - (not learns)) // chunk.times
        most = max(most, earlier + before_last + max(attention, inner))
        earlier += kept
    return most
