"""From all ways to run a recipe to one, with its reasons and the settings that bring it about."""

from collections.abc import Sequence

from ocrtune.config import Config
from ocrtune.planning.cards import Card
from ocrtune.planning.plan import Choice, Planner
from ocrtune.planning.reasons import give_reasons
from ocrtune.planning.remedies import find_remedies
from ocrtune.planning.run_plan import RunPlan, settings_of

ABOUT_AS_FAST = 1.03
"""Forecasts of time that differ by less are no reason to prefer one way."""


def plan_run(config: Config, card: Card) -> RunPlan:
    """Plans a recipe on a card.

    Raises:
        OcrtuneError: Model or pages cannot be read, or the card cannot do what the recipe asks.
    """
    return decide(Planner.of(config, card))


def decide(planner: Planner) -> RunPlan:
    """Of all ways to run a recipe the one that fits and is fastest, with its reasons."""
    config = planner.config
    choices = list(planner.choices())
    fitting = [choice for choice in choices if planner.fits(choice)]
    epochs = config.training.epochs
    choice = _plainest(fitting, epochs) if fitting else min(choices, key=lambda one: one.memory.total)
    asked, weights = planner.as_asked(), planner.machine.weights
    return RunPlan(
        card=planner.card,
        sample=planner.sample,
        parameters=weights.total,
        learning=weights.learning,
        precision=planner.policy.reason,
        asked=asked,
        asked_fits=planner.fits(asked),
        choice=choice,
        fits=bool(fitting),
        reasons=tuple(give_reasons(planner, choice, choices)),
        remedies=() if fitting else tuple(find_remedies(planner)),
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
