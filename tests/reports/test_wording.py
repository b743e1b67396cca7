import pytest

from ocrtune.reports.wording import (
    format_count,
    format_loss,
    format_percent,
    format_percent_tick,
    format_seconds,
    show_controls,
)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0.0\N{NO-BREAK SPACE}%"), (0.0468, "4.7\N{NO-BREAK SPACE}%"), (12.5, "1250.0\N{NO-BREAK SPACE}%")],
)
def test_a_rate_is_a_percentage(rate, text):
    assert format_percent(rate) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0\N{NO-BREAK SPACE}%"),
        (0.025, "2.5\N{NO-BREAK SPACE}%"),
        (0.2, "20\N{NO-BREAK SPACE}%"),
        (1.2, "120\N{NO-BREAK SPACE}%"),
        (12, "1200\N{NO-BREAK SPACE}%"),
    ],
)
def test_a_tick_is_as_short_as_it_can_be(rate, text):
    assert format_percent_tick(rate) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 pages"), (1, "1 page"), (2048, "2,048 pages")])
def test_a_count_agrees_with_its_noun(number, text):
    assert format_count(number, "page") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds, text):
    assert format_seconds(seconds) == text


def test_a_loss_has_three_digits():
    assert format_loss(0.43299) == "0.433"


def test_controls_are_shown_as_pictures_and_line_breaks_stay():
    assert show_controls("a\0b\x1b\x7f\tc\nd ё") == "a␀b␛␡\tc\nd ё"
