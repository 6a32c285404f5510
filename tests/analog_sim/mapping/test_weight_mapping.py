"""Weights to conductances and back, for every mapping and shape."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.mapping.weight_mapping import MappingSpec, cut, digits, full_weight, net_window, targets
from analog_sim.random.streams import Streams

CELL = CellModel("plain", 1e-6, 21e-6)


@pytest.mark.parametrize("sides", ["one", "two"])
def test_pair_holds_the_weight_inside_the_window(sides):
    spec = MappingSpec(sides=sides)
    x = np.linspace(-1.2, 1.2, 25, dtype=np.float32)[None]
    g = targets(x, spec, CELL)
    assert g.min() >= np.float32(CELL.g_min)
    assert g.max() <= np.float32(CELL.g_max) * 1.000001
    np.testing.assert_allclose((g[0] - g[1]) / net_window(spec, CELL), np.clip(x, -1, 1), atol=1e-6)
    if sides == "one":
        np.testing.assert_allclose(np.minimum(g[0], g[1]), CELL.g_min, rtol=1e-6)
    else:
        np.testing.assert_allclose(g.sum(axis=0), CELL.g_min + CELL.g_max, rtol=1e-6)


def test_reference_mapping_centres_the_weight():
    spec = MappingSpec(kind="reference")
    g = targets(np.array([[-1, 0, 1]], np.float32), spec, CELL)
    np.testing.assert_allclose(g[0, 0], [1e-6, 11e-6, 21e-6], rtol=1e-6)
    assert net_window(spec, CELL) == pytest.approx(10e-6)


@pytest.mark.parametrize(("slices", "bits"), [(2, 1), (2, 4), (4, 2), (3, 3), (8, 1)])
def test_slices_reconstruct_the_quantised_weight(slices, bits):
    x = Streams(0).stream("w").uniforms((9, 11)) * 2 - 1
    spec = MappingSpec(slices=slices, slice_bits=bits)
    made = digits(x, spec)
    total = sum(c * part for part, c in made)
    assert len(made) == slices
    assert all(np.abs(part).max() <= 1 for part, _ in made)
    assert np.abs(total - x).max() <= 0.5 / (2 ** (slices * bits) - 1) * 1.0001


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 13), (256, 256), (257, 511)])
@pytest.mark.parametrize("largest", [(1, 1), (64, 100), (256, 256)])
def test_cuts_cover_the_matrix_once(shape, largest):
    if largest == (1, 1) and shape[0] * shape[1] > 1000:
        pytest.skip("a hundred thousand one-cell arrays say nothing new")
    covered = np.zeros(shape, int)
    for part in cut(shape, MappingSpec(max_rows=largest[0], max_cols=largest[1])):
        assert part.rows.stop - part.rows.start <= largest[0]
        assert part.cols.stop - part.cols.start <= largest[1]
        covered[part.cols, part.rows] += 1
    assert (covered == 1).all()


def test_full_weight():
    assert full_weight(2.0, MappingSpec()) == 2.0
    assert full_weight(2.0, MappingSpec(weight_max=0.7)) == 0.7
    assert full_weight(0.0, MappingSpec()) == 1.0


def test_slices_of_a_reference_mapping_are_refused():
    with pytest.raises(ValueError, match="slices need kind: differential"):
        MappingSpec(kind="reference", slices=2)
