"""Modes of lines and outlying cells."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import factored, simple
from analog_sim.wires.basis import eigenvalues, line_modes, modes, outliers


@pytest.mark.parametrize("ends", [{}, {"drive": "both"}, {"drive": "right", "far_ends": "grounded"}], ids=str)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_modes_are_eigenvectors_of_a_line(ends: dict[str, str], n: int) -> None:
    line = simple(3.0, 1.0, driver=20.0, **ends).word  # type: ignore[arg-type]
    values, vectors = line_modes(line, n, 4)
    matrix = naive.line_matrix(np.zeros(n), 3.0, line.first.conductance, line.last.conductance)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[: len(values)], rtol=1e-10)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-12)


def test_a_line_of_zero_ohm_has_one_mode() -> None:
    values, vectors = line_modes(simple(0.0, 1.0, driver=20.0).word, 5, 4)
    np.testing.assert_allclose(values, [0.05 / 5])
    np.testing.assert_allclose(vectors, np.full((5, 1), 5**-0.5))


def test_eigenvalues_are_those_of_equal_cells() -> None:
    g, topology = np.full((6, 5), 2e-4), simple(10.0, 20.0, driver=30.0)
    m, n, _, _ = naive.operators(g, topology)
    wanted = np.sort(np.linalg.eigvals(np.linalg.solve(m, n)).real)[::-1]
    np.testing.assert_allclose(eigenvalues(factored(g, topology), 10)[0], wanted[:10], rtol=1e-8)


def test_outliers_are_shorts_on_resistive_paths() -> None:
    g = np.full((20, 20), 1e-5)
    g[3, 4] = g[15, 2] = 1e-2
    np.testing.assert_array_equal(np.sort(outliers(factored(g, simple(5.0, 5.0)), 10), 0), [[3, 2], [15, 4]])
    assert len(outliers(factored(g, simple(5.0, 5.0)), 1)) == 1
    assert len(outliers(factored(g, simple(1e-3, 1e-3)), 10)) == 0, "no wire to speak of"
    assert len(outliers(factored(np.full((20, 20), 1e-2), simple(5.0, 5.0)), 10)) == 0, "all alike"


def test_a_basis_is_filled_up_and_holds_single_cells() -> None:
    net = factored(np.full((9, 7), 1e-5), simple(5.0, 5.0))
    basis = modes(net, 3, np.array([[2, 6], [8, 0]]))
    assert basis.size == 8
    fields = np.stack([np.outer(basis.bit_shapes[:9, k], basis.word_modes[basis.mode_of[k]]) for k in range(8)])
    assert fields[6][2, 6] == 1.0
    assert fields[7][8, 0] == 1.0
    assert np.abs(fields[6]).sum() == np.abs(fields[7]).sum() == 1.0
    np.testing.assert_allclose(np.einsum("kij,lij->kl", fields[:6], fields[:6]), np.eye(6), atol=1e-12)
    np.testing.assert_array_equal(basis.bit_shapes[9:], 0.0)
