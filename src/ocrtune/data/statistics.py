"""What a data set looks like in numbers, for `--json` and for reports."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from ocrtune.data.facts import NO_COUNT, Collected, Rows, suffix_counts
from ocrtune.data.vocabulary import ScriptTokens, Vocabulary
from ocrtune.records import Page

NUM_BINS = 24
MOST_DOCUMENTS_TOLD = 20
MOST_NOISY_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often values are there.

    Attributes:
        edges: One more than there are counts; the last bin holds its upper edge too.
        counts: Values between two edges.
        num_values: All of them.
        mean: Of all; 0 of none, as the following.
        median: Of all.
        least: Of all.
        most: Of all.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    num_values: int
    mean: float
    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAt:
    """A page by its place.

    Attributes:
        source: Which of the sources that were checked together, from 0.
        page: Its index in the source.
        value: What it is listed for, such as edits a character; None where a finding says it.
    """

    source: int
    page: int
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatistics:
    """Numbers of all pages of all sources.

    Attributes:
        aspect_ratios: Width by height of the images, in bins of equal ratios.
        megapixels: Of the images, in bins of equal ratios.
        characters: Of the normalised texts, as all that follows in bins of equal width.
        image_tokens: Of the pages; empty without a budget.
        text_tokens: Of the pages; empty without a tokenizer.
        tiles: Of the pages; empty without a budget.
        pages_per_document: Of the documents.
        largest_documents: Pages of the largest documents, by name.
        suffixes: Images by suffix.
        worst: Of each code the first pages it was found on.
        noisiest: Pages whose text is farthest from the baseline, worst first, with edits a character.
        vocabulary: Tokens that each script of the texts takes, the most written one first; empty without a tokenizer.
    """

    aspect_ratios: Histogram
    megapixels: Histogram
    characters: Histogram
    image_tokens: Histogram
    text_tokens: Histogram
    tiles: Histogram
    pages_per_document: Histogram
    largest_documents: Mapping[str, int] = field(default_factory=dict)
    suffixes: Mapping[str, int] = field(default_factory=dict)
    worst: Mapping[str, tuple[PageAt, ...]] = field(default_factory=dict)
    noisiest: tuple[PageAt, ...] = ()
    vocabulary: tuple[ScriptTokens, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def measure(parts: Sequence[Sequence[Page]], facts: Sequence[Collected]) -> DatasetStatistics:
    """The numbers of all pages of sources that were checked together."""
    rows = joined([each.pages for each in facts])
    pictures = joined([each.pictures for each in facts])
    opened = pictures[pictures["height"] > 0]
    width, height = opened["width"].astype(np.float64), opened["height"].astype(np.float64)
    documents, counts = np.unique(rows["document"], return_counts=True)
    return DatasetStatistics(
        aspect_ratios=histogram(width / height, by_ratio=True),
        megapixels=histogram(width * height / 1e6, by_ratio=True),
        characters=_known(rows["characters"]),
        image_tokens=_known(rows["image_tokens"]),
        text_tokens=_known(rows["text_tokens"]),
        tiles=_known(rows["tiles"]),
        pages_per_document=histogram(counts),
        largest_documents=_largest(parts, facts, documents, counts),
        suffixes=suffix_counts(sum((each.suffixes for each in facts), start=type(facts[0].suffixes)())),
        worst=_worst(facts),
        noisiest=_noisiest(facts),
        vocabulary=join_vocabularies(facts).scripts(),
    )


def join_vocabularies(facts: Sequence[Collected]) -> Vocabulary:
    """How the texts of all sources fit the tokenizer."""
    whole = Vocabulary()
    for each in facts:
        whole.merge(each.vocabulary)
    return whole


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts as one; of a single part itself, which may be large."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def histogram(values: NDArray[np.generic], *, by_ratio: bool = False) -> Histogram:
    """How often values are there, in at most `NUM_BINS` bins of equal width, or of equal ratio of their edges.

    Args:
        values: (n,); over 0 for bins of equal ratio.
        by_ratio: Bins of equal ratio.
    """
    if not len(values):
        return Histogram(edges=(), counts=(), num_values=0, mean=0.0, median=0.0, least=0.0, most=0.0)
    numbers = values.astype(np.float64)
    least, most = float(numbers.min()), float(numbers.max())
    if by_ratio:
        edges = np.geomspace(least, most, NUM_BINS + 1) if most > least else np.array([least, least])
        edges[0], edges[-1] = least, most
    else:
        edges = _whole_edges(least, most)
    counts = np.histogram(numbers, edges)[0] if most > least else np.array([len(numbers)])
    return Histogram(
        edges=tuple(float(f"{edge:.6g}") for edge in edges),
        counts=tuple(counts.tolist()),
        num_values=len(numbers),
        mean=float(numbers.mean()),
        median=float(np.median(numbers)),
        least=least,
        most=most,
    )


def _whole_edges(least: float, most: float) -> NDArray[np.float64]:
    """Edges between counts: whole numbers, so that every bin can hold as many values as its neighbours."""
    step = max(1, int(np.ceil((most - least + 1) / NUM_BINS)))
    num_bins = int(np.ceil((most - least + 1) / step))
    return least + step * np.arange(num_bins + 1, dtype=np.float64)


def _known(values: NDArray[np.generic]) -> Histogram:
    return histogram(values[values != NO_COUNT])


def _largest(
    parts: Sequence[Sequence[Page]],
    facts: Sequence[Collected],
    documents: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> dict[str, int]:
    largest: dict[str, int] = {}
    for place in np.argsort(-counts, kind="stable")[:MOST_DOCUMENTS_TOLD].tolist():
        for pages, each in zip(parts, facts, strict=True):
            found = np.flatnonzero(each.pages["document"] == documents[place])
            if len(found):
                largest[pages[int(found[0])].document] = int(counts[place])
                break
    return largest


def _worst(facts: Sequence[Collected]) -> dict[str, tuple[PageAt, ...]]:
    worst: dict[str, tuple[PageAt, ...]] = {}
    for source, each in enumerate(facts):
        for code, pages in each.gathered.worst().items():
            at = tuple(PageAt(source=source, page=page) for page in pages)
            worst[code] = (*worst.get(code, ()), *at)
    return worst


def _noisiest(facts: Sequence[Collected]) -> tuple[PageAt, ...]:
    found: list[PageAt] = []
    for source, each in enumerate(facts):
        noise = each.pages["noise"]
        known = np.flatnonzero(noise > 0)
        most = known[np.argsort(-noise[known], kind="stable")[:MOST_NOISY_TOLD]].tolist()
        found += [PageAt(source=source, page=page, value=round(float(noise[page]), 4)) for page in most]
    return tuple(sorted(found, key=lambda at: -(at.value or 0.0))[:MOST_NOISY_TOLD])
