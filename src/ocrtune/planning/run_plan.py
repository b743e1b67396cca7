"""What is decided about a run, for people and for machines."""

from dataclasses import asdict, dataclass
from typing import Any

from ocrtune.planning.cards import Card
from ocrtune.planning.pages import Sample
from ocrtune.planning.plan import MOST_OF_MEMORY, Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change of the recipe by which it needs less memory.

    Attributes:
        change: What is changed.
        needed_bytes: By the most frugal way to run it then.
        fits: Within the margin.
        settings: Keys of the recipe and the values by which it needs no more.
    """

    change: str
    needed_bytes: int
    fits: bool
    settings: dict[str, Any]


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
