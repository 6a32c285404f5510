"""Variance of read noise: the transfer against finite differences of the effective matrix, and the fast form against the exact one."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import exact_variance, noise_transfer, simple


def test_the_exact_variance_is_the_sum_of_derivatives() -> None:
    """dI_k / dg_ij by differences of the naive nodal solution, cell by cell."""
    random = np.random.default_rng(26)
    g, sigma, v = random.uniform(1e-5, 1e-3, (4, 3)), random.uniform(1e-6, 1e-5, (4, 3)), random.normal(size=(2, 4))
    wires = simple(20.0, 30.0, driver=50.0, sense_at="both", far_ends="grounded")
    wanted = np.zeros((2, 3))
    for i in range(4):
        for j in range(3):
            step = np.zeros((4, 3))
            step[i, j] = 1e-5 * g[i, j]
            slope = (naive.nodal(g + step, wires, v)[0] - naive.nodal(g - step, wires, v)[0]) / (2e-5 * g[i, j])
            wanted += (slope * sigma[i, j]) ** 2
    np.testing.assert_allclose(exact_variance(g, sigma, wires, v), wanted, rtol=1e-6)


@pytest.mark.jit
def test_drawn_noise_has_the_exact_variance() -> None:
    """1500 draws of all cells: the standard deviation of a variance is sqrt(2 / 1500) = 3.7 %; five of them, for 6 values."""
    random = np.random.default_rng(27)
    g, v, wires = random.uniform(1e-5, 1e-3, (6, 3)), random.normal(size=(2, 6)), simple(10.0, 10.0)
    sigma = 1e-3 * g
    from analog_sim.wires import currents, factored

    drawn = np.stack(
        [currents(factored(g + sigma * random.normal(size=g.shape), wires), v, 1e-10) for _ in range(1500)]
    )
    np.testing.assert_allclose(drawn.var(0), exact_variance(g, sigma, wires, v), rtol=0.185)


@pytest.mark.jit
@pytest.mark.parametrize(("size", "ohm", "bound"), [(64, 1.0, 0.005), (256, 1.0, 0.03), (128, 5.0, 0.03)])
def test_the_fast_form(size: int, ohm: float, bound: float) -> None:
    random = np.random.default_rng(28)
    g, wires = random.uniform(1e-6, 1e-4, (size, size)), simple(ohm, ohm)
    sigma = 0.02 * g + 1e-7
    v = np.stack([random.uniform(0.0, 1.0, size), random.uniform(-1.0, 1.0, size), 1.0 * (random.random(size) < 0.1)])
    exact, fast = exact_variance(g, sigma, wires, v), noise_transfer(g, wires).variance(sigma, v)
    assert np.abs(np.sqrt(fast / exact) - 1.0).max() < bound
    plain = (v**2) @ sigma**2
    assert np.abs(np.sqrt(plain / exact) - 1.0).max() > 0.03, "without the transfer it would be wrong"


def test_hardly_any_wire_is_the_plain_sum() -> None:
    random = np.random.default_rng(29)
    g, v = random.uniform(1e-6, 1e-4, (6, 5)), random.normal(size=(2, 6))
    found = noise_transfer(g, simple(1e-6, 1e-6)).variance(0.1 * g, v)
    np.testing.assert_allclose(found, (v**2) @ (0.1 * g) ** 2, rtol=1e-7)
