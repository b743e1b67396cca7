import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation.boxes import LabelledBox, find_boxes, score_boxes
from ocrtune.families import FAMILIES
from ocrtune.families.grounding import ground

places = st.integers(0, 999)
boxes = st.builds(
    lambda label, x, y, right, bottom: LabelledBox(
        label, (min(x, right), min(y, bottom), max(x, right), max(y, bottom))
    ),
    st.sampled_from(["text", "title"]),
    places,
    places,
    places,
    places,
)
pages = st.lists(boxes, min_size=1, max_size=6)


def text(*corners, label="text") -> LabelledBox:
    return LabelledBox(label, corners)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_boxes_are_found_as_each_family_writes_them(family):
    answer = "\n\n".join(
        [
            ground("title", (1, 2, 30, 40), "# A [1, 2, 3, 4]", family),
            ground("text", (0, 50, 999, 999), "b", family),
        ]
    )
    assert find_boxes(answer) == [
        LabelledBox("title", (1, 2, 30, 40)),
        LabelledBox("text", (0, 50, 999, 999)),
    ]


def test_one_label_may_have_several_boxes():
    answer = "<|ref|>the king<|/ref|><|det|>[[1,2,3,4], [5, 6, 7, 8]]<|/det|>"
    assert find_boxes(answer) == [
        LabelledBox("the king", (1, 2, 3, 4)),
        LabelledBox("the king", (5, 6, 7, 8)),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        "<|ref|>text<|/ref|><|det|>[[1, 2, 3]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[9, 2, 3, 4]]<|/det|>",
        "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4",
        "<|det|>text<|/det|>",
        "<|det|>text [1, 2, 3, 99999999999]<|/det|>",
    ],
)
def test_a_mark_that_cannot_be_read_is_a_box_without_place_and_counts_as_wrong(broken):
    assert find_boxes(broken) == [LabelledBox("text", None)]
    scores = score_boxes([text(0, 0, 10, 10)], [text(0, 0, 10, 10), *find_boxes(broken)])
    assert (scores.precision, scores.recall) == (0.5, 1.0)


def test_values_found_by_hand():
    wanted = [text(0, 0, 10, 10, label="title"), text(0, 20, 10, 30)]
    found = [text(0, 0, 10, 5), text(0, 20, 10, 24), text(50, 50, 60, 60)]
    scores = score_boxes(wanted, found)
    assert scores.iou == pytest.approx((0.5 + 0.4) / 2)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert (scores.label_precision, scores.label_recall, scores.label_f1) == (0, 0, 0)


def test_boxes_match_one_to_one_the_best_pair_first():
    wanted = [text(0, 0, 10, 10), text(0, 0, 10, 12)]
    found = [text(0, 0, 10, 12), text(0, 0, 10, 12)]
    scores = score_boxes(wanted, found)
    assert scores.iou == pytest.approx((1 + 10 / 12) / 2)
    assert scores.f1 == 1
    assert score_boxes(wanted[:1], found).precision == 0.5


def test_labels_are_looked_at_before_boxes_are_paired():
    wanted = [text(0, 0, 10, 10, label="title"), text(0, 0, 10, 9)]
    found = [text(0, 0, 10, 9, label="title"), text(0, 0, 10, 10)]
    scores = score_boxes(wanted, found)
    assert (scores.iou, scores.label_f1) == (1, 1)


def test_boxes_without_area_match_only_themselves():
    assert score_boxes([text(5, 5, 5, 5)], [text(5, 5, 5, 5)]).f1 == 1
    assert score_boxes([text(5, 5, 5, 5)], [text(0, 0, 10, 10)]).f1 == 0


@given(pages, pages)
def test_scores_are_symmetric_between_0_and_1_and_1_for_the_same(one, other):
    same, forth, back = score_boxes(one, one), score_boxes(one, other), score_boxes(other, one)
    assert (same.iou, same.f1, same.label_f1) == (1, 1, 1)
    assert 0 <= forth.iou <= 1
    assert 0 <= forth.label_f1 <= 1
    assert forth.f1 == back.f1
    assert (forth.precision, forth.recall) == (back.recall, back.precision)
    assert forth.iou == pytest.approx(back.iou, abs=1e-6) or len({box.box for box in one + other}) < len(
        one + other
    )
    empty = score_boxes(one, [])
    assert (empty.iou, empty.f1) == (0, 0)
