"""What pages share with one another: pictures, texts, documents; found in their facts, without opening anything."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ocrtune.data.facts import NO_COUNT, SHAPES, Collected, Rows
from ocrtune.data.fingerprints import MOST_BITS, Indices, find_near_duplicates
from ocrtune.data.gathering import MOST_PLACES_TOLD, Gatherer
from ocrtune.data.hashes import hash_of
from ocrtune.records import Finding, Page
from ocrtune.text import shorten

FEWEST_REPEATS = 5
MOST_REPEATED_SHARE = 0.05
"""A text on more than this share of the pages, and on at least FEWEST_REPEATS, is repeated too often."""

MOST_TEXT_CHARS = 40
"""How much of a repeated text is shown."""

_DIFFER = Finding(
    code="image-texts-differ",
    severity="warning",
    message="the same image has different texts under the same prompt",
    hint="keep the right one: the model cannot learn both",
)
_REPEATED = Finding(
    code="image-repeated",
    severity="note",
    message="the same image is there several times",
    hint="it counts more than others, and splits may part it",
)
_NEAR = Finding(
    code="image-near-duplicate",
    severity="warning",
    message="images look the same and have the same text, as a page that was scanned twice",
    hint="keep one: it counts more than others, and splits may part it",
)
_NEAR_DIFFER = Finding(
    code="image-near-duplicate",
    severity="warning",
    message="images look the same and have different texts",
    hint="a page that was scanned twice needs one text; forms that are filled in differently are right as they are",
)


def gather_repeats(pages: Sequence[Page], facts: Collected, gathered: Gatherer) -> None:
    """Add what pages of one source share to the findings."""
    _gather_same_pictures(pages, facts.pages, gathered)
    _gather_near_duplicates(pages, facts, gathered)
    gathered.add_all(_find_repeated_texts(pages, facts.pages))


def gather_leaks(
    parts: Mapping[str, Sequence[Page]], facts: Mapping[str, Collected], gathered: Gatherer
) -> None:
    """Add what a part of the pages, such as `validation`, shares with one before it to the findings."""
    for ends in _all_ends(parts, facts):
        ends.gather_same(gathered)
        ends.gather_near(gathered)
        ends.gather_documents(gathered)


def gather_near_leaks(
    parts: Mapping[str, Sequence[Page]], facts: Mapping[str, Collected], gathered: Gatherer
) -> None:
    """Add which pages of a part look like some of one before it to the findings."""
    for ends in _all_ends(parts, facts):
        ends.gather_near(gathered)


def pages_shown_in(facts: Collected, others: Sequence[Collected]) -> Indices:
    """Places of the pages with an image that is in one of the others too, int64 (pages,), rising."""
    digests = np.concatenate([other.pictures["digest"] for other in others])
    shared = np.isin(facts.pictures["digest"], digests)
    return np.unique(facts.pictures["page"][shared]).astype(np.int64)


def _all_ends(parts: Mapping[str, Sequence[Page]], facts: Mapping[str, Collected]) -> Iterator["_Ends"]:
    """Each part with each one before it, where both have pages."""
    names = list(parts)
    for number, part in enumerate(names):
        for first in names[:number]:
            if len(parts[first]) and len(parts[part]):
                yield _Ends((first, part), (parts[first], parts[part]), (facts[first], facts[part]))


def equal_groups(keys: NDArray[np.uint64]) -> list[Indices]:
    """Indices of keys that are there several times, rising; groups by their first one."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]]) if len(keys) else order
    sizes = np.diff(np.r_[starts, len(keys)])
    groups = [order[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > 1]
    return sorted(groups, key=lambda group: int(group[0]))


def same_pages(rows: Rows) -> Indices:
    """Pages that say nothing new: pictures, prompt and text are those of an earlier one."""
    known = np.flatnonzero((rows["pictures"] != 0) & (rows["characters"] != NO_COUNT))
    _, first = np.unique(rows[["pictures", "prompt", "text"]][known], return_index=True)
    return np.setdiff1d(known, known[first])


def place_of(page: Page) -> str:
    """Where a page was read, or what it is called."""
    return page.where or page.name


def _gather_same_pictures(pages: Sequence[Page], rows: Rows, gathered: Gatherer) -> None:
    known = np.flatnonzero(rows["pictures"] != 0)
    groups = [known[group] for group in equal_groups(rows["pictures"][known])]
    differing = [group for group in groups if _texts_differ(rows[group])]
    others = [group for group in groups if not _texts_differ(rows[group])]
    _add_groups(pages, differing, _DIFFER, gathered)
    _add_groups(pages, others, _REPEATED, gathered)


def _texts_differ(rows: Rows) -> bool:
    texts: dict[int, int] = {}
    with_text = rows[rows["characters"] != NO_COUNT]
    return any(texts.setdefault(int(row["prompt"]), int(row["text"])) != row["text"] for row in with_text)


def _gather_near_duplicates(pages: Sequence[Page], facts: Collected, gathered: Gatherer) -> None:
    pages_of_groups = [
        np.unique(facts.pictures["page"][group])
        for group in _near_groups(_first_of_each(facts.pictures), facts.pictures)
    ]
    groups = [group for group in pages_of_groups if len(group) > 1]
    differing = [group for group in groups if _texts_differ(facts.pages[group])]
    others = [group for group in groups if not _texts_differ(facts.pages[group])]
    _add_groups(pages, others, _NEAR, gathered)
    _add_groups(pages, differing, _NEAR_DIFFER, gathered)


def _first_of_each(pictures: Rows) -> Indices:
    """Indices of pictures with a fingerprint, each digest once: the same ones are told elsewhere."""
    known = np.flatnonzero(pictures["shape"] != 0)
    return known[np.unique(pictures["digest"][known], return_index=True)[1]]


def _near_groups(indices: Indices, pictures: Rows) -> Iterator[Indices]:
    """Groups of the pictures at `indices` that look alike, as indices of all."""
    for number, shape in enumerate(SHAPES[1:], start=1):
        some = np.sort(indices[pictures["shape"][indices] == number])
        if len(some) > 1:
            for group in find_near_duplicates(pictures["fingerprint"][some], MOST_BITS[shape]):
                yield some[group]


def _add_groups(
    pages: Sequence[Page], groups: Sequence[Indices], finding: Finding, gathered: Gatherer
) -> None:
    if groups:
        places = [_tell_group(pages, group) for group in groups[:MOST_PLACES_TOLD]]
        gathered.add_groups(finding, places, len(groups), [int(group[0]) for group in groups])


def _tell_group(pages: Sequence[Page], group: Indices) -> str:
    told = [place_of(pages[int(index)]) for index in group[:MOST_PLACES_TOLD]]
    more = len(group) - len(told)
    return " = ".join(told) + (f" = {more} more" if more else "")


def _find_repeated_texts(pages: Sequence[Page], rows: Rows) -> Iterator[Finding]:
    written = np.flatnonzero(rows["characters"] > 0)
    _, first, counts = np.unique(rows["text"][written], return_index=True, return_counts=True)
    often = (counts >= FEWEST_REPEATS) & (counts > MOST_REPEATED_SHARE * len(rows))
    for index, count in sorted(zip(written[first[often]].tolist(), counts[often].tolist(), strict=True)):
        yield Finding(
            code="text-repeated",
            severity="warning",
            message=f"{count} of {len(rows)} pages have the text {shorten(pages[index].text or '', MOST_TEXT_CHARS)!r}",
            hint="the model learns to answer it without looking; keep a few of these pages",
            count=count,
        )


class _Ends:
    """Two parts of the pages, the later of which is to share nothing with the earlier."""

    def __init__(
        self,
        names: tuple[str, str],
        pages: tuple[Sequence[Page], Sequence[Page]],
        facts: tuple[Collected, Collected],
    ) -> None:
        self._names = " and ".join(names)
        self._first_pages, self._pages = pages
        self._first, self._facts = facts

    def gather_same(self, gathered: Gatherer) -> None:
        ours, theirs = self._facts.pictures, self._first.pictures
        digests, first = np.unique(theirs["digest"], return_index=True)
        shared = np.flatnonzero(np.isin(ours["digest"], digests))
        twins = first[np.searchsorted(digests, ours["digest"][shared])]
        self._add(
            gathered,
            list(zip(theirs["page"][twins].tolist(), ours["page"][shared].tolist(), strict=True)),
            Finding(
                code="image-leaked",
                severity="error",
                message=f"the same image is in {self._names}: scores would praise memory",
                hint="take it out of one of them, or give both pages the same `document`",
            ),
        )

    def gather_near(self, gathered: Gatherer) -> None:
        theirs, ours = self._first.pictures, self._facts.pictures
        new = np.flatnonzero(~np.isin(ours["digest"], theirs["digest"]) & (ours["shape"] != 0))
        both = np.concatenate([theirs, ours])
        limit = len(theirs)
        pairs = []
        for group in _near_groups(np.r_[_first_of_each(theirs), new + limit], both):
            before, behind = group[group < limit], group[group >= limit]
            if len(before) and len(behind):
                pairs += [(int(both["page"][before[0]]), page) for page in both["page"][behind].tolist()]
        self._add(
            gathered,
            sorted(pairs, key=lambda pair: pair[1]),
            Finding(
                code="image-leaked-near",
                severity="warning",
                message=f"images of {self._names} look the same: scores would praise memory",
                hint="if it is one page scanned twice, take it out of one of them, or give both the same `document`",
            ),
        )

    def gather_documents(self, gathered: Gatherer) -> None:
        named = self._first.pages["document"]
        named = np.where(named == hash_of(""), 0, named)
        _, first, _ = np.intersect1d(named, self._facts.pages["document"], return_indices=True)
        first = np.sort(first)
        if len(first):
            documents = [self._first_pages[index].document for index in first[:MOST_PLACES_TOLD].tolist()]
            gathered.add_groups(
                Finding(
                    code="document-shared",
                    severity="warning",
                    message=f"documents of the same name are in {self._names}",
                    hint="if they are the same, move one; if not, name them apart",
                ),
                [f"document {name!r}" for name in documents],
                len(first),
            )

    def _add(self, gathered: Gatherer, pairs: Sequence[tuple[int, int]], finding: Finding) -> None:
        if pairs:
            places = [
                f"{place_of(self._first_pages[first])} = {place_of(self._pages[second])}"
                for first, second in pairs[:MOST_PLACES_TOLD]
            ]
            gathered.add_groups(finding, places, len(pairs))
