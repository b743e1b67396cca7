import pytest

from ocrtune import progress


def told(capsys, monkeypatch, items, total):
    """What is said of items that take ten seconds each."""
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    list(progress.track(items, "predicting", total=total))
    return capsys.readouterr().err.splitlines()


def test_lines_tell_speed_and_time_left(capsys, monkeypatch):
    lines = told(capsys, monkeypatch, range(4), 4)
    assert lines[0] == "predicting: 0 of 4, 10 s"
    assert lines[1:] == [
        "predicting: 1 of 4, 20 s, 20.0 s each, 60 s left",
        "predicting: 2 of 4, 30 s, 15.0 s each, 30 s left",
        "predicting: 3 of 4, 40 s, 13.3 s each, 13 s left",
    ]


def test_nobody_knows_the_end_of_a_stream(capsys, monkeypatch):
    assert (
        told(capsys, monkeypatch, (number for number in range(2)), None)[-1]
        == "predicting: 1, 20 s, 20.0 s each"
    )


@pytest.mark.parametrize(("per_s", "words"), [(12.34, "12.3/s"), (1.0, "1.0/s"), (0.25, "4.0 s each")])
def test_a_speed_below_one_is_told_by_the_time_each_takes(per_s, words):
    assert progress._speed(per_s) == words
