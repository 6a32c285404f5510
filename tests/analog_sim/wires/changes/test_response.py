"""What a change of one cell does, against differences of the naive nodal solution."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import WiresError, response, simple, smooth_modes


def test_modes_are_orthonormal_and_begin_with_the_mean() -> None:
    for n in (1, 2, 3, 50):
        m = smooth_modes(n)
        assert m.shape == (min(4, n), n)
        np.testing.assert_allclose(m @ m.T, np.eye(len(m)), atol=1e-12)
        np.testing.assert_allclose(m[0], n**-0.5)


@pytest.mark.parametrize("drive", ["left", "right", "both"])
def test_the_response_is_the_derivative(drive: str) -> None:
    """dI_j / dg_ij is reach times the voltage across the cell: of the fields, and of one driven word line, to the order of the lines."""
    random = np.random.default_rng(45)
    g, wires = random.uniform(1e-5, 1e-4, (6, 5)), simple(10.0, 15.0, driver=30.0, drive=drive, sense_at="both")
    modes = smooth_modes(6)
    found = response(g, wires, modes)
    v = np.concatenate([modes, np.eye(6)])
    for i in range(6):
        for j in range(5):
            step = np.zeros((6, 5))
            step[i, j] = 1e-5 * g[i, j]
            slope = (naive.nodal(g + step, wires, v)[0] - naive.nodal(g - step, wires, v)[0])[:, j] / (2e-5 * g[i, j])
            np.testing.assert_allclose(found.reach[i, j] * found.fields[:, i, j], slope[:4], rtol=2e-3, atol=1e-4)
            np.testing.assert_allclose(found.reach[i, j] * found.local[i, j], slope[4 + i], rtol=2e-3)


def test_bad_cells_are_refused() -> None:
    with pytest.raises(WiresError, match=r"cell \(0, 1\)"):
        response(np.array([[1e-5, -1e-5]]), simple(1.0, 1.0), np.ones((1, 1)))
