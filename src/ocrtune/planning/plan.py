"""The plan of a run on a card: what fits, what of that is fastest, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ocrtune.config import Config
from ocrtune.models.precision import PrecisionPolicy, choose_precision
from ocrtune.models.routing import choose_product
from ocrtune.planning.cards import Card
from ocrtune.planning.duration import Machine, StepTime, forecast_time
from ocrtune.planning.finding import PlannedModel, find_model
from ocrtune.planning.forwards import Computation, Grouping, largest_forward, usual_forward
from ocrtune.planning.memory import Forecast, Setting, forecast_memory
from ocrtune.planning.operations import FLOAT, Widths
from ocrtune.planning.pages import Sample, measure_pages
from ocrtune.planning.shapes import Learning, ModelShape
from ocrtune.planning.weights import count_weights

MOST_OF_MEMORY = 0.9
"""Share of a card's memory that a plan may fill by its forecast."""

MOST_ROWS = 32
PACK_TOKENS = (2048, 4096, 8192, 16384)
CHUNKS = (None, 4, 1)
MOST_OFF = 0.1
"""Share by which packed rows, of which an optimizer step has a whole number, may make it larger or smaller."""

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to run a recipe, and what it is forecast to take.

    Attributes:
        grouping: How examples are put into forwards.
        checkpointed: Parts whose activations are recomputed.
        cached: Vision features are read from the second epoch on.
        accumulation: Forwards of an optimizer step.
        examples: Of an optimizer step, in the mean.
        memory: Of the largest forward.
        step: Of a usual forward.
        first_epoch_s: Seconds of the first epoch.
        epoch_s: Seconds of each later one.
    """

    grouping: Grouping
    checkpointed: frozenset[str]
    cached: bool
    accumulation: int
    examples: float
    memory: Forecast
    step: StepTime
    first_epoch_s: float
    epoch_s: float

    def run_s(self, epochs: float) -> float:
        """Seconds of so many epochs."""
        return self.first_epoch_s * min(epochs, 1.0) + self.epoch_s * max(epochs - 1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Everything that choices are made from.

    Attributes:
        config: The recipe.
        card: Where it is to run.
        model: Of the recipe.
        sample: Pages of the recipe, measured.
        machine: The model on that card.
    """

    config: Config
    card: Card
    model: PlannedModel
    sample: Sample
    machine: Machine

    @classmethod
    def of(cls, config: Config, card: Card) -> "Planner":
        """Finds the model's sizes and measures pages.

        Raises:
            OcrtuneError: Model or pages cannot be read, or the card cannot do what the recipe asks.
        """
        model = find_model(config)
        sample = measure_pages(config, model.recipe, model.tokenizer)
        return cls.on(config, card, model, sample)

    @classmethod
    def on(cls, config: Config, card: Card, model: PlannedModel, sample: Sample) -> "Planner":
        """A planner for pages that were measured already."""
        machine = Machine(
            card=card,
            policy=choose_precision(config.training.precision, card.device, config.tuning.method),
            shape=ModelShape.of(model.config),
            weights=count_weights(model.config, config.tuning),
        )
        return cls(config=config, card=card, model=model, sample=sample, machine=machine)

    @property
    def policy(self) -> PrecisionPolicy:
        """Dtypes on the card."""
        return self.machine.policy

    @property
    def allowed_bytes(self) -> int:
        """Memory that a plan may fill."""
        return round(MOST_OF_MEMORY * self.card.memory_bytes)

    @property
    def can_cache(self) -> bool:
        """Vision features stay what they are."""
        return set(self.config.tuning.parts) == {"decoder"} and self.config.training.guidance is None

    @property
    def caches(self) -> bool:
        """Vision features are kept: the recipe lets them, pages come again, and they fit its limit."""
        training = self.config.training
        section = training.feature_cache
        if section.use == "off" or not self.can_cache or training.epochs <= 1:
            return False
        return section.use == "on" or self.cache_bytes <= section.limit_gb * GIGABYTE

    @property
    def can_recompute(self) -> bool:
        """Activations may be recomputed; the letter heads of guidance need them."""
        return self.config.training.guidance is None

    @property
    def cache_bytes(self) -> int:
        """Of the vision features of all examples on disk."""
        width = self.model.config.text_config.hidden_size
        each = self.sample.features * width * Widths.of(self.policy).stream
        return round(each * self.sample.num_examples)

    @property
    def examples_of_a_step(self) -> float:
        """Examples of an optimizer step, as the recipe has them."""
        return self._asked_grouping.examples(self.sample) * self.config.training.accumulation_steps

    @property
    def _asked_grouping(self) -> Grouping:
        training = self.config.training
        return Grouping(
            rows=training.batch_size,
            pack_tokens=training.pack_tokens,
            chunk_views=training.vision_chunk_views,
        )

    def as_asked(self) -> Choice:
        """The recipe as it stands."""
        parts = frozenset[str](self.config.training.gradient_checkpointing)
        return self.choose(self._asked_grouping, parts, cached=self.caches)

    def choose(self, grouping: Grouping, checkpointed: frozenset[str], *, cached: bool) -> Choice:
        """Forecasts for one way to run the recipe."""
        machine, learning = self.machine, Learning.of(self.config.tuning, checkpointed)
        computation = self._computation(learning)
        usual = usual_forward(
            self.sample,
            grouping,
            computation,
            bucketed=self.config.training.bucket_by_length,
            seed=self.config.run.seed,
        )
        accumulation = self._accumulation(usual.examples)
        setting = Setting(
            learning=learning,
            widths=Widths.of(self.policy),
            moments=self.config.optimizer.moments,
            accumulates=accumulation > 1,
            batches=accumulation,
            grouped=self._groups_experts(learning),
            overhead_bytes=self.card.overhead_bytes,
            overhead_share=self.card.overhead_share,
        )
        memory = forecast_memory(
            machine.shape, machine.weights, largest_forward(self.sample, grouping, computation), setting
        )
        step = forecast_time(machine, usual, learning)
        forwards = self.sample.num_examples / usual.examples
        updates_s = step.update_s * forwards / accumulation
        whole = forwards * (step.vision_s + step.text_s) + updates_s
        return Choice(
            grouping=grouping,
            checkpointed=checkpointed,
            cached=cached,
            accumulation=accumulation,
            examples=usual.examples * accumulation,
            memory=memory,
            step=step,
            first_epoch_s=whole,
            epoch_s=forwards * step.text_s + updates_s if cached else whole,
        )

    def _computation(self, learning: Learning) -> Computation:
        # Views are cast to the dtype of what learns.
        number_bytes = FLOAT if learning.vision_runs_backward else Widths.of(self.policy).stream
        return Computation.of(
            self.config.training,
            window=self.model.family.reference_window,
            device_kind=self.card.device.kind,
            number_bytes=number_bytes,
        )

    def _groups_experts(self, learning: Learning) -> bool:
        decoder, device = self.machine.shape.decoder, self.card.device
        ranks = (learning.expert_rank,) if learning.expert_rank else ()
        sides = (decoder.width, decoder.expert_inner, *ranks)
        return choose_product(device.kind, device.capability, self.policy.torch_compute, sides) == "grouped"

    def choices(self) -> Iterator[Choice]:
        """All ways to run the recipe that are worth looking at."""
        for grouping, checkpointed in product(self._groupings(), self._checkpointings()):
            yield self.choose(grouping, checkpointed, cached=self.caches)

    def fits(self, choice: Choice) -> bool:
        """The forecast leaves the margin free."""
        return choice.memory.total <= self.allowed_bytes

    def _groupings(self) -> Iterator[Grouping]:
        most = round(self.examples_of_a_step)
        rows = [count for count in range(1, min(MOST_ROWS, most) + 1) if most % count == 0]
        chunks = tuple(dict.fromkeys([self.config.training.vision_chunk_views, *CHUNKS]))
        for count, chunk in product(rows, chunks):
            yield Grouping(rows=count, chunk_views=chunk)
        if self.config.training.guidance is not None:
            return
        for tokens, chunk in product(PACK_TOKENS, chunks):
            grouping = Grouping(pack_tokens=tokens, chunk_views=chunk)
            examples = grouping.examples(self.sample)
            if self.sample.longest <= tokens and 1 < examples <= most and self._keeps_step(examples):
                yield grouping

    def _accumulation(self, examples: float) -> int:
        """Forwards of so many examples that come nearest to the recipe's optimizer step."""
        return max(1, round(self.examples_of_a_step / examples))

    def _keeps_step(self, examples: float) -> bool:
        found, wanted = examples * self._accumulation(examples), self.examples_of_a_step
        return abs(found - wanted) <= MOST_OFF * wanted

    def _checkpointings(self) -> Sequence[frozenset[str]]:
        if not self.can_recompute:
            return [frozenset()]
        learning = Learning.of(self.config.tuning)
        parts = [
            part for part, runs in (("decoder", True), ("vision", learning.vision_runs_backward)) if runs
        ]
        chosen = [frozenset[str]()]
        for part in parts:
            chosen += [one | {part} for one in chosen]
        return chosen
