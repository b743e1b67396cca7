"""Which examples share a row: packs that fill a budget of tokens, and the example that a pack is as one.

A pack is a tuple of places of examples. An example longer than the budget is a pack by itself: it needs no more memory
than it does unpacked, and nothing is left out.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from random import Random

import numpy as np

from ocrtune.errors import InputsError
from ocrtune.records import ModelInputs

IGNORED = -100
"""The label of a position that is no target."""

WINDOW = 4096
"""Examples that best fit places with each other; a random part of more."""

LENGTH_JITTER = 0.1
"""Lengths count as alike within this share, so that other examples meet in each epoch."""

MOST_CARRIED = 8
"""Packs of a window, the emptiest, that are taken apart for the next window."""

LOOK_AHEAD = 64
LOOK_AHEAD_PACKS = 4
"""Packing along an order chooses among so many examples, and as many as fill so many packs."""

ROOM_LEFT = 0.02
"""A pack filled but for this share is full: using up the short examples for a perfect fit leaves long ones that fit
nowhere."""

Pack = tuple[int, ...]
Lengths = Sequence[int]


def best_fit(order: Iterable[int], lengths: Lengths, budget: int) -> list[Pack]:
    """Puts each example, as they come, where it leaves the least room; into a new pack where it fits nowhere.

    Args:
        order: Places of examples; from long to short for good packs.
        lengths: Tokens by place.
        budget: Most tokens of a pack.
    """
    packs: list[list[int]] = []
    # (room, pack) of those with room, the fullest first.
    rooms: list[tuple[int, int]] = []
    for place in order:
        length = lengths[place]
        # Best fit: the least room that is enough.
        found = bisect_left(rooms, (length, -1))
        if found < len(rooms):
            room, number = rooms.pop(found)
            packs[number].append(place)
        else:
            room, number = budget, len(packs)
            packs.append([place])
        if room > length:
            insort(rooms, (room - length, number))
    return [tuple(pack) for pack in packs]


def choose_pack(lengths: Sequence[int], budget: int) -> list[int]:
    """Places of the examples of a pack: the first, and the longest others that still can fill the budget.

    All sums that the others can make are known as bits of a number, so the room is filled as well as can be.

    Args:
        lengths: Tokens of each example; at least one.
        budget: Most tokens; a first example that is longer is a pack by itself.
    """
    room = budget - lengths[0]
    if room <= 0:
        return [0]
    others = sorted(range(1, len(lengths)), key=lambda place: -lengths[place])
    fits = (1 << (room + 1)) - 1
    # Bit n of reachable[k]: some of the others from the k-th on are n tokens together.
    reachable = [1]
    for place in reversed(others):
        reachable.append((reachable[-1] | reachable[-1] << lengths[place]) & fits)
    reachable.reverse()
    least = max(min(reachable[0].bit_length() - 1, room - int(ROOM_LEFT * budget)), 0)
    pack = [0]
    for number, place in enumerate(others, start=1):
        if lengths[place] > room:
            continue
        least_left, room_left = max(least - lengths[place], 0), room - lengths[place]
        if reachable[number] >> least_left & ((1 << (room_left - least_left + 1)) - 1):
            pack.append(place)
            least, room = least_left, room_left
    return sorted(pack)


def needs_more(num_examples: int, num_tokens: int, budget: int) -> bool:
    """Whether more examples are to be looked at before `choose_pack` chooses among so many."""
    return num_examples < LOOK_AHEAD or num_tokens < LOOK_AHEAD_PACKS * budget


def pack_along(places: Sequence[int], lengths: Lengths, budget: int, order: Random) -> list[Pack]:
    """Packs along a random order, each filled from a few examples that come next; good where many are long."""
    coming = list(places)
    order.shuffle(coming)
    coming.reverse()
    packs: list[Pack] = []
    ahead: list[int] = []
    tokens_ahead = 0
    while coming:
        while coming and needs_more(len(ahead), tokens_ahead, budget):
            ahead.append(coming.pop())
            tokens_ahead += lengths[ahead[-1]]
        if coming:
            chosen = set(choose_pack([lengths[place] for place in ahead], budget))
            packs.append(tuple(ahead[rank] for rank in sorted(chosen)))
            tokens_ahead -= num_tokens(packs[-1], lengths)
            ahead = [place for rank, place in enumerate(ahead) if rank not in chosen]
    last = (
        best_fit(_from_long_to_short(ahead, lengths, order), lengths, budget),
        pack_tightly(ahead, lengths, budget),
    )
    return packs + min(last, key=len)


def pack_tightly(places: Sequence[int], lengths: Lengths, budget: int) -> list[Pack]:
    """All examples from long to short by best fit; how many packs there are depends on the lengths alone."""
    return best_fit(sorted(places, key=lambda place: (-lengths[place], place)), lengths, budget)


def pack_by_size(places: Sequence[int], lengths: Lengths, budget: int, order: Random) -> list[Pack]:
    """Packs by best fit in windows of a random order, lengths blurred; good where short examples fill gaps."""
    shuffled = list(places)
    order.shuffle(shuffled)
    packs: list[Pack] = []
    left: list[int] = []
    for start in range(0, len(shuffled), WINDOW):
        window = left + shuffled[start : start + WINDOW]
        made = best_fit(_from_long_to_short(window, lengths, order), lengths, budget)
        made.sort(key=lambda pack: -num_tokens(pack, lengths))
        kept = len(made) if start + WINDOW >= len(shuffled) else max(len(made) - MOST_CARRIED, 1)
        packs += made[:kept]
        left = [place for pack in made[kept:] for place in pack]
    return packs


def split_packs(packs: Sequence[Pack], count: int) -> list[Pack]:
    """As many packs as `count`: those of the most examples are halved; fewer where no pack has two examples left."""
    heap = [(-len(pack), number, pack) for number, pack in enumerate(packs)]
    heapq.heapify(heap)
    number = len(heap)
    while number < count and heap[0][0] < -1:
        _, _, pack = heapq.heappop(heap)
        middle = len(pack) // 2
        for half in (pack[:middle], pack[middle:]):
            heapq.heappush(heap, (-len(half), number + len(heap), half))
        number += 1
    return [pack for _, _, pack in sorted(heap, key=lambda item: item[1])]


def num_tokens(pack: Pack, lengths: Lengths) -> int:
    """Tokens of a pack."""
    return sum(lengths[place] for place in pack)


def capacity(pack_tokens: int, budget: int) -> int:
    """Tokens that could stand where a pack of `pack_tokens` does: the budget, or its only example's."""
    return max(pack_tokens, budget)


