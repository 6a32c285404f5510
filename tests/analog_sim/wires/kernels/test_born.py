"""The series and the deflation against dense matrices."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import factored, simple
from analog_sim.wires.basis import modes
from analog_sim.wires.kernels import born
from analog_sim.wires.series import NARROW, deflation, leaves_cache, polynomials, probe_moments, series_matrix

ENDS = [{}, {"drive": "both", "sense_at": "both"}, {"drive": "right", "sense_at": "top", "far_ends": "grounded"}]


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (17, 4)], ids=str)
def test_terms_of_the_series(ends: dict[str, object], shape: tuple[int, int]) -> None:
    g, topology = np.random.default_rng(5).uniform(0.0, 2e-3, shape), simple(3.0, 4.0, driver=5.0, **ends)
    m, n, p, sources = naive.operators(g, topology)
    net = factored(g, topology)
    profile = np.linalg.solve(m, p)
    term, wanted = sources, []
    for _ in range(5):
        wanted.append(profile.T @ term)
        term = n @ np.linalg.solve(m, term)
    none = np.zeros((0, shape[1])), np.zeros((0, len(net.d)))
    for k in range(5):
        c = np.zeros(k + 1)
        c[k] = 1.0
        np.testing.assert_allclose(series_matrix(net, c, *none), wanted[k].T, rtol=1e-10, atol=1e-18)
    v = np.random.default_rng(6).normal(size=(8, shape[0]))
    np.testing.assert_allclose(probe_moments(net, v, 4), [v @ w.T for w in wanted], rtol=1e-9, atol=1e-17)


def test_order_one_without_segments_on_the_word_lines() -> None:
    """The kernel of order 1 counts in segments of the word lines: where they are 0 ohm the general one takes its place."""
    g = np.random.default_rng(5).uniform(0.0, 2e-3, (9, 12))
    none = np.zeros((0, 12)), np.zeros((0, 16))
    nearly, without = (factored(g, simple(ohm, 4.0, driver=5.0)) for ohm in (1e-9, 0.0))
    c = np.array([0.3, 0.7])
    np.testing.assert_allclose(series_matrix(without, c, *none), series_matrix(nearly, c, *none), rtol=1e-9)


@pytest.mark.jit
def test_fields_in_float32_stay_within_the_stated_error() -> None:
    g = np.random.default_rng(9).uniform(1e-6, 1e-4, (250, 504))
    net = factored(g, simple(2.0, 2.0))
    basis = modes(net, 8, np.zeros((0, 2), np.int64))
    c = polynomials(2, basis.rho)
    factors = deflation(net, basis, 2, 1).factors(net, c)
    assert leaves_cache(net)
    wide, narrow = series_matrix(net, c.c, *factors), series_matrix(net, c.c, *factors, NARROW)
    np.testing.assert_array_equal(series_matrix(net, c.c, *factors, 0.9 * NARROW), wide)
    error = (np.abs(narrow - wide).max(1) / np.abs(wide).max(1)).max()
    assert 0.0 < error < NARROW
    v = np.random.default_rng(10).uniform(0.0, 1.0, (3, 250))
    np.testing.assert_allclose(v @ narrow, v @ wide, rtol=0.0, atol=1e-9 * np.abs(v @ wide).max())


def test_powers_and_products_of_the_basis() -> None:
    shape = (10, 7)
    g, topology = np.random.default_rng(7).uniform(0.0, 2e-3, shape), simple(3.0, 4.0, sense_at="both")
    net = factored(g, topology)
    basis = modes(net, 5, np.array([[2, 3], [9, 3], [0, 6]]))
    found = deflation(net, basis, 5, 2)
    assert len(found.shares) == 5
    x = np.stack(
        [np.outer(basis.bit_shapes[:10, k], basis.word_modes[basis.mode_of[k]]).ravel() for k in range(basis.size)], 1
    )
    m, n, _, sources = naive.operators(g, topology)
    fields = [np.linalg.solve(m, n @ x)]
    for _ in range(4):
        fields.append(np.linalg.solve(m, n @ fields[-1]))
    for k in range(4):
        np.testing.assert_allclose(found.gram[k], x.T @ n @ fields[k], rtol=1e-8, atol=1e-11 * np.abs(found.gram).max())
    both = np.concatenate(fields[:2], 1)
    a, b, d = (found.gram[k] - found.gram[k + 1] for k in range(3))
    np.testing.assert_allclose(
        np.block([[a, b], [b, d]]), both.T @ (m - n) @ both, rtol=1e-7, atol=1e-9 * np.abs(a).max()
    )
    for k, field in enumerate(fields):
        np.testing.assert_allclose(found.shares[k, :10], sources.T @ field, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.ends[k, 0], field.reshape(*shape, -1)[0].T, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(found.ends[k, 1], field.reshape(*shape, -1)[-1].T, rtol=1e-9, atol=1e-14)


def test_dependent_fields_are_left_out() -> None:
    random = np.random.default_rng(8)
    a = random.normal(size=(5, 5))
    gram = a @ a.T
    scale = np.sqrt(np.diag(gram))
    gram = np.pad(gram / np.outer(scale, scale), (0, 1))
    right = random.normal(size=(6, 8))
    wanted = np.linalg.solve(gram[:5, :5], right[:5])
    assert born.solve_gram(gram.copy(), right) == 1
    np.testing.assert_allclose(right[:5], wanted, rtol=1e-9)
    np.testing.assert_array_equal(right[5], 0.0)


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("rho", [0.0, 0.01, 0.7])
def test_polynomials(order: int, rho: float) -> None:
    """The remainder is 1 - (1 - x) q(x), the product of both factors, 1 at x = 1 and small on [0, rho]."""
    c = polynomials(order, rho)
    x = np.linspace(0.0, 1.0, 11)
    value = np.polynomial.polynomial.polyval
    np.testing.assert_allclose(1.0 - (1.0 - x) * value(x, c.c), value(x, c.first) * value(x, c.second), atol=1e-9)
    assert len(c.c) == order + 1
    assert value(1.0, c.first) * value(1.0, c.second) == pytest.approx(1.0)
    bound = 1.0 / np.cosh((order + 1) * np.arccosh(2.0 / rho - 1.0)) if rho else 0.0
    inside = np.linspace(0.0, rho, 50)
    assert np.abs(value(inside, c.first) * value(inside, c.second)).max() <= bound * (1 + 1e-6) + 1e-14
