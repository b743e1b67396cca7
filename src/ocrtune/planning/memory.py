"""Most memory of a training step, from a model of bytes.

The step is walked through as it runs: the vision encoders, the loss with everything kept for the backward, then each
layer's backward, in which what was kept goes and gradients come. The highest of these places is the peak.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ocrtune.planning.operations import FLOAT, Widths
from ocrtune.planning.shapes import Learning, ModelShape, Work
from ocrtune.planning.text_activations import decoder_layers, embeddings, head
from ocrtune.planning.transients import (
    layer_backward,
    loss_forward,
    most_of_vision,
    pixel_values,
    vision_forwards,
)
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
        batches: Batches whose views lie ready in uint8; the Trainer reads all of an optimizer step before the first.
        grouped: All experts of a layer are computed at once, not one after another.
        overhead_bytes: Of libraries, whatever runs.
        overhead_share: Of the rest, lost to the allocator.
    """

    learning: Learning
    widths: Widths
    moments: str = "float32"
    accumulates: bool = False
    batches: int = 1
    grouped: bool = False
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
    return max(_Step(shape, weights, work, setting).places(), key=lambda forecast: forecast.total)


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
    """A layer of the decoder in the backward: what it keeps, what it needs for a moment, its gradients.

    Attributes:
        kept: Bytes from the forward to the backward.
        moment: Most bytes beside them.
        gradients: Bytes of the gradients of its weights.
        added: Most bytes of gradients that stand beside those of earlier forwards until they are added.
    """

    kept: int
    moment: int
    gradients: int
    added: int


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that is walked through."""

    shape: ModelShape
    weights: Weights
    work: Work
    setting: Setting

    def places(self) -> Iterator[Forecast]:
        """The places where memory may be highest."""
        work, setting, decoder = self.work, self.setting, self.shape.decoder
        widths, learning = setting.widths, setting.learning
        waiting = setting.batches * pixel_values(work)
        pixels = waiting + pixel_values(work) * widths.stream
        yield self._at("vision", vision=pixels + most_of_vision(self.shape, work, learning, widths))
        layers = self._layers()
        views = sum(kept for kept, _ in vision_forwards(self.shape, work, learning, widths))
        kept = sum(layer.kept for layer in layers) + embeddings(decoder, work, learning, widths)
        logits = head(decoder, work, learning, widths) + loss_forward(decoder, work, widths)
        yield self._at("loss", decoder=kept, logits=logits, vision=pixels + views)
        yield from self._backward(layers, kept, waiting + views)
        yield self._at("update", gradients=gradient_bytes(self.weights), vision=waiting)

    def _backward(self, layers: list[_Layer], kept: int, vision: int) -> Iterator[Forecast]:
        weights, setting = self.weights, self.setting
        gradients = weights.learning_of("head") * FLOAT
        for layer in reversed(layers):
            gradients += layer.gradients
            yield self._at(
                "backward",
                gradients=self._gradients(gradients, layer.added),
                decoder=kept + layer.moment,
                vision=vision,
            )
            kept -= layer.kept
        if not setting.learning.vision_runs_backward:
            return
        gradients += weights.learning_of("vision") * FLOAT
        forwards = vision_forwards(self.shape, self.work, setting.learning, setting.widths)
        moment = max((moment for _, moment in forwards), default=0)
        yield self._at(
            "backward",
            gradients=self._gradients(gradients, weights.largest_of("vision") * FLOAT),
            decoder=kept,
            vision=vision + moment,
        )

    def _gradients(self, so_far: int, added: int) -> int:
        """Gradients in the backward: those so far, or those of earlier forwards and what is about to be added."""
        return gradient_bytes(self.weights) + added if self.setting.accumulates else so_far

    def _at(
        self, place: str, *, gradients: int | None = None, decoder: int = 0, logits: int = 0, vision: int = 0
    ) -> Forecast:
        setting, weights = self.setting, self.weights
        if gradients is None:
            gradients = gradient_bytes(weights) if setting.accumulates else 0
        lost = round(setting.overhead_share * (decoder + logits + vision))
        return Forecast(
            weights=weight_bytes(weights, setting.widths),
            gradients=gradients,
            optimizer=optimizer_bytes(weights, setting.moments),
            decoder=decoder,
            logits=logits,
            vision=vision,
            overhead=setting.overhead_bytes + lost,
            place=place,
        )

    def _layers(self) -> list[_Layer]:
        decoder, work, setting = self.shape.decoder, self.work, self.setting
        learning, widths = setting.learning, setting.widths
        recomputes = "decoder" in learning.checkpointed
        inputs = work.tokens * decoder.width * widths.stream
        rows = [work.tokens] * (len(decoder.layers) - 1) + [work.last_tokens]
        layers = []
        for index, saved in enumerate(decoder_layers(decoder, work, learning, widths)):
            has_experts = decoder.layers[index]
            moment = layer_backward(
                decoder, rows[index], learning, widths, has_experts=has_experts, grouped=setting.grouped
            )
            layers.append(
                _Layer(
                    kept=inputs if recomputes else saved,
                    moment=moment + (saved if recomputes else 0),
                    gradients=self.weights.learning_of(f"layer {index}") * FLOAT,
                    added=self._added(f"layer {index}", has_experts=has_experts),
                )
            )
        return layers

    def _added(self, place: str, *, has_experts: bool) -> int:
        """The largest tensor; those of routed experts come together."""
        decoder = self.shape.decoder
        experts = 3 * decoder.experts * decoder.width * decoder.expert_inner
        together = experts * (has_experts and self.setting.learning.decoder)
        return max(self.weights.largest_of(place), together) * FLOAT