def fill(packs: Iterable[Pack], lengths: Lengths, budget: int) -> float:
    """Share of the packs' capacity that holds tokens; 0 of no packs."""
    tokens = [num_tokens(pack, lengths) for pack in packs]
    return sum(tokens) / max(sum(capacity(count, budget) for count in tokens), 1)


def join_examples(inputs: Sequence[ModelInputs]) -> ModelInputs:
    """Several examples as one, one behind the other; the first position of each is no target of the one before.

    Raises:
        InputsError: There are none.
    """
    if not inputs:
        raise InputsError("a pack of no examples")
    labels = np.concatenate([example.labels for example in inputs])
    labels[np.cumsum([0, *(len(example) for example in inputs[:-1])])] = IGNORED
    return ModelInputs(
        input_ids=np.concatenate([example.input_ids for example in inputs]),
        labels=labels,
        image_mask=np.concatenate([example.image_mask for example in inputs]),
        views=tuple(view for example in inputs for view in example.views),
        num_prompt_tokens=inputs[0].num_prompt_tokens,
        name=", ".join(example.name for example in inputs),
        where=inputs[0].where,
    )


def _from_long_to_short(places: Sequence[int], lengths: Lengths, order: Random) -> list[int]:
    """Places by lengths that `order` blurs."""
    blurred = [
        (-lengths[place] * order.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER), rank)
        for rank, place in enumerate(places)
    ]
    # By rank and not by place: a mixture may hold a place twice.
    return [places[rank] for _, rank in sorted(blurred)]
