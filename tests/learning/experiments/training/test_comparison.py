"""Whether the digital twin had converged, by its curve."""

import numpy as np

from learning.experiments.monte_carlo.score import ACCURACY
from learning.experiments.runs.result_log import Row
from learning.experiments.training.comparison import of_the_twins

TWIN = "ideal digital twin"
LABELS = np.arange(1000) % 10


def curve(arm: str, seed: int, *accuracies: float) -> list[Row]:
    """Evaluations every 100 samples, the first at 0."""
    return [{"arm": arm, "seed": seed, "samples": 100 * k, "accuracy": value} for k, value in enumerate(accuracies)]


def test_a_twin_that_still_learns_is_named_with_what_it_gained() -> None:
    rows = [*curve(TWIN, 0, 0.1, 0.7, 0.8, 0.83, 0.84), *curve(TWIN, 1, 0.1, 0.7, 0.82, 0.83, 0.86)]
    (told,) = of_the_twins(rows, [TWIN], LABELS, ACCURACY)
    assert "81.00 % after 200 samples, 85.00 % after 400" in told
    assert told.startswith(f"{TWIN}: had not converged")


def test_a_twin_that_has_converged_is_not() -> None:
    rows = [*curve(TWIN, 0, 0.1, 0.9, 0.951, 0.95, 0.952), *curve("chip", 0, 0.1, 0.2, 0.3, 0.5, 0.8)]
    assert of_the_twins(rows, [TWIN], LABELS, ACCURACY) == ()


def test_few_evaluations_are_compared_with_what_there_is() -> None:
    (told,) = of_the_twins(curve(TWIN, 0, 0.1, 0.9), [TWIN], LABELS, ACCURACY)
    assert "10.00 % after 0 samples" in told


def test_no_twin_says_nothing() -> None:
    assert of_the_twins(curve("chip", 0, 0.1, 0.9), [], LABELS, ACCURACY) == ()
    assert of_the_twins([], [TWIN], LABELS, ACCURACY) == ()


def test_a_twin_that_learned_nothing_is_named_though_it_stands_still() -> None:
    (told,) = of_the_twins(curve(TWIN, 0, 0.1, 0.11, 0.11), [TWIN], LABELS, ACCURACY)
    assert "no better than chance (always naming the most frequent class: 10.00 %)" in told
