import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.evaluation.order import find_blocks, order_ned

ONE, TWO, THREE, FOUR = "The first of all.", "A second block here", "thirdly and lastly", "1904"
blocks = st.lists(st.text("abcd", min_size=1, max_size=5), min_size=1, max_size=6)


def test_blocks_stand_between_blank_lines_and_behind_boxes():
    assert find_blocks("a\nb\n \n\nc  d\r\n\r\ne") == ["a b", "c d", "e"]
    assert find_blocks("<|det|>title [1, 2, 3, 4]<|/det|>a\n<|det|>text [1, 2, 3, 4]<|/det|>b\nc") == [
        "a",
        "b c",
    ]
    assert find_blocks("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\na") == ["a"]
    assert find_blocks(" \n\n ") == []


def test_values_found_by_hand():
    reference = [ONE, TWO, THREE, FOUR]
    assert order_ned(reference, reference) == 0
    assert order_ned(reference, [TWO, THREE, FOUR, ONE]) == 2 / 4  # one block is moved: taken out and put in
    assert order_ned(reference, [ONE, THREE, FOUR]) == 1 / 4
    assert order_ned(reference, [FOUR, THREE, TWO, ONE]) == 4 / 4
    assert order_ned(reference, [ONE, "something else", TWO, THREE, FOUR]) == 0
    assert order_ned(reference, []) == 1


def test_errors_of_reading_do_not_change_the_order():
    assert (
        order_ned([ONE, TWO, THREE], ["The fiirst 0f all", "A sec0nd block here.", "thirdly end lastly"]) == 0
    )
    assert order_ned([ONE, TWO], ["nothing of it", "is on this page at all"]) == 1


def test_blocks_that_are_equal_are_matched_in_their_order():
    assert order_ned([FOUR, ONE, FOUR], [FOUR, ONE, FOUR]) == 0
    assert order_ned([FOUR, ONE, FOUR], [FOUR, FOUR, ONE]) == pytest.approx(2 / 3)


@given(blocks, blocks)
def test_the_distance_lies_between_0_and_1_and_is_0_for_the_same(one, other):
    assert 0 <= order_ned(one, other) <= 1
    assert order_ned(one, list(one)) == 0
    assert order_ned(one, []) == 1
    assert order_ned(one, [*one, "zzzzzzzzzzzz"]) == 0


def test_blank_lines_inside_of_a_table_part_no_blocks():
    table = "<table>\n\n<tr><td>a</td></tr>\n\n\n<tr><td>b</td></tr>\n\n</table>"
    assert find_blocks(table) == ["<table> <tr><td>a</td></tr> <tr><td>b</td></tr> </table>"]
    assert find_blocks(f"one\n\n{table}\n\ntwo")[::2] == ["one", "two"]
    assert find_blocks("<table><tr><td>never closed\n\ntwo") == ["<table><tr><td>never closed", "two"]
