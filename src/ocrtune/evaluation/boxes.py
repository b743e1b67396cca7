"""Boxes of grounded answers: how well those of a prediction lie on those of a reference."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocrtune.evaluation.pairing import Similarities, pair_best_first, within_limit

ENOUGH_IOU = 0.5
"""Two boxes that share this part of the area they cover together are one and the same."""

_ANY_IOU = 1e-9
"""More than nothing, less than two boxes on the scale can share."""

_NUMBER = r"\s*-?\d{1,9}\s*"
_BOX = re.compile(rf"\[({_NUMBER}),({_NUMBER}),({_NUMBER}),({_NUMBER})\]")
_MARK = re.compile(
    r"(?:<\|ref\|>(?P<ref>(?:(?!<\|)[^\n])*)<\|/ref\|>\s*)?"
    r"<\|det\|>(?P<inside>(?:(?!<\|)[^\n])*)(?P<end><\|/det\|>)?"
)


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box of an answer.

    Attributes:
        label: What the model calls it: `text`, `title`, `table` and the like, or the text that stands there.
        box: Left, top, right and bottom on the scale of 0 to 999; None where nothing could be read.
    """

    label: str
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class BoxScores:
    """How well boxes match.

    Attributes:
        iou: Mean of intersection over union of the pairs, whatever their labels; 0 without any.
        precision: Share of the predicted boxes that are right.
        recall: Share of the reference's boxes that were found.
        f1: Harmonic mean of both.
        label_precision: As `precision`, where the label must be right too.
        label_recall: As `recall`, likewise.
        label_f1: As `f1`, likewise.
    """

    iou: float
    precision: float
    recall: float
    f1: float
    label_precision: float
    label_recall: float
    label_f1: float


def find_boxes(text: str) -> list[LabelledBox]:
    """The boxes of an answer, in its order, in the form of either kind of family.

    `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2], …]<|/det|>` has one or several boxes of a label,
    `<|det|>label [x1, y1, x2, y2]<|/det|>` one. A mark without a box that can be read gives one without place.
    """
    if "<|det|>" not in text:
        return []
    return [box for mark in _MARK.finditer(text) for box in _boxes_of(mark)]


def score_boxes(references: Sequence[LabelledBox], predictions: Sequence[LabelledBox]) -> BoxScores:
    """Match boxes one to one, the pair of greatest IoU first, and count those of an IoU of 0.5 and more as right.

    A predicted box that cannot be read is one that is wrong; one of the reference is left out.

    Args:
        references: One box at least.
        predictions: The boxes of the answer.
    """
    wanted = [box for box in references if box.box is not None]
    num_wanted, num_found = within_limit(wanted, predictions)
    ious = _ious(wanted[:num_wanted], predictions[:num_found])
    pairs = pair_best_first(ious, at_least=_ANY_IOU)
    same_label = np.array(
        [[one.label == other.label for other in predictions[:num_found]] for one in wanted[:num_wanted]]
    ).reshape(ious.shape)
    right = sum(bool(ious[pair] >= ENOUGH_IOU) for pair in pairs)
    right_label = len(
        pair_best_first(np.where(same_label, ious, 0.0).astype(np.float32), at_least=ENOUGH_IOU)
    )
    return BoxScores(
        float(np.mean([ious[pair] for pair in pairs])) if pairs else float(not wanted and not predictions),
        *_rates(right, len(predictions), len(wanted)),
        *_rates(right_label, len(predictions), len(wanted)),
    )


def _rates(right: int, num_found: int, num_wanted: int) -> tuple[float, float, float]:
    """Precision, recall and F1; all 1 where there is nothing on either side."""
    if not num_found and not num_wanted:
        return 1.0, 1.0, 1.0
    precision = right / num_found if num_found else 0.0
    recall = right / num_wanted if num_wanted else 0.0
    return precision, recall, 2 * right / (num_found + num_wanted)


def _boxes_of(mark: re.Match[str]) -> list[LabelledBox]:
    inside = mark["inside"]
    found = [tuple(int(number) for number in numbers) for numbers in _BOX.findall(inside)]
    label = (inside.split("[", 1)[0] if mark["ref"] is None else mark["ref"]).strip()
    if not found or mark["end"] is None:
        return [LabelledBox(label, None)]
    return [
        LabelledBox(label, (left, top, right, bottom) if left <= right and top <= bottom else None)
        for left, top, right, bottom in found
    ]


def _ious(wanted: Sequence[LabelledBox], found: Sequence[LabelledBox]) -> Similarities:
    """Intersection over union of each pair; 1 for equal boxes without area, 0 for what cannot be read."""
    one, other = _corners(wanted)[:, None, :], _corners(found)[None, :, :]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    covered = _area(one) + _area(other) - shared
    ious: Similarities = np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0).astype(
        np.float32
    )
    ious[(one == other).all(axis=-1)] = 1.0
    return ious


def _corners(boxes: Sequence[LabelledBox]) -> NDArray[np.float64]:
    unread = (np.nan,) * 4
    return np.array([box.box or unread for box in boxes], dtype=np.float64).reshape(-1, 4)


def _area(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (corners[..., 2:] - corners[..., :2]).prod(axis=-1)
    return area
