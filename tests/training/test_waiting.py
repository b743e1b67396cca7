"""How the time of steps is counted; the clock is set by the test."""

import pytest

from ocrtune.training import waiting as module
from ocrtune.training.waiting import LEAST_TOLD_S, MOST_SHARE, Waiting, waiting_note


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def step(waiting, clock, waited_s, worked_s):
    with waiting.for_batches():
        clock.now += waited_s
    clock.now += worked_s
    waiting.on_step_end()


def test_the_share_is_of_the_time_of_steps_alone(clock):
    waiting = Waiting()
    assert waiting.share is None
    step(waiting, clock, 1, 3)
    clock.now += 100  # held-out pages are read
    step(waiting, clock, 0, 4)
    assert waiting.share == 1 / 8


def test_each_log_has_the_share_since_the_one_before(clock):
    waiting = Waiting()
    assert waiting.take_share() == 0
    step(waiting, clock, 1, 3)
    assert waiting.take_share() == 1 / 4
    step(waiting, clock, 2, 2)
    step(waiting, clock, 0, 4)
    assert waiting.take_share() == 2 / 8
    assert waiting.share == 3 / 12


def test_a_wait_that_ends_in_an_error_is_no_step(clock):
    waiting = Waiting()

    def fail():
        with waiting.for_batches():
            clock.now += 5
            raise ValueError("page")

    with pytest.raises(ValueError, match="page"):
        fail()
    assert waiting.share is None


def test_only_a_run_that_waited_long_and_much_is_told_what_to_do(clock):
    short, rarely, much = Waiting(), Waiting(), Waiting()
    step(short, clock, LEAST_TOLD_S / 2, 0)
    step(rarely, clock, 2 * LEAST_TOLD_S, 2.1 * LEAST_TOLD_S / MOST_SHARE)
    step(much, clock, 10, 30)
    assert waiting_note(Waiting(), "one thread") is None
    assert waiting_note(short, "one thread") is None
    assert waiting_note(rarely, "one thread") is None
    note = waiting_note(much, "one thread")
    assert note is not None
    assert "25%" in note
    assert "one thread" in note
    assert "hint:" in note
