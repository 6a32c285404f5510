"""Voltages across the cells in the slots of a pulse train, against a nodal solution assembled here for every slot."""

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from analog_sim.wires import Topology, WiresError, across, simple


def nodal(g: np.ndarray, top: Topology, word: np.ndarray, bit: np.ndarray) -> np.ndarray:
    """Every node an unknown: word-line nodes first, then bit-line nodes; one factorisation, one solve for each slot."""
    rows, cols = g.shape
    u, w = np.arange(rows * cols).reshape(rows, cols), rows * cols + np.arange(rows * cols).reshape(rows, cols)
    d = g / (1.0 + g * top.selector)
    joined = [(u, w, d), (u[:, :-1], u[:, 1:], np.full((rows, cols - 1), 1 / top.word.segment))]
    joined.append((w[:-1], w[1:], np.full((rows - 1, cols), 1 / top.bit.segment)))
    a, b, y = (np.concatenate([np.ravel(part[k]) for part in joined]) for k in range(3))
    ends = [
        (u[:, 0], top.word.first, word),
        (u[:, -1], top.word.last, word),
        (w[0], top.bit.first, bit),
        (w[-1], top.bit.last, bit),
    ]
    i, j, values = [a, b, a, b], [a, b, b, a], [y, y, -y, -y]
    right = np.zeros((len(word), 2 * rows * cols))
    for nodes, end, volts in ends:
        i, j, values = [*i, nodes], [*j, nodes], [*values, np.full(len(nodes), end.conductance)]
        right[:, nodes] += end.active_conductance * volts
    matrix = coo_matrix((np.concatenate(values), (np.concatenate(i), np.concatenate(j)))).tocsc()
    x = splu(matrix).solve(right.T).T
    return x[:, u] - x[:, w]


@pytest.mark.jit
@pytest.mark.parametrize("far", ["open", "grounded"])
def test_every_slot_of_a_train_at_64(far: str) -> None:
    """Random coincidences at plus and minus half the amplitude: full, half and unselected cells, lines that load each other."""
    random = np.random.default_rng(60)
    g, top = random.uniform(1e-6, 1e-4, (64, 64)), simple(2.0, 3.0, driver=50.0, sense=20.0, far_ends=far)
    word, bit = 0.75 * (random.random((20, 64)) < 0.3), -0.75 * (random.random((20, 64)) < 0.2)
    found, exact = across(g, top, word, bit), nodal(g, top, word, bit)
    np.testing.assert_allclose(found, exact, atol=1e-7)
    ideal = word[:, :, None] - bit[:, None, :]
    full, half = ideal == 1.5, ideal == 0.75
    assert (found[full] < 1.45).any(), "a drop that matters"
    assert found[half].max() > 0.5
    assert np.abs(found[ideal == 0.0]).max() > 0.01, "lines at rest are not at 0 V"


@pytest.mark.jit
def test_lines_that_fire_together_load_each_other() -> None:
    g, top = np.full((16, 12), 1e-4), simple(5.0, 5.0, driver=100.0)
    one, all_rows = np.zeros((1, 16)), np.full((1, 16), 0.75)
    one[0, 0] = 0.75
    bit = np.full((1, 12), -0.75)
    alone, together = across(g, top, one, bit), across(g, top, all_rows, bit)
    assert (together[0, 0] < 0.98 * alone[0, 0]).all()
    np.testing.assert_allclose(alone, nodal(g, top, one, bit), atol=1e-8)


@pytest.mark.jit
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (9, 17)])
def test_other_shapes_stuck_and_dead_cells(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(61)
    g = random.uniform(1e-6, 1e-4, shape)
    g.flat[0], g.flat[-1] = 0.0, 1e-2
    word, bit = random.normal(size=(2, shape[0])), random.normal(size=(2, shape[1]))
    for top in (simple(1.0, 2.0, driver=5.0, drive="both", sense_at="top"), simple(0.1, 0.1, selector=1000.0)):
        np.testing.assert_allclose(across(g, top, word, bit), nodal(g, top, word, bit), atol=1e-7)


def test_ideal_lines_and_refusals() -> None:
    g, word, bit = np.full((2, 3), 1e-5), np.array([[1.0, 0.0]]), np.array([[0.0, -1.0, 0.5]])
    np.testing.assert_array_equal(across(g, simple(0.0, 0.0), word, bit)[0], [[1.0, 2.0, 0.5], [0.0, 1.0, -0.5]])
    assert across(g, simple(1.0, 1.0), np.zeros((0, 2)), np.zeros((0, 3))).shape == (0, 2, 3)
    for change, message in (
        ({"word": np.zeros((2, 2))}, "2 slots on word lines and 1 on bit lines"),
        ({"bit": np.zeros((1, 2))}, r"shape \(1, 2\)"),
        ({"word": np.array([[np.nan, 0.0]])}, "not finite"),
        ({"topology": simple(0.0, 1.0)}, "give it some"),
    ):
        with pytest.raises(WiresError, match=message):
            across(**({"g": g, "topology": simple(1.0, 1.0), "word": word, "bit": bit} | change))
