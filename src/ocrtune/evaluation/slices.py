"""Scores of parts of the pages: by source, script, length, or whatever a column says."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from ocrtune.evaluation.intervals import Intervals, measure_intervals
from ocrtune.evaluation.summary import Rates, count_chars, sum_up
from ocrtune.records import PageScore

MOST_VALUES = 30
"""Values of a column that are slices of their own, those with the most pages; the others are one slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The pages that have one value in a column.

    Attributes:
        column: Its name.
        value: As text; empty for pages that the column says nothing about.
        pages: How many pages.
        cer: Their character error rate.
        intervals: By bootstrap over their documents.
    """

    column: str
    value: str
    pages: int
    cer: Rates
    intervals: Intervals

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "column": self.column,
            "value": self.value,
            "pages": self.pages,
            "cer": asdict(self.cer),
            "intervals": self.intervals.as_dict(),
        }


def slice_scores(
    scores: Sequence[PageScore], documents: Sequence[str], columns: Mapping[str, Sequence[str]]
) -> tuple[Slice, ...]:
    """A slice for each value of each column, as `group_pages` has them.

    Args:
        scores: Of all pages.
        documents: The document of each page.
        columns: Name → the value for each page.
    """
    return tuple(
        _slice(column, value, [scores[index] for index in pages], [documents[index] for index in pages])
        for column, value, pages in group_pages(columns)
    )


def group_pages(columns: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, list[int]]]:
    """Column, value and pages of each slice, those with the most pages first; a column with one value makes none."""
    for column, values in columns.items():
        groups: dict[str, list[int]] = defaultdict(list)
        for index, value in enumerate(values):
            groups[value].append(index)
        if len(groups) > 1:
            ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
            yield from ((column, value, pages) for value, pages in _bounded(ordered))


def _bounded(groups: list[tuple[str, list[int]]]) -> list[tuple[str, list[int]]]:
    kept, others = groups[:MOST_VALUES], groups[MOST_VALUES:]
    if len(others) <= 1:
        return groups
    rest = sorted(index for _, pages in others for index in pages)
    return [*kept, (f"{len(others)} other values", rest)]


def _slice(column: str, value: str, scores: Sequence[PageScore], documents: Sequence[str]) -> Slice:
    return Slice(
        column=column,
        value=value,
        pages=len(scores),
        cer=sum_up(scores, count_chars),
        intervals=measure_intervals(scores, documents, ("cer",)),
    )
