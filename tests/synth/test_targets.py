import numpy as np
import pytest

from ocrtune.families import FAMILIES
from ocrtune.synth.drawing import make_block
from ocrtune.synth.targets import box_of, write_target

SIZE = (1000, 500)
BLOCKS = (make_block("title", "On rain", (100, 0, 900, 50)), make_block("text", "a\nb", (0, 60, 1000, 500)))


def test_a_plain_target_is_the_texts_in_reading_order():
    text = write_target(BLOCKS, SIZE, target="plain", family=FAMILIES["deepseek_ocr"])
    assert text == "On rain\n\na\nb"


@pytest.mark.parametrize("name", ["deepseek_ocr", "deepseek_ocr2"])
def test_deepseek_puts_a_label_before_the_box_and_the_text_on_the_next_line(name):
    text = write_target(BLOCKS, SIZE, target="grounded", family=FAMILIES[name])
    assert text == (
        "<|ref|>title<|/ref|><|det|>[[99, 0, 899, 99]]<|/det|>\nOn rain\n\n"
        "<|ref|>text<|/ref|><|det|>[[0, 119, 999, 999]]<|/det|>\na\nb"
    )


def test_unlimited_puts_the_label_into_the_box_and_the_text_right_behind():
    text = write_target(BLOCKS, SIZE, target="grounded", family=FAMILIES["unlimited_ocr"])
    assert (
        text == "<|det|>title [99, 0, 899, 99]<|/det|>On rain\n\n<|det|>text [0, 119, 999, 999]<|/det|>a\nb"
    )


def test_every_family_can_be_grounded():
    for family in FAMILIES.values():
        assert "<|det|>" in write_target(BLOCKS, SIZE, target="grounded", family=family)


def test_a_box_is_the_bounds_of_all_points_whatever_their_order():
    outline = np.array([(400.0, 250), (100, 100), (250, 50), (300, 400)])
    assert box_of(outline, SIZE) == (99, 99, 399, 799)


def test_points_beyond_the_image_count_as_its_edge():
    outline = np.array([(-50.0, -1), (1200, 501)])
    assert box_of(outline, SIZE) == (0, 0, 999, 999)
    assert box_of(outline + 5000, SIZE) == (999, 999, 999, 999)


def test_places_on_the_scale_are_rounded_down_for_every_pixel_of_a_side():
    for x in range(1001):
        assert box_of(np.array([(x, 0.0), (x, 500)]), SIZE)[::2] == (x * 999 // 1000,) * 2
