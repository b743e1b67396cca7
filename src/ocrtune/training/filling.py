"""The feature cache of a run, filled before it: by one process, by several of our own, or by those of torchrun."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from ocrtune.config import Config
from ocrtune.data import build_example
from ocrtune.errors import ConfigError, InputsError, SourceError
from ocrtune.inputs import encode
from ocrtune.inputs.collate import collate
from ocrtune.models import OcrModel
from ocrtune.models.feature_cache import FeatureCache
from ocrtune.models.feature_folders import told_size
from ocrtune.models.known_features import FeatureSource
from ocrtune.models.precision import detect_device
from ocrtune.progress import say, track
from ocrtune.records import Example, ModelInputs
from ocrtune.training.data import TrainingData, prepare_data
from ocrtune.training.feature_decision import find_obstacle
from ocrtune.training.features import RunFeatures, open_features
from ocrtune.training.folder import RunFolder
from ocrtune.training.processes import join_processes
from ocrtune.training.train import Plan, load_tuned, make_plan_in

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledCache:
    """What filling a cache came to.

    Attributes:
        folder: Where the features lie.
        pages: Pages of the run, held-out ones included.
        found: Images whose features were there already.
        computed: Images whose features were computed now.
        not_kept: Those of them that were not kept, because the limit or the disk was reached.
        skipped: Pages that could not be opened; training says what is wrong with them.
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
            work and each has one.

    Raises:
        ConfigError: Features of a page change from step to step, or no page comes twice.
        OcrtuneError: As in training: pages, model or recipe are wrong.
    """
    started = time.monotonic()
    config = _switched_on(config)
    plan = _make_plan(config)
    data = prepare_data(config, plan.recipe, plan.tokenizer)
    features, model = _open(plan, data)
    examples = _examples(plan, data, features)
    state = PartialState()
    if processes > 1 and state.num_processes == 1:
        del model
        counts = _fill_in_processes(config, features.cache, examples, processes)
    else:
        share = examples[state.process_index :: state.num_processes]
        counts = _fill(plan, model, features.cache, track(share, "computing vision features"))
    state.wait_for_everyone()
    return _result(
        features.cache,
        _summed(gather_object([counts])),
        num_pages=len(examples),
        processes=max(processes, state.num_processes),
        elapsed_s=time.monotonic() - started,
    )


def _switched_on(config: Config) -> Config:
    section = config.training.feature_cache.model_copy(update={"use": "on"})
    training = config.training.model_copy(update={"feature_cache": section})
    return config.model_copy(update={"training": training})


def _make_plan(config: Config) -> Plan:
    device = detect_device(config.training.device)
    processes = join_processes(device)
    # No run begins: its folder is only where a base model may have to be made.
    folder = RunFolder(Path(config.run.folder), processes.is_main_process)
    return make_plan_in(folder, config, device, processes)


def _open(plan: Plan, data: TrainingData) -> tuple[RunFeatures, OcrModel]:
    config = plan.config
    model = load_tuned(plan).model
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
    """Every page whose features are kept."""
    train: Iterable[Example] = ()
    if features.training is not None and data.stream is not None:
        train = (
            build_example(
                data.stream.page(number),
                plan.family,
                prompt=plan.recipe.prompt,
                normalization=plan.recipe.normalization,
                with_targets=False,
            )
            for number in range(data.num_train_pages)
        )
    elif features.training is not None:
        train = data.train.examples  # type: ignore[union-attr]
    return [*train, *data.validation]


def _fill(plan: Plan, model: OcrModel, cache: FeatureCache, examples: Iterable[Example]) -> Counter[str]:
    """Compute what is missing of these pages; counts what became of their images."""
    source = FeatureSource(cache, plan.policy.autocast)
    counts: Counter[str] = Counter()
    batch: list[ModelInputs] = []
    threads = max(1, plan.loading.threads, plan.loading.processes)
    with ThreadPoolExecutor(threads, thread_name_prefix="encode") as pool:
        for inputs in _ahead(pool, lambda example: _encoded(plan, cache, example), examples, 2 * threads):
            if inputs is None:
                counts["skipped"] += 1
                continue
            counts["read"] += len(inputs.views) - len(inputs.opened)
            if inputs.opened:
                batch.append(replace(inputs, views=inputs.opened))
            if len(batch) == plan.config.training.batch_size:
                _complete(plan, model, source, batch)
                batch = []
        _complete(plan, model, source, batch)
    cache.flush()
    counts.update(source.counts)
    counts["not_kept"] += cache.use().num_not_kept
    return counts


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Example], ModelInputs | None],
    examples: Iterable[Example],
    most: int,
) -> Iterator[ModelInputs | None]:
    """What the work gives for each example, done in threads a little ahead of who takes it."""
    waiting: deque[Future[ModelInputs | None]] = deque()
    for example in examples:
        waiting.append(pool.submit(work, example))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _encoded(plan: Plan, cache: FeatureCache, example: Example) -> ModelInputs | None:
    try:
        return encode(example, plan.recipe, plan.tokenizer, cache)
    except (SourceError, InputsError) as error:
        say(f"skipped: {example.name}: {error.message}")
        return None


def _complete(plan: Plan, model: OcrModel, source: FeatureSource, batch: Sequence[ModelInputs]) -> None:
    if not batch:
        return
    dtype = plan.policy.torch_dtype(plan.policy.base_dtype)
    collated = collate(batch, plan.family, pad_id=plan.tokenizer.pad_id, dtype=dtype)
    source.complete(model, collated.to(model.device).native())


def _fill_in_processes(
    config: Config, cache: FeatureCache, examples: Sequence[Example], processes: int
) -> Counter[str]:
    context = get_context("spawn")
    with SyncManager(ctx=context) as manager, ProcessPoolExecutor(processes, mp_context=context) as pool:
        done: Queue[int] = manager.Queue()
        shares = [
            pool.submit(_fill_share, config, cache, list(examples[rank::processes]), (rank, processes), done)
            for rank in range(processes)
        ]
        for _ in track(_counted(done, shares), "computing vision features", total=len(examples)):
            pass
        return _summed(share.result() for share in shares)


def _counted(done: "Queue[int]", shares: Sequence[Future[Any]]) -> Iterator[int]:
    """Something for each page that is taken up, until all processes have ended."""
    while not all(share.done() for share in shares) or not done.empty():
        try:
            yield done.get(timeout=_LOOK_EVERY_S)
        except Empty:
            continue


def _fill_share(
    config: Config, cache: FeatureCache, examples: list[Example], place: tuple[int, int], done: "Queue[int]"
) -> Counter[str]:
    """The work of one process of our own; its place is its number, and of how many."""
    rank, processes = place
    os.environ["RANK"] = str(rank + 1)  # the one that started it speaks for all
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    if torch.cuda.is_available():
        torch.cuda.set_device(rank % torch.cuda.device_count())
    plan = _make_plan(config)
    return _fill(plan, load_tuned(plan).model, cache, _telling(examples, done))


def _telling(examples: Iterable[Example], done: "Queue[int]") -> Iterator[Example]:
    for example in examples:
        yield example
        done.put(1)


def _summed(counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _result(
    cache: FeatureCache, counts: Counter[str], *, num_pages: int, processes: int, elapsed_s: float
) -> FilledCache:
    cache.refresh()
    use = cache.use()
    say(
        f"{counts['read']:,} images were there, {counts['computed']:,} computed, {counts['not_kept']:,} not kept; "
        f"{use.num_images:,} take {told_size(use.num_bytes)} in {cache.folder}"
    )
    return FilledCache(
        folder=str(cache.folder),
        pages=num_pages,
        found=counts["read"],
        computed=counts["computed"],
        not_kept=counts["not_kept"],
        skipped=counts["skipped"],
        images=use.num_images,
        bytes=use.num_bytes,
        processes=processes,
        elapsed_s=round(elapsed_s, 1),
    )
