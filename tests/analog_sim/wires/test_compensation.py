"""Targets against the drop on the wires: how close the effective matrix comes, by pairs too, and what is refused."""

import numpy as np
import pytest

from analog_sim.wires import (
    WiresError,
    arranged,
    column_scale,
    effective_matrix,
    net,
    parted,
    shaped,
    shaped_planes,
    simple,
)

WIRES = simple(3.0, 3.0, driver=50.0)
WINDOW = (1e-6, 1e-4)


def wanted(shape: tuple[int, ...] = (40, 30), top: float = 5e-5) -> np.ndarray:
    return np.random.default_rng(50).uniform(5e-6, top, shape)


@pytest.mark.jit
def test_the_effective_matrix_becomes_the_wanted_one() -> None:
    w = wanted()
    found = shaped(w, WIRES, WINDOW, rounds=6)
    before = effective_matrix(w, WIRES).matrix
    after = effective_matrix(found.g, WIRES).matrix
    assert np.abs(before - w).max() > 0.1 * w.max(), "a drop worth undoing"
    np.testing.assert_allclose(after, w, atol=2e-3 * w.max())
    assert len(found.errors) == 7
    assert found.errors[0] > 0.05
    assert min(found.errors) == found.errors[-1] < 2e-3
    np.testing.assert_array_equal(found.scale, 1.0)


@pytest.mark.jit
def test_a_window_that_does_not_suffice_is_kept_and_a_scale_helps() -> None:
    w = wanted(top=1e-4)
    plain, scaled = (shaped(w, WIRES, WINDOW, rounds=4, scaled=s) for s in (False, True))
    for found in (plain, scaled):
        assert WINDOW[0] <= found.g.min() <= found.g.max() <= WINDOW[1]
        assert min(found.errors) < found.errors[0]
    assert (scaled.scale < 0.95).all()
    assert min(scaled.errors) < 0.5 * min(plain.errors)


@pytest.mark.jit
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("pair", ["separate", "columns", "rows"])
def test_pairs(pair: str, scaled: bool) -> None:
    planes = wanted((2, 20, 12))
    found = shaped_planes(planes, WIRES, pair, WINDOW, 5, scaled)
    assert found.shape == planes.shape
    assert found.dtype == np.float32

    def seen(p: np.ndarray) -> np.ndarray:
        return net(tuple(effective_matrix(a, WIRES).matrix for a in arranged(p[0], p[1], pair)), pair)

    target = planes[0] - planes[1]

    def missing(p: np.ndarray) -> float:
        e = seen(p)
        return float(np.abs(e - target * (column_scale(e, target) if scaled else 1.0)).max() / np.abs(target).max())

    assert missing(found) < 1e-3 < missing(planes)
    np.testing.assert_array_equal(parted(arranged(planes[0], planes[1], pair), pair), planes)


def test_one_plane_and_ideal_wires() -> None:
    w = wanted((1, 3, 2))
    found = shaped_planes(w, simple(0.0, 0.0), "separate", WINDOW)
    np.testing.assert_allclose(found, w, rtol=1e-6)
    np.testing.assert_allclose(column_scale(0.5 * w[0], w[0]), 0.5)
    np.testing.assert_array_equal(column_scale(np.zeros((2, 2)), np.zeros((2, 2))), 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": (1e-4, 1e-6)}, "window"),
        ({"window": (-1e-6, 1e-4)}, "window"),
        ({"rounds": 0}, "rounds: got 0"),
        ({"wanted": np.array([[-1e-6]])}, r"cell \(0, 0\)"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    given = {"wanted": np.full((1, 1), 1e-5), "topology": WIRES, "window": WINDOW} | change
    with pytest.raises(WiresError, match=message):
        shaped(**given)
