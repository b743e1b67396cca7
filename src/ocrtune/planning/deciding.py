"""From all ways to run a recipe to one, with its reasons and the settings that bring it about."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ocrtune.config import Config, TuningSection
from ocrtune.planning.cards import GIB, Card
from ocrtune.planning.forwards import Grouping
from ocrtune.planning.memory import Forecast
from ocrtune.planning.pages import Sample
from ocrtune.planning.plan import MOST_OF_MEMORY, Choice, Planner

MIB = 2**20

ABOUT_AS_FAST = 1.03
"""Forecasts of time that differ by less are no reason to prefer one way."""

_WORDS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "AdamW's moments",
    "decoder": "the decoder's activations",
    "logits": "logits and loss",
    "vision": "vision and pixels",
    "overhead": "libraries and allocator",
}
"""What forecasts hold, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change of the recipe by which it needs less memory.

    Attributes:
        change: What is changed.
        needed_bytes: By the most frugal way to run it then.
        fits: Within the margin.
    """

    change: str
    needed_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What `ocrtune doctor RUN.yaml` says.

    Attributes:
        card: Where the run is planned for.
        sample: Of the pages.
        parameters: Of the model, adapters included.
        learning: Of them, those that learn.
        precision: Dtypes, with the reason.
        asked: The recipe as it stands.
        asked_fits: It leaves the margin free.
        choice: The plan; where nothing fits, the most frugal way.
        fits: It leaves the margin free.
        reasons: Sentences.
        remedies: What would make it fit; empty where it does.
        settings: Keys of the recipe and the values that bring the plan about.
        epochs: Of the recipe.
        cache_bytes: Vision features on disk; 0 where none are kept.
    """

    card: Card
    sample: Sample
    parameters: int
    learning: int
    precision: str
    asked: Choice
    asked_fits: bool
    choice: Choice
    fits: bool
    reasons: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    settings: dict[str, Any]
    epochs: float
    cache_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The plan for `--json`; sizes in bytes, times in seconds."""
        return {
            "card": {
                "name": self.card.name,
                "title": self.card.device.name,
                "memory_bytes": self.card.memory_bytes,
                "most_of_memory": MOST_OF_MEMORY,
                "assumptions": self.card.assumptions(),
            },
            "pages": {
                "measured": len(self.sample.examples),
                "unusable": self.sample.unusable,
                "examples_of_an_epoch": self.sample.num_examples,
                "mean_positions": self.sample.positions,
                "longest_positions": self.sample.longest,
                "mean_supervised": self.sample.supervised,
                "mean_views": {str(side): count for side, count in self.sample.views().items()},
                "estimated": self.sample.estimated,
            },
            "model": {"parameters": self.parameters, "learning": self.learning},
            "precision": self.precision,
            "asked": {**_as_dict(self.asked), "fits": self.asked_fits},
            "plan": {**_as_dict(self.choice), "fits": self.fits},
            "cache_bytes": self.cache_bytes,
            "epochs": self.epochs,
            "run_s": self.choice.run_s(self.epochs),
            "reasons": list(self.reasons),
            "remedies": [asdict(remedy) for remedy in self.remedies],
            "settings": self.settings,
        }


def _as_dict(choice: Choice) -> dict[str, Any]:
    return {
        "rows": choice.grouping.rows,
        "pack_tokens": choice.grouping.pack_tokens,
        "vision_chunk_views": choice.grouping.chunk_views,
        "accumulation_steps": choice.accumulation,
        "examples_of_a_step": choice.examples,
        "checkpointed": sorted(choice.checkpointed),
        "cached": choice.cached,
        "memory_bytes": {**choice.memory.by_part(), "total": choice.memory.total},
        "memory_peak": choice.memory.place,
        "flops_of_a_forward": choice.step.flops,
        "vision_share_of_flops": choice.step.vision_share,
        "first_epoch_s": choice.first_epoch_s,
        "epoch_s": choice.epoch_s,
    }


def plan_run(config: Config, card: Card) -> RunPlan:
    """Plans a recipe on a card.

    Raises:
        OcrtuneError: Model or pages cannot be read, or the card cannot do what the recipe asks.
    """
    planner = Planner.of(config, card)
    choices = list(planner.choices())
    fitting = [choice for choice in choices if planner.fits(choice)]
    epochs = config.training.epochs
    choice = _plainest(fitting, epochs) if fitting else min(choices, key=lambda one: one.memory.total)
    asked, weights = planner.as_asked(), planner.machine.weights
    return RunPlan(
        card=card,
        sample=planner.sample,
        parameters=weights.total,
        learning=weights.learning,
        precision=planner.policy.reason,
        asked=asked,
        asked_fits=planner.fits(asked),
        choice=choice,
        fits=bool(fitting),
        reasons=tuple(_reasons(planner, choice, choices)),
        remedies=() if fitting else tuple(_remedies(planner)),
        settings=settings_of(choice),
        epochs=epochs,
        cache_bytes=planner.cache_bytes if choice.cached else 0,
    )


def _plainest(fitting: Sequence[Choice], epochs: float) -> Choice:
    """Of the ways that are about as fast as the fastest the one with the fewest means."""
    fastest = min(choice.run_s(epochs) for choice in fitting)
    alike = [choice for choice in fitting if choice.run_s(epochs) <= ABOUT_AS_FAST * fastest]
    return min(
        alike,
        key=lambda one: (
            one.grouping.pack_tokens is not None,
            len(one.checkpointed),
            one.grouping.chunk_views is not None,
            one.memory.total,
        ),
    )


def settings_of(choice: Choice) -> dict[str, Any]:
    """Keys of a recipe and the values that bring a choice about."""
    grouping = choice.grouping
    return {
        "training.batch_size": grouping.rows,
        "training.accumulation_steps": choice.accumulation,
        "training.pack_tokens": grouping.pack_tokens,
        "training.gradient_checkpointing": sorted(choice.checkpointed) or False,
        "training.vision_chunk_views": grouping.chunk_views,
        "training.feature_cache.use": "on" if choice.cached else "off",
    }


def _reasons(planner: Planner, choice: Choice, choices: Sequence[Choice]) -> Iterator[str]:
    yield planner.policy.reason
    if not planner.fits(choice):
        yield _too_much(planner, choice)
        return
    yield from _about_rows(planner, choice, choices)
    yield from _about_checkpointing(planner, choice)
    yield from _about_packing(planner, choice, choices)
    yield from _about_cache(planner, choice)
    yield (
        f"accumulation over {choice.accumulation} keeps {choice.examples:.0f} examples in an optimizer step; "
        f"the recipe has {planner.examples_of_a_step}"
    )


def _too_much(planner: Planner, choice: Choice) -> str:
    missing = choice.memory.total - planner.allowed_bytes
    return (
        f"does not fit: {in_gib(choice.memory.total)} are needed at least, {in_gib(missing)} more than "
        f"{MOST_OF_MEMORY:.0%} of {in_gib(planner.card.memory_bytes)}; {_largest(choice.memory)}"
    )


def _about_rows(planner: Planner, choice: Choice, choices: Sequence[Choice]) -> Iterator[str]:
    grouping = choice.grouping
    unit = "rows" if grouping.pack_tokens is None else f"packed rows of {grouping.pack_tokens} tokens"
    larger = [
        one
        for one in choices
        if one.checkpointed == choice.checkpointed
        and one.grouping.chunk_views == grouping.chunk_views
        and one.grouping.examples(planner.sample) > grouping.examples(planner.sample)
        and (one.grouping.pack_tokens is None) == (grouping.pack_tokens is None)
    ]
    count = f"{grouping.rows} {unit if grouping.rows > 1 else unit.replace('rows', 'row', 1)} a forward"
    if not larger:
        yield f"{count}: no more go into an optimizer step"
        return
    following = min(larger, key=lambda one: one.grouping.examples(planner.sample))
    more = following.grouping.pack_tokens or following.grouping.rows
    if planner.fits(following):
        slower = (
            following.run_s(planner.config.training.epochs) / choice.run_s(planner.config.training.epochs) - 1
        )
        yield f"{count}: {more} would fit and be no faster ({slower:+.0%} time)"
    else:
        yield (
            f"{count}: {more} would need {in_gib(following.memory.total)} of {in_gib(planner.allowed_bytes)}; "
            f"{_largest(following.memory)}"
        )


def _about_checkpointing(planner: Planner, choice: Choice) -> Iterator[str]:
    if choice.checkpointed:
        without = planner.choose(choice.grouping, frozenset(), cached=choice.cached)
        cost = (
            choice.run_s(planner.config.training.epochs) / without.run_s(planner.config.training.epochs) - 1
        )
        parts = " and ".join(sorted(choice.checkpointed))
        yield (
            f"activations of {parts} are recomputed: without it {in_gib(without.memory.total)} would be needed; "
            f"it takes {cost:.0%} more time than the same forward without"
        )
    else:
        yield "nothing is recomputed: all activations fit"


def _about_packing(planner: Planner, choice: Choice, choices: Sequence[Choice]) -> Iterator[str]:
    epochs, sample = planner.config.training.epochs, planner.sample
    packed = choice.grouping.pack_tokens is not None
    others = [
        one for one in choices if planner.fits(one) and (one.grouping.pack_tokens is not None) is not packed
    ]
    if packed:
        gain = min((one.run_s(epochs) for one in others), default=None)
        than = "" if gain is None else f", {gain / choice.run_s(epochs):.2f}× as fast as rows of one example"
        yield f"examples are packed, {choice.grouping.examples(sample):.1f} in a forward{than}"
    elif others:
        loss = min(one.run_s(epochs) for one in others) / choice.run_s(epochs) - 1
        yield f"examples are not packed: that would take {loss:+.0%} time"
    else:
        yield "examples are not packed: no row of several fits, or fits the optimizer step"


def _about_cache(planner: Planner, choice: Choice) -> Iterator[str]:
    if choice.cached:
        yield (
            f"vision features are kept: vision is {choice.step.vision_share:.0%} of the operations and stays what it is; "
            f"{planner.cache_bytes / 1e9:.2g} GB on disk for {planner.sample.num_examples:,} pages"
        )
    elif not planner.can_cache:
        yield "vision features are not kept: vision or projector learn"
    elif planner.config.training.epochs <= 1:
        yield "vision features are not kept: each page comes once"
    else:
        yield f"vision features are not kept: they would take {planner.cache_bytes / 1e9:,.0f} GB on disk"


def _remedies(planner: Planner) -> Iterator[Remedy]:
    """What else the recipe could do, and what it would need then."""
    config = planner.config
    tried: list[tuple[str, Config, str]] = [("8-bit moments (optimizer.moments=int8)", config, "int8")]
    tuning = config.tuning
    if tuning.method == "full":
        parts = tuple(part for part in tuning.parts if part != "vision") or ("decoder",)
        if parts != tuning.parts:
            tried.append(("vision frozen (tuning.parts)", _with_tuning(config, parts=parts), "float32"))
        tried.append(("adapters (tuning.method=lora)", _with_tuning(config, method="lora"), "float32"))
    elif tuning.lora.preset == "experts":
        lora = tuning.lora.model_copy(update={"preset": "attention"})
        tried.append(
            (
                "no adapters on experts (tuning.lora.preset=attention)",
                _with_tuning(config, lora=lora),
                "float32",
            )
        )
    if "vision" in tuning.parts and tuning.method != "full":
        tried.append(
            ("vision frozen (tuning.parts=[decoder])", _with_tuning(config, parts=("decoder",)), "float32")
        )
    for change, changed, moments in tried:
        other = Planner.on(changed, planner.card, planner.model, planner.sample)
        least = _most_frugal(other, moments)
        yield Remedy(change=change, needed_bytes=least.memory.total, fits=other.fits(least))
    yield from _larger_cards(planner)


def _larger_cards(planner: Planner) -> Iterator[Remedy]:
    least = _most_frugal(planner, "float32")
    needed = least.memory.total
    yield Remedy(
        change=f"a card, or cards together, of {needed / MOST_OF_MEMORY / GIB:.0f} GiB",
        needed_bytes=needed,
        fits=True,
    )


def _most_frugal(planner: Planner, moments: str) -> Choice:
    """One row, one view and one layer at a time."""
    parts = frozenset({"decoder", "vision"} if planner.can_recompute else ())
    return planner.choose(Grouping(rows=1, chunk_views=1), parts, cached=False, moments=moments)


def _with_tuning(config: Config, **changes: Any) -> Config:
    tuning = TuningSection.model_validate({**config.tuning.model_dump(), **changes})
    return config.model_copy(update={"tuning": tuning})


def _largest(memory: Forecast) -> str:
    sizes = sorted(memory.by_part().items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{_WORDS[name]} are {in_gib(size)}" for name, size in sizes)


def describe_part(name: str) -> str:
    """What a part of a forecast holds, for people."""
    return _WORDS[name]


def in_gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / MIB:.0f} MiB"
