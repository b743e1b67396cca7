"""Every way of training on every workload that `speed.py` compares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import speed_features
from speed_workloads import WORKLOADS, Regime

PLAIN = "plain"
TITLES = {
    PLAIN: "(a) plain native path",
    "recipe": "(b) per-image recipe",
    "ours": "(d) ocrtune, first epoch",
    "cached": "(d) ocrtune, second epoch, features from the cache",
    "given": "ocrtune, features given from memory",
    "recomputed": "ocrtune, first epoch, vision recomputed in its backward pass",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way of training on one workload.

    Attributes:
        workload: A key of `WORKLOADS`.
        regime: What learns.
        variant: See `speed_variants.Request`.
        used: Features of a rung of the ablation; None where it is none.
    """

    workload: str
    regime: Regime
    variant: str
    used: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """For tables."""
        if self.used is None:
            return TITLES[self.variant]
        return f"(c) … {self.used[-1]}" if self.used else "(c) ocrtune without any of its features"

    @property
    def baseline(self) -> "Case":
        """What it is compared with."""
        return replace(self, variant=PLAIN, used=None)

    @property
    def is_ours(self) -> bool:
        """All features of ocrtune, the first epoch."""
        return self.variant == "ours" and self.used is None


def list_cases(
    workloads: Sequence[str], regimes: Sequence[str], variants: Sequence[str] | None
) -> list[Case]:
    """Every way of training on every workload, those compared first; the plain path is never left out."""
    cases = [
        case
        for workload in workloads
        for regime in WORKLOADS[workload].regimes
        if regime in regimes
        for case in cases_of(workload, regime)
    ]
    if variants is None:
        return cases
    kept = {PLAIN, *variants}
    return [case for case in cases if ("ablation" if case.used is not None else case.variant) in kept]


def cases_of(workload: str, regime: Regime) -> list[Case]:
    """The ways of one workload and regime; recipe and ablation where the decoder learns in full."""
    names = [PLAIN, "ours"]
    if regime != "all":
        # Where vision learns, nothing of it can be kept.
        names += ["given", *(["cached"] if speed_features.CACHE.exists else [])]
    elif workload == "page":
        names += speed_features.SPARING
    if regime == "decoder":
        names.append("recipe")
    cases = [Case(workload=workload, regime=regime, variant=name) for name in names]
    return cases + (ablation(workload, regime) if regime == "decoder" else [])


def ablation(workload: str, regime: Regime) -> list[Case]:
    """Rungs from no feature to all but the last; all of them is `ours`."""
    features = tuple(speed_features.features_of(workload))
    return [
        Case(workload=workload, regime=regime, variant="ours", used=features[:count])
        for count in range(len(features))
    ]
