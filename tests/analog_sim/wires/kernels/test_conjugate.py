"""Conjugate gradients against the dense Schur complement."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import Solver, WiresError, factored, simple
from analog_sim.wires.network import staggered
from analog_sim.wires.single import apply_cells, bit_power


@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (10, 3), (9, 16)], ids=str)
def test_solution_currents_and_powers(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    g, topology = random.uniform(0.0, 5e-3, shape), simple(5.0, 3.0, driver=20.0, sense=4.0, sense_at="both")
    m, n, p, _ = naive.operators(g, topology)
    f = random.normal(size=shape)
    net = factored(g, topology)
    w = np.linalg.solve(m - n, f.ravel())
    found = Solver(net, keep=True).inject(f, 1e-11)
    np.testing.assert_allclose(found.w.ravel(), w, rtol=1e-9, atol=1e-9 * np.abs(w).max())
    np.testing.assert_allclose(found.currents, p.T @ w, rtol=1e-9, atol=1e-9 * np.abs(p.T @ w).max())
    np.testing.assert_allclose(Solver(net).inject(f, 1e-11).currents, found.currents, rtol=1e-12)
    np.testing.assert_allclose(apply_cells(net, f).ravel(), n @ f.ravel(), rtol=1e-10, atol=1e-13)
    assert bit_power(net, f) == pytest.approx(f.ravel() @ np.linalg.solve(m, f.ravel()), rel=1e-10)


def test_a_solution_is_followed_from_an_earlier_one() -> None:
    random = np.random.default_rng(4)
    g, v = random.uniform(1e-6, 1e-3, (30, 20)), random.normal(size=30)
    topology = simple(5.0, 5.0)
    before = Solver(factored(g, topology), keep=True).read(v, 1e-8)
    net = factored(g * random.uniform(0.999, 1.001, g.shape), topology)
    fresh = Solver(net, keep=True).read(v, 1e-10)
    f = net.dh[:30, :20] * v[:, None]
    warm = Solver(net, keep=True).follow(f, before.w, 1e-8)
    assert warm.iterations < Solver(net).read(v, 1e-8).iterations
    np.testing.assert_allclose(warm.currents, fresh.currents, atol=1e-7 * np.abs(fresh.currents).max())
    np.testing.assert_allclose(warm.w, fresh.w, atol=1e-7 * np.abs(fresh.w).max())
    same = Solver(net, keep=True).follow(f, fresh.w, 1e-8)
    assert same.iterations == 0
    np.testing.assert_allclose(same.currents, fresh.currents, atol=1e-8 * np.abs(fresh.currents).max())


def test_what_does_not_converge_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analog_sim.wires.single.limit", lambda net: 2)
    net = factored(np.full((12, 12), 1e-2), simple(100.0, 100.0))
    with pytest.raises(
        WiresError,
        match=r"relative residual of .* in 2 iterations, wanted 1\.0e-08: cells of up to 0\.01 S .*too stiff",
    ):
        Solver(net).read(np.ones(12), 1e-8)


def test_starts_of_staggered_arrays_differ_in_their_pages() -> None:
    starts = [x.ctypes.data % 4096 for x in staggered(6, (64, 72))]
    assert len(set(starts)) == 6
    assert all(start % 64 == 0 for start in starts)
