"""The sparse reference against the naive nodal solution."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import WiresError, simple
from analog_sim.wires.reference import solve


@pytest.mark.parametrize(
    "ends", [{}, {"drive": "both", "sense_at": "top", "far_ends": "grounded", "selector": 500.0}], ids=str
)
def test_currents_and_voltages(ends: dict[str, object]) -> None:
    random = np.random.default_rng(18)
    g, v, wires = random.uniform(1e-6, 1e-3, (4, 3)), random.normal(size=(2, 4)), simple(2.0, 3.0, driver=10.0, **ends)
    found = solve(g, wires, v)
    wanted, volts = naive.nodal(g, wires, v)
    np.testing.assert_allclose(found.currents, wanted, rtol=1e-10)
    for i in range(4):
        for j in range(3):
            np.testing.assert_allclose(found.word[:, i, j], volts["u", i, j], rtol=1e-10)
            np.testing.assert_allclose(found.bit[:, i, j], volts["w", i, j], rtol=1e-9)
    assert found.residual < 1e-13


def test_segments_of_zero_ohm_are_refused() -> None:
    with pytest.raises(WiresError, match="needs segments above 0 ohm"):
        solve(np.ones((2, 2)), simple(0.0, 1.0), np.ones(2))
