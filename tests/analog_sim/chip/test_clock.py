"""Chip time: sequences add, parallel arrays take the longest."""

import pytest

from analog_sim.chip.clock import Clock


def test_sequences_add_and_parallel_takes_the_longest():
    clock = Clock(10.0)
    with clock.parallel():
        with clock.sequence():
            clock.advance(1.0)
            clock.advance(2.0)
        clock.advance(2.5)
        assert clock.now == 10.0
    assert clock.now == 13.0
    with clock.sequence():
        with clock.parallel():
            clock.advance(1.0)
            clock.advance(0.5)
        clock.advance(1.0)
    assert clock.now == 15.0


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_time_does_not_run_backwards(seconds):
    with pytest.raises(ValueError, match="backwards"):
        Clock().advance(seconds)
