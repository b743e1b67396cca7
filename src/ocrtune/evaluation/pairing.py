"""Things of a reference and of a prediction → pairs: in the order they stand in, or best ones first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_PAIRS = 4_000_000
"""So many similarities are looked at; of more, the end of the longer side stays unpaired."""

Similarities = NDArray[np.float32]
"""(references, predictions), each of 0 to 1."""


def pair_in_order(similarities: Similarities) -> list[tuple[int, int]]:
    """The pairs with the greatest sum of similarities of which no two cross.

    As many as the shorter side has where that costs nothing: of equal sums the one with more pairs is taken.

    Args:
        similarities: (references, predictions).
    """
    num_rows, num_columns = similarities.shape
    best = np.zeros((num_rows + 1, num_columns + 1))
    for row in range(1, num_rows + 1):
        paired = best[row - 1, :-1] + similarities[row - 1]
        best[row, 1:] = np.maximum.accumulate(np.maximum(best[row - 1, 1:], paired))
    return _walk_back(best, similarities)


def pair_best_first(similarities: Similarities, *, at_least: float) -> list[tuple[int, int]]:
    """The most similar pair, then the most similar of what is left, and so on; each thing is in one pair at most.

    Of equal pairs the one that stands first in the reference, then in the prediction, is taken.

    Args:
        similarities: (references, predictions).
        at_least: Pairs less similar than this are none.
    """
    rows, columns = np.nonzero(similarities >= at_least)
    order = np.argsort(-similarities[rows, columns], kind="stable")
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    return sorted(pairs)


def within_limit(references: Sequence[object], predictions: Sequence[object]) -> tuple[int, int]:
    """How many of each side can be compared, each with each: all, or the begin of the longer side."""
    most_references = max(len(references), 1)
    most_predictions = max(len(predictions), 1)
    if most_references * most_predictions <= MOST_PAIRS:
        return len(references), len(predictions)
    half = int(MOST_PAIRS**0.5)
    if most_references <= most_predictions:
        kept = min(len(references), half)
        return kept, MOST_PAIRS // kept
    kept = min(len(predictions), half)
    return MOST_PAIRS // kept, kept


def _walk_back(best: NDArray[np.float64], similarities: Similarities) -> list[tuple[int, int]]:
    row, column = similarities.shape
    pairs = []
    while row and column:
        if best[row, column] == best[row - 1, column - 1] + similarities[row - 1, column - 1]:
            pairs.append((row - 1, column - 1))
            row, column = row - 1, column - 1
        elif best[row, column] == best[row - 1, column]:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]
