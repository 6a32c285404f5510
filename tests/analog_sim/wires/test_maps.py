"""Voltages everywhere, Kirchhoff's law, and energy: what drivers supply is what the array dissipates."""

import naive_wires as naive
import numpy as np
import pytest
from hypothesis import given
from wires_helpers import arrays

from analog_sim.wires import Topology, simple, solve_maps


@given(arrays())
def test_books_are_balanced(case: tuple[np.ndarray, Topology]) -> None:
    g, topology = case
    v = np.random.default_rng(19).uniform(-1.0, 1.0, len(g))
    found = solve_maps(g, topology, v)
    wanted, volts = naive.nodal(g, topology, v[None])
    scale = np.abs(wanted).max() or 1.0
    assert np.abs(found.currents - wanted).max() <= 1e-8 * scale
    for (kind, *place), value in volts.items():
        if kind in ("u", "w"):
            field = found.word if kind == "u" else found.bit
            assert field[tuple(place)] == pytest.approx(value[0], abs=1e-9)
    wire = min(r for r in (topology.word.segment, topology.bit.segment, 1.0) if r > 0.0)
    rounding = 1e-15 / wire  # of a segment's current, a difference of neighbouring voltages
    assert found.residual <= 1e-8 + rounding / max(np.abs(wanted).max(), 1e-12)
    assert found.supplied == pytest.approx(found.dissipated, rel=1e-7, abs=20 * rounding * len(g))


def test_cell_currents_flow_from_word_to_bit_line() -> None:
    g = np.random.default_rng(20).uniform(1e-5, 1e-4, (5, 4))
    found = solve_maps(g, simple(5.0, 5.0), np.ones(5))
    np.testing.assert_allclose(found.cell, g * (found.word - found.bit))
    np.testing.assert_allclose(found.cell.sum(0), found.currents, rtol=1e-8)
    assert (np.diff(found.word, axis=1) < 0.0).all(), "word lines drop away from the driver at the left"
    assert (np.diff(found.bit, axis=0) < 0.0).all(), "bit lines drop towards the sense amplifiers at the bottom"
