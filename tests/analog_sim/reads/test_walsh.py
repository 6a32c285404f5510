"""Inputs that are rows of a Walsh-Hadamard matrix: found exactly or not at all, and multiplied as any product is."""

import numba
import numpy as np
import pytest

from analog_sim.random.streams import Streams
from analog_sim.reads import walsh
from analog_sim.reads.kernels.product import WIDTH
from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.reads.walsh import WalshRows
from analog_sim.tiles.probes import Probes

PARTS = [(64, slice(0, 64)), (100, slice(0, 100)), (300, slice(70, 201)), (300, slice(220, 300)), (50, slice(3, 40))]
"""Lines of a set of known inputs, and those of them that one array has."""


@pytest.fixture(autouse=True)
def _small_products_are_worth_it(monkeypatch):
    monkeypatch.setattr(walsh, "WORTH_LOOKING", 0)
    monkeypatch.setattr(walsh, "FASTER", 0)


def inputs(lines, part, count=None):
    """Known inputs of a tile as volts of one of its arrays: every line has a voltage of its own, one of them none."""
    known = Probes(lines, count, Streams(5).stream("probe")).inputs()[:, part]
    v = known * np.linspace(0.1, 0.3, known.shape[1], dtype=np.float32)
    v[:, 0] = 0.0
    return np.ascontiguousarray(v)


def told(found):
    """The vectors that were found, made again."""
    parity = np.bitwise_count(found.patterns[:, None] & found.labels[None, :]) & 1
    return found.turns[:, None] * np.where(parity, -found.volts, found.volts)


def matrix(rows, cols):
    return Streams(3).stream("m").normals((rows, cols))


@pytest.mark.parametrize(("lines", "part"), PARTS)
@pytest.mark.parametrize("cols", [1, WIDTH, 2 * WIDTH + 3])
def test_the_transform_is_the_product(lines, part, cols):
    v = inputs(lines, part, 64)
    m = matrix(v.shape[1], cols)
    found = WalshRows.of(v, cols)
    assert found is not None
    exact = v.astype(float) @ m.astype(float)
    bound = np.abs(v).astype(float) @ np.abs(m) * 20 * 2.0**-23
    product = found.multiply(PackedMatrix.of(m))
    assert product.shape == exact.shape
    assert (np.abs(product - exact) <= bound).all()
    room = np.empty_like(product)
    assert found.multiply(PackedMatrix.of(m), room) is room
    np.testing.assert_array_equal(room, product)


@pytest.mark.parametrize("count", [64, 65, 90, 128, 200])
def test_any_number_of_them_is_found(count):
    """Also some of a set, and a set from its beginning again."""
    v = inputs(100, slice(0, 100), count)
    found = WalshRows.of(v, 5)
    assert found is not None
    np.testing.assert_array_equal(told(found), v)
    assert found.order == 128


def test_the_first_vector_may_be_any_of_them():
    v = inputs(100, slice(11, 96))
    m = matrix(85, 7)
    turned = np.ascontiguousarray(v[::-1])
    ahead, back = WalshRows.of(v, 7), WalshRows.of(turned, 7)
    assert ahead is not None
    assert back is not None
    packed = PackedMatrix.of(m)
    np.testing.assert_allclose(ahead.multiply(packed)[::-1], back.multiply(packed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("k", [0, 1, 63, 127])
@pytest.mark.parametrize("change", [0.5, 0.0, np.nan, 1.0 + 2.0**-23])
def test_one_number_that_is_another_is_seen(k, change):
    v = inputs(100, slice(0, 100))
    v[k, 7] *= np.float32(change)
    assert WalshRows.of(v, 5) is None


@pytest.mark.parametrize("k", [0, 1, 63, 127])
def test_a_line_with_a_sign_of_its_own_takes_a_label_of_its_own(k):
    v = inputs(100, slice(0, 100))
    v[k, 7] *= np.float32(-1.0)
    found = WalshRows.of(v, 5)
    assert found is not None
    assert found.order == 256
    np.testing.assert_array_equal(told(found), v)


def test_other_inputs_are_not_taken_for_them():
    stream = Streams(9).stream("v")
    signs = np.where(stream.uniforms((128, 100)) < 0.5, np.float32(-0.2), np.float32(0.2))
    assert WalshRows.of(signs, 5) is None, "random signs"
    assert WalshRows.of(stream.normals((128, 100)), 5) is None
    assert WalshRows.of(np.full((128, 100), 0.2, np.float32), 5) is None, "one vector again and again"
    assert WalshRows.of(np.zeros((128, 100), np.float32), 5) is None
    assert WalshRows.of(inputs(100, slice(0, 100))[: walsh.LEAST_VECTORS - 1], 5) is None, "few"
    assert WalshRows.of(np.zeros((0, 4), np.float32), 5) is None


def test_small_products_are_not_looked_at(monkeypatch):
    v = inputs(100, slice(0, 100))
    monkeypatch.setattr(walsh, "WORTH_LOOKING", v.size * 5 + 1)
    assert WalshRows.of(v, 5) is None
    assert WalshRows.of(v, 6) is not None
    monkeypatch.setattr(walsh, "FASTER", v.size)
    assert WalshRows.of(v, 6) is None, "the transform would take longer"


def test_what_does_not_fit_is_refused():
    found = WalshRows.of(inputs(100, slice(0, 100)), 5)
    assert found is not None
    with pytest.raises(ValueError, match="100 lines do not fit 99 lines"):
        found.multiply(PackedMatrix.of(matrix(99, 5)))
    with pytest.raises(ValueError, match="do not fit"):
        found.multiply(PackedMatrix.of(matrix(100, 5)), np.empty((128, 4), np.float32))


@pytest.mark.jit
def test_the_bits_do_not_depend_on_the_threads():
    found = WalshRows.of(inputs(300, slice(0, 300)), 5)
    assert found is not None
    packed = PackedMatrix.of(matrix(300, 5 * WIDTH + 1))
    products, before = [], numba.get_num_threads()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            products.append(found.multiply(packed))
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(*products)
