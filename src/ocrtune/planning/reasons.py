"""Why a way to run a recipe was chosen, in sentences."""

from collections.abc import Iterator, Sequence

from ocrtune.planning.cards import GIB
from ocrtune.planning.memory import Forecast
from ocrtune.planning.plan import MOST_OF_MEMORY, Choice, Planner

MIB = 2**20

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


def give_reasons(planner: Planner, choice: Choice, choices: Sequence[Choice]) -> Iterator[str]:
    """Sentences that say why a choice was made of all that were looked at."""
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
        f"the recipe has {planner.examples_of_a_step:.0f}"
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
    elif planner.config.training.feature_cache.use == "off":
        yield "vision features are not kept: the recipe has training.feature_cache.use off"
    elif planner.config.training.epochs <= 1:
        yield "vision features are not kept: each page comes once"
    else:
        yield (
            f"vision features are not kept: they would take {planner.cache_bytes / 1e9:,.0f} GB on disk, more than "
            f"training.feature_cache.limit_gb"
        )


def _largest(memory: Forecast) -> str:
    sizes = sorted(memory.by_part().items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{_WORDS[name]} are {in_gib(size)}" for name, size in sizes)


def describe_part(name: str) -> str:
    """What a part of a forecast holds, for people."""
    return _WORDS[name]


def in_gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / MIB:.0f} MiB"
