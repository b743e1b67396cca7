"""The vision features of a run: opened before the first step, written while it goes on, counted at its end."""

import math
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerState, TrainingArguments

from ocrtune.config import Config, FeatureCacheSection
from ocrtune.errors import ConfigError
from ocrtune.inputs import InputsRecipe
from ocrtune.models import OcrModel
from ocrtune.models.feature_cache import FeatureCache
from ocrtune.models.feature_folders import FREE_SHARE, folder_bytes
from ocrtune.models.feature_key import FeatureKey, feature_key
from ocrtune.models.feature_places import feature_folder
from ocrtune.models.known_features import FeatureSource
from ocrtune.models.precision import PrecisionPolicy
from ocrtune.progress import say
from ocrtune.training.data import TrainingData
from ocrtune.training.feature_decision import (
    GIGABYTE,
    CacheDecision,
    decide_cache,
    find_obstacle,
    pages_to_come,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFeatures:
    """The features that a run keeps.

    Attributes:
        decision: What is kept.
        cache: Where.
        training: Gives batches learned from their features; None where they are not kept.
        evaluation: The same for held-out pages.
    """

    decision: CacheDecision
    cache: FeatureCache
    training: FeatureSource | None
    evaluation: FeatureSource | None

    def attach(self, data: TrainingData) -> None:
        """Let examples be made of kept features."""
        if self.training is not None:
            data.train.features = self.cache

    def summary(self, epochs: Sequence[dict[str, int]]) -> dict[str, Any]:
        """What became of the images of all processes of the run; each of them has to ask."""
        self.cache.refresh()
        use = self.cache.use()
        evaluation = Counter(self.evaluation.counts if self.evaluation else {})
        rows = gather_object([(list(epochs), evaluation, use.num_not_kept, use.num_bad_shards)])
        return {
            "folder": str(self.cache.folder),
            "images": use.num_images,
            "bytes": use.num_bytes,
            "not_kept": sum(row[2] for row in rows),
            "bad_shards": sum(row[3] for row in rows),
            "epochs": _added(row[0] for row in rows),
            "evaluation": {name: sum(row[1][name] for row in rows) for name in ("read", "computed")},
        }


def open_features(
    config: Config,
    *,
    run: Path,
    model: OcrModel,
    recipe: InputsRecipe,
    policy: PrecisionPolicy,
    data: TrainingData,
) -> RunFeatures | None:
    """Decide whether features are kept, say so with the size, and open the cache; None where they are not.

    All processes of a run decide alike, because they wait for each other: where one of them cannot keep any, none does.

    Args:
        config: The recipe.
        run: The run folder.
        model: Set up to learn.
        recipe: How pages become inputs.
        policy: Dtypes.
        data: Pages of the run.

    Raises:
        ConfigError: The recipe says `on`, and the folder cannot be written to.
    """
    section = config.training.feature_cache
    obstacle = find_obstacle(config, model)
    if section.use == "off" or obstacle:
        _say_off("the recipe says so" if section.use == "off" else obstacle)
        return None
    root = feature_folder(section.folder, otherwise=run / "features")
    key = feature_key(model, recipe.mode, autocast_dtype=policy.autocast_dtype)
    pages = pages_to_come(config, data, recipe, model)
    free_bytes = _free_bytes(root) + folder_bytes(root / key.digest)
    decision = decide_cache(section, pages, free_bytes=free_bytes)
    cache = _open_cache(section, root, key) if decision.is_on else None
    if not all(gather_object([cache is not None])) or cache is None:
        _say_off("a process cannot write to their folder" if decision.is_on else decision.reason)
        return None
    say(f"vision features are kept in {cache.folder}: {decision.reason}; {len(cache):,} are there")
    return RunFeatures(
        decision=decision,
        cache=cache,
        training=FeatureSource(cache, policy.autocast) if decision.trains else None,
        evaluation=FeatureSource(cache, policy.autocast) if decision.evaluates else None,
    )


def _open_cache(section: FeatureCacheSection, root: Path, key: FeatureKey) -> FeatureCache | None:
    try:
        return FeatureCache(root, key, limit_bytes=round(section.limit_gb * GIGABYTE))
    except OSError as error:
        told = f"{root} cannot be written to: {error.strerror or error}"
        if section.use == "on":
            raise ConfigError(
                [f"training.feature_cache.folder: {told}"], hint="name another folder, or set use=off"
            ) from error
        say(f"warning: {told}")
        return None


class FeatureKeeper(TrainerCallback):
    """Writes features when the Trainer writes, and counts images by epoch.

    Args:
        features: Of the run.
        epoch_steps: Steps of a pass over a stream, which is a single epoch to the Trainer; None otherwise.

    Attributes:
        counts: Images `read` and `computed`, by epoch from 1.
    """

    def __init__(self, features: RunFeatures, epoch_steps: int | None) -> None:
        self._features = features
        self._epoch_steps = epoch_steps
        self._before: Counter[str] = Counter()
        self.counts: dict[int, Counter[str]] = {}

    def rows(self) -> list[dict[str, int]]:
        """The counts as rows of the summary."""
        return [
            {"epoch": epoch, "read": seen["read"], "computed": seen["computed"]}
            for epoch, seen in sorted(self.counts.items())
        ]

    def on_step_end(self, _: TrainingArguments, state: TrainerState, *__: Any, **___: Any) -> None:  # noqa: D102
        if self._features.training is None:
            return
        now = Counter(self._features.training.counts)
        epochs = state.global_step / self._epoch_steps if self._epoch_steps else state.epoch or 0.0
        # The Trainer's epochs are sums of fractions.
        self.counts.setdefault(math.ceil(epochs - 1e-6), Counter()).update(now - self._before)
        self._before = now

    def on_save(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self._features.cache.flush()

    def on_evaluate(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self._features.cache.flush()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self._features.cache.flush()
        # What the others have computed is read in the next epoch.
        PartialState().wait_for_everyone()

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self.close()

    def close(self) -> None:
        """Write what is left, also where training was broken off."""
        self._features.cache.flush()


def _free_bytes(root: Path) -> int:
    for folder in (root, *root.absolute().parents):
        with suppress(OSError):  # it is not there, or not for us to see
            disk = shutil.disk_usage(folder)
            return max(0, round(disk.free - FREE_SHARE * disk.total))
    return 0


def _say_off(reason: str) -> None:
    say(f"vision features are not kept: {reason}")


def _added(rows: Iterable[Iterable[dict[str, int]]]) -> list[dict[str, int]]:
    """The rows of all processes, added by epoch."""
    sums: dict[int, Counter[str]] = {}
    for row in (row for of_process in rows for row in of_process):
        sums.setdefault(row["epoch"], Counter()).update(read=row["read"], computed=row["computed"])
    return [
        {"epoch": epoch, "read": seen["read"], "computed": seen["computed"]}
        for epoch, seen in sorted(sums.items())
    ]
