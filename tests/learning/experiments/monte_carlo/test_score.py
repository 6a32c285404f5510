"""Accuracy, R2 and mean squared error: values against a second implementation, and how they are written."""

import numpy as np
import pytest
from sklearn.metrics import mean_squared_error, r2_score

from analog_sim.config import UserError
from learning.data.dataset import NumericTargets
from learning.experiments.monte_carlo.metrics import Interval
from learning.experiments.monte_carlo.score import ACCURACY, R2, evaluated, score_of


def targets(*scale: float) -> NumericTargets:
    return NumericTargets(
        tuple(f"t{k}" for k in range(len(scale))), np.zeros(len(scale), np.float32), np.array(scale, np.float32)
    )


def test_r2_and_mean_squared_error_equal_scikit_learn_in_the_unit_of_the_data() -> None:
    rng = np.random.default_rng(0)
    t = rng.standard_normal((50, 2)).astype(np.float32)
    o = (t + 0.3 * rng.standard_normal((50, 2))).astype(np.float32)
    scale = np.array([10.0, 0.5], np.float32)
    found = evaluated(o, t, targets(*scale))
    assert found["r2"] == pytest.approx(r2_score(t.astype(float), o.astype(float)), rel=1e-9)
    assert found["mse"] == pytest.approx(mean_squared_error(t.astype(float) * scale, o.astype(float) * scale), rel=1e-6)


def test_perfect_mean_and_worse_predictions() -> None:
    t = np.array([[1.0], [2.0], [3.0]])
    assert evaluated(t, t, targets(3.0)) == {"r2": 1.0, "mse": 0.0}
    assert evaluated(np.full((3, 1), 2.0), t, targets(3.0)) == {"r2": 0.0, "mse": pytest.approx(9.0 * 2 / 3)}
    assert evaluated(-t, t, targets(1.0))["r2"] < -10
    with pytest.raises(UserError, match="not finite"):
        evaluated(np.full((3, 1), np.inf), t, targets(1.0))
    assert evaluated(np.eye(3), np.array([0, 1, 1]), None) == {"accuracy": pytest.approx(2 / 3)}


def test_how_scores_are_written() -> None:
    assert (score_of(None), score_of(targets(1.0))) == (ACCURACY, R2)
    interval = Interval(0.97, 0.96, 0.98, 5, "Student-t")
    assert (ACCURACY.shown(0.97314), R2.shown(0.97314)) == ("97.31 %", "0.9731")
    assert (ACCURACY.text(interval), R2.text(interval)) == ("97.00 [96.00, 98.00]", "0.9700 [0.9600, 0.9800]")
    assert (ACCURACY.gap(-0.0025), R2.gap(-0.0025)) == ("0.25 points", "0.0025")
    assert (ACCURACY.axis, R2.axis, ACCURACY.heading, R2.heading) == ("accuracy (%)", "R2", "accuracy %", "R2")
    assert np.isnan(R2.of_one(0.9, 100).low)
    assert ACCURACY.of_one(0.9, 100).low < 0.9
