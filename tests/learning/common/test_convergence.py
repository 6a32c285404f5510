import pytest

from learning.common.convergence import STILL_TO_GAIN, to_gain


@pytest.mark.parametrize(
    ("half", "last", "gain"),
    [(0.90, 0.95, 0.05), (0.95, 0.90, 0.05), (0.80, 0.999, 0.001), (0.97, 0.97, 0.0), (-3.0, 0.2, 0.8)],
)
def test_what_is_left_is_the_smaller_of_the_last_gain_and_the_errors(half: float, last: float, gain: float) -> None:
    assert to_gain(half, last) == pytest.approx(gain)


def test_a_quarter_of_a_point_is_converged() -> None:
    assert to_gain(0.9, 0.902) < STILL_TO_GAIN < to_gain(0.9, 0.903)
