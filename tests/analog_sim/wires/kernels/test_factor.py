"""Factors of lines against dense solves of each line."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import factored, simple
from analog_sim.wires.changes.response import line_resistance
from analog_sim.wires.network import line_profile
from analog_sim.wires.single import solve_bits, solve_words

ENDS = [
    {},
    {"drive": "right", "sense_at": "top"},
    {"drive": "both", "sense_at": "both"},
    {"far_ends": "grounded", "driver": 3.0, "sense": 7.0},
]


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8), (11, 17)], ids=str)
def test_line_solves_are_dense_solves(ends: dict[str, object], shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    g, topology = random.uniform(0.0, 1e-3, shape), simple(2.0, 5.0, **ends)
    b = random.normal(size=shape)
    net, word, bit = factored(g, topology), topology.word, topology.bit
    words = [
        np.linalg.solve(naive.line_matrix(g[i], 2.0, word.first.conductance, word.last.conductance), b[i])
        for i in range(shape[0])
    ]
    bits = [
        np.linalg.solve(naive.line_matrix(g[:, j], 5.0, bit.first.conductance, bit.last.conductance), b[:, j])
        for j in range(shape[1])
    ]
    np.testing.assert_allclose(solve_words(net, b), words, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(solve_bits(net, b).T, bits, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (11, 17)], ids=str)
def test_line_resistances_are_dense_inverses(ends: dict[str, object], shape: tuple[int, int]) -> None:
    g, word = np.random.default_rng(3).uniform(0.0, 1e-3, shape), simple(2.0, 5.0, **ends).word
    wanted = [
        np.diag(np.linalg.inv(naive.line_matrix(line, 2.0, word.first.conductance, word.last.conductance)))
        for line in g
    ]
    np.testing.assert_allclose(line_resistance(g, word), wanted, rtol=1e-10)


@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_profiles_are_responses_to_the_active_ends(ends: dict[str, object]) -> None:
    g, topology = np.random.default_rng(2).uniform(0.0, 1e-3, (11, 5)), simple(2.0, 5.0, **ends)
    net, bit, word = factored(g, topology), topology.bit, topology.word
    p = net.profile[:11, :5]
    np.testing.assert_allclose(line_profile(g, bit), p, rtol=1e-12)
    for j in range(5):
        source = np.zeros(11)
        source[0] += bit.first.active_conductance
        source[-1] += bit.last.active_conductance
        np.testing.assert_allclose(
            p[:, j],
            np.linalg.solve(naive.line_matrix(g[:, j], 5.0, bit.first.conductance, bit.last.conductance), source),
            rtol=1e-10,
        )
    np.testing.assert_allclose(net.dh[:11, :5], g * line_profile(np.ascontiguousarray(g.T), word).T, rtol=1e-12)


def test_no_cancellation_on_long_lines_of_tiny_cells() -> None:
    """A chain of 1e13 ohm cells on 1 mOhm segments: the usual elimination, pivot d + 2/r - (1/r)^2 / pivot, loses every digit here."""
    g = np.full((300, 3), 1e-13)
    p = line_profile(g, simple(1e-3, 1e-3).bit)
    np.testing.assert_allclose(1.0 - p[0], g[0] * 1e-3 * 300 * 301 / 2, rtol=2e-3)
    np.testing.assert_allclose(factored(g, simple(1e-3, 1e-3)).dh[:300, :3], g, rtol=1e-12)
