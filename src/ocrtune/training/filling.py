"""The feature cache of a run, filled before it: by one process, by several of our own, or by those of torchrun."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from ocrtune.config import Config
from ocrtune.data import build_example
from ocrtune.data.streams import Stream
from ocrtune.errors import ConfigError, InputsError, SourceError
from ocrtune.models import OcrModel
from ocrtune.models.feature_cache import FeatureCache
from ocrtune.models.feature_folders import told_size
from ocrtune.progress import say, track
from ocrtune.records import Example
from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.feature_decision import find_obstacle
from ocrtune.training.features import RunFeatures, open_features
from ocrtune.training.filling_processes import fill_in_processes
from ocrtune.training.filling_share import TITLE, fill_share, load_to_fill, make_plan_to_fill, summed
from ocrtune.training.processes import ending_on_sigterm
from ocrtune.training.train import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledCache:
    """What filling a cache came to.

    Attributes:
        folder: Where the features lie.
        pages: Pages of the run, held-out ones included.
        found: Images whose features were there already.
        computed: Images whose features were computed now.
        not_kept: Those of them that were not kept, because the limit or the disk was reached.
        skipped: Pages that could not be opened; what is wrong with each is said.
        bad_shards: Files of the cache that were cut or changed, and set aside.
        images: Images in the cache now.
        bytes: Bytes of the cache now.
        processes: That worked on it.
        elapsed_s: Seconds.
    """

    folder: str
    pages: int
    found: int
    computed: int
    not_kept: int
    skipped: int
    bad_shards: int
    images: int
    bytes: int
    processes: int
    elapsed_s: float

    def as_dict(self) -> dict[str, Any]:
        """The row for `--json`."""
        return asdict(self)


def fill_cache(config: Config, *, processes: int = 1) -> FilledCache:
    """Compute the vision features of all pages of a run that are not kept yet, and keep them.

    Any number of these may work on one cache at a time: each takes what others have written by then.

    Args:
        config: The recipe of the run; whatever its `feature_cache.use` says.
        processes: So many of our own, each with the vision part in memory; under torchrun its processes share the
            work and each has one, whatever is said here.

    Raises:
        ConfigError: Features of a page change from step to step, or no page comes twice.
        TrainingError: A process of our own was killed.
        OcrtuneError: As in training: pages, model or recipe are wrong.
    """
    started = time.monotonic()
    config = _switched_on(config)
    plan = make_plan_to_fill(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    features, model = _open(plan, data)
    examples = _examples(plan, data, features)
    state = PartialState()
    with ending_on_sigterm():
        if processes > 1 and state.num_processes == 1:
            del model
            counts = fill_in_processes(config, features.cache, examples, processes)
        else:
            processes = state.num_processes
            counts = _fill_together(plan, model, features.cache, examples)
    num_pages = len(data.validation) + (data.num_train_pages if features.training else 0)
    counts["skipped"] += num_pages - len(examples)
    return _result(
        features.cache,
        counts,
        num_pages=num_pages,
        processes=processes,
        elapsed_s=time.monotonic() - started,
    )


def _switched_on(config: Config) -> Config:
    section = config.training.feature_cache.model_copy(update={"use": "on"})
    training = config.training.model_copy(update={"feature_cache": section})
    return config.model_copy(update={"training": training})


def _open(plan: Plan, data: TrainingData) -> tuple[RunFeatures, OcrModel]:
    config = plan.config
    model = load_to_fill(plan)
    obstacle = find_obstacle(config, model)
    features = None
    if not obstacle:
        features = open_features(
            config, run=plan.folder.path, model=model, recipe=plan.recipe, policy=plan.policy, data=data
        )
        obstacle = f"no page of {config.data.title!r} comes twice"
    if features is None:
        raise ConfigError(
            [f"training.feature_cache: there is nothing to keep: {obstacle}"],
            hint="features are kept of pages that come again, while vision and projector do not learn",
        )
    return features, model


def _examples(plan: Plan, data: TrainingData, features: RunFeatures) -> list[Example]:
    """Every page whose features are kept, but for those of a stream that are told to be unusable."""
    train: Iterable[Example] = ()
    if features.training is not None and data.stream is not None:
        train = _of_stream(plan, data.stream, data.num_train_pages)
    elif features.training is not None:
        train = data.train.examples  # type: ignore[union-attr]
    return [*train, *data.validation]


def _of_stream(plan: Plan, stream: Stream, num_pages: int) -> Iterator[Example]:
    for number in track(range(num_pages), "listing pages"):
        try:
            yield build_example(
                stream.page(number),
                plan.family,
                prompt=plan.recipe.prompt,
                normalization=plan.recipe.normalization,
                with_targets=False,
            )
        except (SourceError, InputsError) as error:
            say(f"skipped: page {number} of the stream: {error.message}")


def _fill_together(
    plan: Plan, model: OcrModel, cache: FeatureCache, examples: Sequence[Example]
) -> Counter[str]:
    """The work of all processes that torchrun started, or of this one alone."""
    state, notes = PartialState(), list[str]()
    share = examples[state.process_index :: state.num_processes]
    tell = say if state.is_main_process else notes.append
    counts = fill_share(
        plan, model, cache, share, follow=partial(track, description=TITLE, total=len(share)), tell=tell
    )
    state.wait_for_everyone()
    rows: list[tuple[Counter[str], list[str]]] = gather_object([(counts, notes)])
    for note in dict.fromkeys(note for _, others in rows for note in others):
        say(note)
    return summed(counts for counts, _ in rows)


def _result(
    cache: FeatureCache, counts: Counter[str], *, num_pages: int, processes: int, elapsed_s: float
) -> FilledCache:
    cache.refresh()
    use = cache.use()
    skipped = f", {counts['skipped']:,} page(s) skipped" if counts["skipped"] else ""
    say(
        f"{counts['read']:,} images were there, {counts['computed']:,} computed, {counts['not_kept']:,} not kept"
        f"{skipped}; {use.num_images:,} take {told_size(use.num_bytes)} in {cache.folder}"
    )
    return FilledCache(
        folder=str(cache.folder),
        pages=num_pages,
        found=counts["read"],
        computed=counts["computed"],
        not_kept=counts["not_kept"],
        skipped=counts["skipped"],
        bad_shards=counts["bad_shards"],
        images=use.num_images,
        bytes=use.num_bytes,
        processes=processes,
        elapsed_s=round(elapsed_s, 1),
    )
