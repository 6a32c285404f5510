"""Steps from ramps of known cells, with and without cells that do not answer."""

from __future__ import annotations

import numpy as np
import pytest

from analog_sim.config import UserError
from learning.experiments.calibration.pulse_response import RampTables, fit_ramps

LOW, HIGH, NOISE = 1e-6, 11e-6, 2e-8


def ramps(still: int, cells: int = 24, pulses: int = 8, reads: int = 120) -> dict[str, np.ndarray]:
    """Two ramps up and two down of soft cells (step 0.4 % of the window at the near end, down to a tenth of it), some of which stay."""
    rng = np.random.default_rng(5)
    g, rows = np.where(np.arange(cells) < still, 2e-6, LOW), []
    for sequence, up in enumerate((True, False, True, False)):
        for _ in range(reads):
            rows.append((sequence, up, g + NOISE * rng.standard_normal(cells)))
            for _ in range(pulses):
                u = (g - LOW) / (HIGH - LOW)
                step = 0.004 * (HIGH - LOW) * (1.0 - 0.9 * u if up else 0.1 + 0.9 * u)
                g = np.where(np.arange(cells) < still, g, np.clip(g + (step if up else -step), LOW, HIGH))
    count = len(rows) * cells
    return {
        "cell": np.tile(np.arange(cells), len(rows)),
        "g": np.concatenate([row[2] for row in rows]),
        "sequence": np.repeat([row[0] for row in rows], cells),
        "n": np.full(count, pulses),
        "up": np.repeat([row[1] for row in rows], cells),
    }


def middle(found: RampTables) -> tuple[float, float]:
    half = len(found.mean_up) // 2
    return float(found.mean_up[half]), float(found.mean_down[half])


def test_cells_that_do_not_answer_stay_in_the_twin_and_do_not_spoil_the_others() -> None:
    """The noise of a still cell, taken for its window, once made steps of others meaningless and a twin's cells NaN."""
    expected = 0.004 * (HIGH - LOW) * 0.55
    for still in (0, 3):
        found = fit_ramps(ramps(still), NOISE)
        np.testing.assert_allclose(middle(found), (expected, -expected), rtol=0.05)
        assert (found.up[:still] == 0.0).all()
        assert (found.down[:still] == 0.0).all()
        assert (found.gain_up[still:] > 0.8).all()
        np.testing.assert_allclose(np.diff(found.windows)[:, 0], HIGH - LOW, rtol=0.05)


def test_a_chip_that_does_not_answer_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="did not move"):
        fit_ramps(ramps(24), NOISE)
