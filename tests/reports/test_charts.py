import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrtune.reports.charts import HEIGHT, WIDTH, describe, line_chart, nice_ticks
from ocrtune.reports.records import Curve, CurvePoint
from ocrtune.reports.wording import format_loss, format_percent_tick


def curve(name, *points):
    return Curve(name=name, points=tuple(CurvePoint(step=step, value=value) for step, value in points))


def drawn(*curves):
    return ET.fromstring(line_chart(curves, title="Loss", unit="nats", format_value=format_loss))


@given(st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_hold_every_value(high):
    ticks = nice_ticks(0, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] == 0
    assert ticks[-1] >= high * (1 - 1e-6)
    step = ticks[1]
    leading = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(leading - round_step) for round_step in (1, 2, 5, 10)) < 1e-6


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=60))
def test_every_point_lies_inside_the_picture(values):
    svg = drawn(curve("loss", *enumerate(values, start=1)))
    circles = svg.findall(".//circle")
    assert len(circles) == len(values)
    for circle in circles:
        assert 0 <= float(circle.get("cx")) <= WIDTH
        assert 0 <= float(circle.get("cy")) <= HEIGHT


def test_a_higher_value_is_drawn_higher_and_a_later_step_further_right():
    first, second = drawn(curve("loss", (1, 4.0), (9, 1.0))).findall(".//circle")
    assert float(first.get("cy")) < float(second.get("cy"))
    assert float(first.get("cx")) < float(second.get("cx"))


def test_each_point_says_its_curve_step_and_value_under_the_pointer():
    title = drawn(curve("training loss", (5, 3.25))).find(".//circle/title")
    assert title.text == "training loss, step 5: 3.25"


def test_the_picture_has_a_text_alternative_and_names_its_axes():
    svg = drawn(curve("a", (1, 2.0), (3, 1.0)), curve("b", (2, 4.0)))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == (
        "Loss: a from 2 at step 1 to 1 at step 3, lowest 1 at step 3; b from 4 at step 2 to 4 at step 2, lowest 4 at step 2"
    )
    units = [text.text for text in svg.findall("text") if text.get("class") == "unit"]
    assert units == ["nats", "optimizer step"]


def test_names_are_escaped():
    svg = drawn(curve('<b>"quoted" & bold</b>', (1, 2.0)))
    assert '<b>"quoted" & bold</b>, step 1: 2' in svg.find(".//circle/title").text


def test_step_ticks_are_whole_numbers():
    svg = drawn(curve("loss", (1, 1.0), (3, 1.0)))
    below = [text.text for text in svg.findall("text") if text.get("text-anchor") == "middle"]
    assert below == ["0", "1", "2", "3", "optimizer step"]


def test_a_curve_in_words_tells_start_end_and_lowest():
    words = describe(curve("CER", (10, 1.2), (20, 0.25), (30, 0.3)), format_percent_tick)
    assert (
        words
        == "120\N{NO-BREAK SPACE}% at step 10 to 30\N{NO-BREAK SPACE}% at step 30, lowest 25\N{NO-BREAK SPACE}% at step 20"
    )


@pytest.mark.parametrize("value", [0.0, 1e-12])
def test_a_curve_of_zeros_can_be_drawn(value):
    assert drawn(curve("loss", (1, value))).find(".//circle") is not None
