"""Differential pairs on one array: what their effective matrix means on the array itself."""

import naive_wires as naive
import numpy as np
import pytest

from analog_sim.wires import WiresError, arranged, effective_matrix, net, net_transposed, simple


def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(30)
    return random.uniform(0.0, 1e-3, (4, 3)), random.uniform(0.0, 1e-3, (4, 3))


WIRES = simple(5.0, 7.0, driver=10.0)


def test_pairs_on_neighbouring_bit_lines() -> None:
    plus, minus = pair()
    [g] = arranged(plus, minus, "columns")
    assert g.shape == (4, 6)
    np.testing.assert_array_equal(g[:, 0::2], plus)
    v = np.random.default_rng(31).normal(size=(2, 4))
    wanted, _ = naive.nodal(g, WIRES, v)
    np.testing.assert_allclose(
        v @ net((effective_matrix(g, WIRES, 1e-10).matrix,), "columns"),
        wanted[:, 0::2] - wanted[:, 1::2],
        rtol=1e-6,
        atol=1e-10,
    )


def test_pairs_on_neighbouring_word_lines() -> None:
    plus, minus = pair()
    [g] = arranged(plus, minus, "rows")
    assert g.shape == (8, 3)
    np.testing.assert_array_equal(g[1::2], minus)
    v = np.random.default_rng(32).normal(size=(2, 4))
    wanted, _ = naive.nodal(g, WIRES, np.stack([v, -v], 2).reshape(2, 8))
    np.testing.assert_allclose(
        v @ net((effective_matrix(g, WIRES, 1e-10).matrix,), "rows"), wanted, rtol=1e-6, atol=1e-10
    )


@pytest.mark.parametrize("kind", ["separate", "columns", "rows"])
def test_ideal_pairs_are_differences_in_both_directions(kind: str) -> None:
    plus, minus = pair()
    parts = arranged(plus, minus, kind)  # type: ignore[arg-type]
    found = tuple(effective_matrix(g, simple(0.0, 0.0)).matrix for g in parts)
    np.testing.assert_array_equal(net(found, kind), plus - minus)  # type: ignore[arg-type]
    np.testing.assert_array_equal(net_transposed(tuple(m.T for m in found), kind), (plus - minus).T)  # type: ignore[arg-type]


def test_cells_of_other_shapes_are_refused() -> None:
    with pytest.raises(WiresError, match=r"pairs: got arrays of shapes \(2, 2\) and \(2, 3\)"):
        arranged(np.ones((2, 2)), np.ones((2, 3)), "rows")
