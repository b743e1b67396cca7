"""What of a page is more than text: tables, formulas, boxes, reading order and JSON, each scored where it is there."""

from collections.abc import Callable, Iterator

from ocrtune.evaluation.boxes import find_boxes, score_boxes
from ocrtune.evaluation.formulas import find_formulas, formula_ned
from ocrtune.evaluation.json_fields import is_json, score_json
from ocrtune.evaluation.order import find_blocks, order_ned
from ocrtune.evaluation.table_markup import find_tables
from ocrtune.evaluation.tables import score_tables

HIGHER_IS_BETTER = {
    "teds": True,
    "teds_structure": True,
    "formula_ned": False,
    "box_iou": True,
    "box_f1": True,
    "box_label_f1": True,
    "order_ned": False,
    "json_accuracy": True,
}
"""Every measure of `score_structures`; all lie between 0 and 1."""

_FEWEST_BLOCKS = 2


def score_structures(reference: str, prediction: str) -> dict[str, float]:
    """The measures that a page calls for; none where its reference is plain text of one block.

    A reference with tables is scored by `teds` and `teds_structure`, with formulas by `formula_ned`, with boxes by
    `box_iou`, `box_f1` and `box_label_f1`, with two blocks or more by `order_ned`. A JSON object or list is
    scored by `json_accuracy` and nothing else.

    Args:
        reference: What stands on the page; not normalised, or line breaks and special tokens may be lost.
        prediction: What the model answered, likewise.
    """
    if is_json(reference):
        return {"json_accuracy": score_json(reference, prediction).accuracy}
    return dict(score for measure in _MEASURES for score in measure(reference, prediction))


def _tables(reference: str, prediction: str) -> Iterator[tuple[str, float]]:
    tables = find_tables(reference)
    if tables:
        scores = score_tables(tables, find_tables(prediction))
        yield "teds", scores.teds
        yield "teds_structure", scores.teds_structure


def _formulas(reference: str, prediction: str) -> Iterator[tuple[str, float]]:
    formulas = find_formulas(reference)
    if formulas:
        yield "formula_ned", formula_ned(formulas, find_formulas(prediction))


def _boxes(reference: str, prediction: str) -> Iterator[tuple[str, float]]:
    boxes = find_boxes(reference)
    if any(box.box is not None for box in boxes):
        scores = score_boxes(boxes, find_boxes(prediction))
        yield "box_iou", scores.iou
        yield "box_f1", scores.f1
        yield "box_label_f1", scores.label_f1


def _order(reference: str, prediction: str) -> Iterator[tuple[str, float]]:
    if "\n" not in reference and "<|det|>" not in reference:
        return
    blocks = find_blocks(reference)
    if len(blocks) >= _FEWEST_BLOCKS:
        yield "order_ned", order_ned(blocks, find_blocks(prediction))


_MEASURES: tuple[Callable[[str, str], Iterator[tuple[str, float]]], ...] = (
    _tables,
    _formulas,
    _boxes,
    _order,
)
