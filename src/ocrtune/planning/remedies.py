"""Changes of a recipe by which it would need less memory."""

from collections.abc import Iterator, Mapping
from typing import Any

from ocrtune.config import Config
from ocrtune.planning.cards import GIB
from ocrtune.planning.forwards import Grouping
from ocrtune.planning.plan import MOST_OF_MEMORY, Choice, Planner
from ocrtune.planning.run_plan import Remedy, settings_of


def find_remedies(planner: Planner) -> Iterator[Remedy]:
    """What else the recipe could do, and what it would need then."""
    for change, settings in _changes(planner.config):
        changed = with_settings(planner.config, settings)
        other = Planner.on(changed, planner.card, planner.model, planner.sample)
        least = _most_frugal(other)
        yield Remedy(
            change=change,
            needed_bytes=least.memory.total,
            fits=other.fits(least),
            settings={**settings, **settings_of(least)},
        )
    least = _most_frugal(planner)
    needed = least.memory.total
    yield Remedy(
        change=f"a card, or cards together, of {needed / MOST_OF_MEMORY / GIB:.0f} GiB",
        needed_bytes=needed,
        fits=True,
        settings=settings_of(least),
    )


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """A recipe with other values of some keys, such as `tuning.method`."""
    tree = config.model_dump(mode="json")
    for key, value in settings.items():
        *path, name = key.split(".")
        section = tree
        for part in path:
            section = section[part]
        section[name] = value
    return Config.model_validate(tree)


def _changes(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """What may be changed, in words and as keys of a recipe."""
    tuning = config.tuning
    if config.optimizer.moments != "int8":
        yield "8-bit moments (optimizer.moments=int8)", {"optimizer.moments": "int8"}
    parts = [part for part in tuning.parts if part != "vision"] or ["decoder"]
    if len(parts) < len(tuning.parts):
        yield f"vision frozen (tuning.parts=[{', '.join(parts)}])", {"tuning.parts": parts}
    if tuning.method == "full":
        # Guidance is for weights that learn from nothing.
        if config.training.guidance is None:
            yield "adapters (tuning.method=lora)", {"tuning.method": "lora"}
    elif tuning.lora.preset == "experts":
        yield (
            "no adapters on experts (tuning.lora.preset=attention)",
            {"tuning.lora.preset": "attention"},
        )


def _most_frugal(planner: Planner) -> Choice:
    """One row, one view and one layer at a time."""
    parts = frozenset({"decoder", "vision"} if planner.can_recompute else ())
    return planner.choose(Grouping(rows=1, chunk_views=1), parts, cached=False)
