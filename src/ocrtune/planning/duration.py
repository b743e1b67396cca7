"""How long a run takes on a card: a forecast from operations, bytes and kernels, never a measurement."""

from dataclasses import dataclass, replace

from ocrtune.models.precision import PrecisionPolicy
from ocrtune.planning.activations import saved_bytes
from ocrtune.planning.cards import Card
from ocrtune.planning.flops import PARTS, StepFlops, step_flops
from ocrtune.planning.forwards import UsualForward
from ocrtune.planning.operations import FLOAT, Widths
from ocrtune.planning.shapes import Learning, ModelShape, Work
from ocrtune.planning.vision_activations import view_layers
from ocrtune.planning.weights import Weights

_VIEWS = 1000
"""Views counted at once, so that parts of one count."""

_TOUCHES_FORWARD = 2
_TOUCHES_BACKWARD = 4
"""How often each kept number is written or read, in the forward and in the backward."""

_UPDATE_TOUCHES = 9
"""Weight, gradient and both moments are read, three of them written; clipping reads and writes gradients."""

_KERNELS = {"decoder layer": 70, "expert": 8, "vision layer": 40}
"""Kernels of the forward of a layer, and of one expert where experts are computed one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of one forward with its backward, and of an update.

    Attributes:
        vision_s: Vision encoders and projector.
        text_s: Decoder, head and loss.
        update_s: AdamW, once an optimizer step.
        flops: Operations of both.
        vision_share: Of the operations, in the vision encoders.
    """

    vision_s: float
    text_s: float
    update_s: float
    flops: float
    vision_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What time depends on beside the forward.

    Attributes:
        card: Where it runs.
        policy: Dtypes.
        shape: Of the model.
        weights: Of the model.
    """

    card: Card
    policy: PrecisionPolicy
    shape: ModelShape
    weights: Weights


def forecast_time(machine: Machine, forward: UsualForward, learning: Learning) -> StepTime:
    """Seconds of a usual forward and backward."""
    text = step_flops(machine.shape, forward.work, learning)
    counted = tuple((side, max(1, round(count * _VIEWS))) for side, count in forward.views.items())
    nothing = Work(rows=0, positions=0, supervised=0, views=counted)
    vision = step_flops(machine.shape, nothing, learning)
    vision_flops = vision.total / _VIEWS
    return StepTime(
        vision_s=_vision_seconds(machine, forward, vision, learning, nothing),
        text_s=_text_seconds(machine, forward.work, text, learning),
        update_s=machine.weights.learning * FLOAT * _UPDATE_TOUCHES / _bandwidth(machine.card),
        flops=text.total + vision_flops,
        vision_share=vision_flops / (text.total + vision_flops),
    )


def _arithmetic(machine: Machine, flops: StepFlops) -> float:
    by_part = flops.by_part()
    return sum(by_part[part] / machine.card.rate(part, machine.policy) for part in PARTS)


def _text_seconds(machine: Machine, work: Work, flops: StepFlops, learning: Learning) -> float:
    widths, decoder = Widths.of(machine.policy), machine.shape.decoder
    kept = saved_bytes(machine.shape, replace(work, views=()), learning, widths)
    recomputes = "decoder" in learning.checkpointed
    passes = 2 + recomputes
    held = sum(
        group.frozen + group.learning for group in machine.weights.groups if group.place not in _VISION
    )
    learned = sum(group.learning for group in machine.weights.groups if group.place not in _VISION)
    moved = kept * (_TOUCHES_FORWARD * (1 + recomputes) + _TOUCHES_BACKWARD)
    moved += passes * held * widths.stream + learned * FLOAT
    experts = 0 if machine.card.has_grouped_products else decoder.experts * _KERNELS["expert"]
    kernels = len(decoder.layers) * _KERNELS["decoder layer"] + sum(decoder.layers) * experts
    return _seconds(machine.card, _arithmetic(machine, flops), moved, kernels * (passes + 1))


_VISION = frozenset({"vision", "projector"})


def _vision_seconds(
    machine: Machine, forward: UsualForward, flops: StepFlops, learning: Learning, counted: Work
) -> float:
    if not forward.views:
        return 0.0
    shape, widths = machine.shape, Widths.of(machine.policy)
    # What a forward writes is what it would keep if everything learned.
    written = sum(
        kept
        for side_px, count in counted.views
        for kept, _ in view_layers(shape, side_px, count, Learning(vision=True), widths)
    )
    backward = learning.vision_runs_backward
    recomputes = backward and "vision" in learning.checkpointed
    moved = written / _VIEWS * (_TOUCHES_FORWARD * (1 + recomputes) + backward * _TOUCHES_BACKWARD)
    most = dict(forward.work.most_views)
    forwards = sum(max(1.0, count / most.get(side_px, count)) for side_px, count in forward.views.items())
    layers = len(shape.sam.layers) + shape.encoder.layers
    kernels = forwards * layers * _KERNELS["vision layer"] * (1 + 2 * backward + recomputes)
    return _seconds(machine.card, _arithmetic(machine, flops) / _VIEWS, moved, kernels)


def _seconds(card: Card, arithmetic_s: float, moved_bytes: float, kernels: float) -> float:
    """Products and traffic follow each other; starting kernels goes on beside both."""
    return max(arithmetic_s + moved_bytes / _bandwidth(card), kernels * card.reached.launch_s)


def _bandwidth(card: Card) -> float:
    return card.bandwidth * card.reached.bandwidth
