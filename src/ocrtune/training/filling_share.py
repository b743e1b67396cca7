"""A share of the pages of a run: the vision features that are missing of them, computed and kept."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ocrtune.config import Config
from ocrtune.errors import InputsError, SourceError
from ocrtune.inputs import encode
from ocrtune.inputs.collate import collate
from ocrtune.models import OcrModel
from ocrtune.models.feature_cache import FeatureCache
from ocrtune.models.known_features import FeatureSource
from ocrtune.models.load import load_vision
from ocrtune.models.precision import detect_device
from ocrtune.records import Example, ModelInputs
from ocrtune.training.folder import RunFolder
from ocrtune.training.processes import join_processes
from ocrtune.training.train import Plan, make_plan_in

TITLE = "computing vision features"
"""What the bar says."""

Encoded = Iterator[ModelInputs | None]
"""Inputs of each page; None for one that is skipped."""


def make_plan_to_fill(config: Config) -> Plan:
    """The plan of the run, without the run."""
    device = detect_device(config.training.device)
    processes = join_processes(device)
    # No run begins: its folder is only where a base model may have to be made.
    folder = RunFolder(Path(config.run.folder), processes.is_main_process)
    return make_plan_in(folder, config, device, processes)


def load_to_fill(plan: Plan) -> OcrModel:
    """What features are computed by, without the decoder."""
    model = load_vision(
        plan.base, dtype=plan.policy.base_dtype, device=plan.device.kind, family=plan.family.name
    )
    model.vision_chunk_views = plan.config.training.vision_chunk_views
    return model


def fill_share(
    plan: Plan,
    model: OcrModel,
    cache: FeatureCache,
    examples: Iterable[Example],
    *,
    follow: Callable[[Encoded], Encoded],
    tell: Callable[[str], None],
) -> Counter[str]:
    """Compute what is missing of these pages; counts what became of their images.

    Args:
        plan: Of the run.
        model: Its vision part is enough.
        cache: Where features are kept; written also where an error or a signal ends the work.
        examples: The pages.
        follow: Gives on what becomes of each page, and so knows how far the work is; it may end early.
        tell: Takes what people are to know.
    """
    cache.tell = tell
    source = FeatureSource(cache, plan.policy.autocast)
    try:
        counts = _work_through(plan, model, source, follow(_encode_all(plan, cache, examples, tell)))
    finally:
        cache.flush()
    counts.update(source.counts)
    use = cache.use()
    counts.update(not_kept=use.num_not_kept, bad_shards=use.num_bad_shards)
    return counts


def _work_through(plan: Plan, model: OcrModel, source: FeatureSource, encoded: Encoded) -> Counter[str]:
    counts: Counter[str] = Counter()
    batch: list[ModelInputs] = []
    for inputs in encoded:
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
    return counts


def _encode_all(
    plan: Plan, cache: FeatureCache, examples: Iterable[Example], tell: Callable[[str], None]
) -> Encoded:
    """Inputs of each page, made in threads a little ahead; None where it is skipped."""
    threads = max(1, plan.loading.threads, plan.loading.processes)
    with ThreadPoolExecutor(threads, thread_name_prefix="encode") as pool:
        yield from _ahead(pool, lambda example: _encoded(plan, cache, example, tell), examples, 2 * threads)


def _ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Example], ModelInputs | None],
    examples: Iterable[Example],
    most: int,
) -> Encoded:
    """What the work gives for each example, done in threads a little ahead of who takes it."""
    waiting: deque[Future[ModelInputs | None]] = deque()
    for example in examples:
        waiting.append(pool.submit(work, example))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _encoded(
    plan: Plan, cache: FeatureCache, example: Example, tell: Callable[[str], None]
) -> ModelInputs | None:
    try:
        return encode(example, plan.recipe, plan.tokenizer, cache)
    except (SourceError, InputsError) as error:
        tell(f"skipped: {example.name}: {error.message}")
        return None


def _complete(plan: Plan, model: OcrModel, source: FeatureSource, batch: Sequence[ModelInputs]) -> None:
    if not batch:
        return
    dtype = plan.policy.torch_dtype(plan.policy.base_dtype)
    collated = collate(batch, plan.family, pad_id=plan.tokenizer.pad_id, dtype=dtype)
    source.complete(model, collated.to(model.device).native())


def summed(counts: Iterable[Counter[str]]) -> Counter[str]:
    """The counts of all shares together."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total
