"""Products with a matrix in panels: against numpy in float64, and the same bits whatever the batch and the number of threads."""

import numba
import numpy as np
import pytest

from analog_sim.random.streams import Streams
from analog_sim.reads.kernels.product import AT_ONCE, CHUNK, WIDTH, multiply
from analog_sim.reads.kernels.silence import LINES, multiply_silent
from analog_sim.reads.packed_matrix import WORTH_LISTS, PackedMatrix

SHAPES = [
    (1, 1, 1),
    (1, 7, 3),
    (2, 1, WIDTH),
    (3, 40, WIDTH + 1),
    (7, 33, 2 * WIDTH),
    (15, 20, 3 * WIDTH - 1),
    (300, 5, 70),
]


def operands(batch, rows, cols):
    streams = Streams(3)
    return streams.stream("v").normals((batch, rows)), streams.stream("m").normals((rows, cols))


@pytest.mark.parametrize(("batch", "rows", "cols"), SHAPES)
def test_a_product_is_that_of_numpy(batch, rows, cols):
    v, m = operands(batch, rows, cols)
    exact = v.astype(float) @ m.astype(float)
    bound = (
        np.abs(v).astype(float) @ np.abs(m) * rows * 2.0**-23
    )  # of a sum of `rows` float32 products, in whatever order
    assert (np.abs(PackedMatrix.of(m).multiply(v) - exact) <= bound).all()
    transposed = PackedMatrix.of(np.ascontiguousarray(m.T)).transposed()
    np.testing.assert_array_equal(transposed.multiply(v), PackedMatrix.of(m).multiply(v))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (5, WIDTH), (9, 2 * WIDTH + 5)])
def test_a_matrix_comes_back_as_it_was_put(rows, cols):
    _, m = operands(1, rows, cols)
    panels = PackedMatrix.of(m)
    np.testing.assert_array_equal(panels.matrix(), m)
    np.testing.assert_array_equal(panels.transposed().matrix(), m.T)
    some = np.arange(rows)[::2]
    panels.put(some, 2 * m[some])
    m[some] *= 2
    np.testing.assert_array_equal(panels.matrix(), m)
    assert panels.array.ctypes.data % 64 == 0


@pytest.mark.jit
def test_the_bits_do_not_depend_on_the_batch_or_the_threads():
    v, m = operands(600, 50, 3 * WIDTH + 7)
    panels = PackedMatrix.of(m)
    whole, parts = np.empty((600, m.shape[1]), np.float32), np.empty((600, m.shape[1]), np.float32)
    multiply(0, 4, 0, v, panels.array, whole)
    for start, stop in ((2, 4), (0, 1), (1, 2)):
        multiply(start, stop, 0, v, panels.array, parts)
    np.testing.assert_array_equal(parts, whole)
    for first, last in ((0, 1), (3, 5), (100, 107), (250, 590)):
        np.testing.assert_array_equal(panels.multiply(np.ascontiguousarray(v[first:last])), whole[first:last])


@pytest.mark.jit
@pytest.mark.parametrize("cols", [1, WIDTH // 2 - 1, WIDTH // 2, WIDTH // 2 + 1, WIDTH + 1, WIDTH + WIDTH // 2])
def test_few_columns_have_the_bits_of_many(cols):
    """Half a panel has a kernel of its own, which must add up in the same order."""
    v, m = operands(41, 37, 2 * WIDTH)
    many = PackedMatrix.of(m).multiply(v)
    for batch in (1, 7, 8, 15, 16, 17, 41):
        few = PackedMatrix.of(np.ascontiguousarray(m[:, :cols])).multiply(np.ascontiguousarray(v[:batch]))
        np.testing.assert_array_equal(few, many[:batch, :cols])


@pytest.mark.jit
def test_a_large_product_gives_the_same_bits_on_one_thread():
    v, m = operands(256, 200, 200)
    before = numba.get_num_threads()
    many = PackedMatrix.of(m).multiply(v)
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(PackedMatrix.of(m).multiply(v), many)
    finally:
        numba.set_num_threads(before)


def test_arrays_of_other_shapes_and_types_are_refused():
    panels = PackedMatrix.of(np.ones((4, 3), np.float32))
    assert panels.multiply(np.ones((0, 4), np.float32)).shape == (0, 3)
    for v in (np.ones((2, 3), np.float32), np.ones((2, 4)), np.ones((4, 2), np.float32).T, np.ones(4, np.float32)):
        with pytest.raises(ValueError, match=r"product: v must be C-contiguous float32 of shape \(\d, 4\)"):
            panels.multiply(v)
    with pytest.raises(ValueError, match=r"product: out must be C-contiguous float32 of shape \(2, 3\)"):
        panels.multiply(np.ones((2, 4), np.float32), np.empty((2, 4), np.float32))


@pytest.mark.jit
@pytest.mark.parametrize("driven", [0.0, 0.02, 0.4, 0.8])
def test_silent_lines_are_left_out_to_the_same_bits(driven):
    """Inputs that many vectors share silent lines with: the bits of every vector alone, of which no line is left out."""
    v, m = operands(300, 61, WIDTH + 9)
    uniforms = Streams(4).stream("silence").uniforms(v.shape)
    v[uniforms >= driven] = 0.0
    v[:, ::3] = -0.0
    panels = PackedMatrix.of(m)
    alone = np.concatenate([panels.multiply(np.ascontiguousarray(row[None])) for row in v])
    np.testing.assert_array_equal(panels.multiply(v), alone)


@pytest.mark.jit
@pytest.mark.parametrize("driven", [0.02, 0.4, 0.8])
def test_lines_that_two_vectors_rest_on_are_left_out_to_the_same_bits(driven, monkeypatch):
    """Of a large product; some chunks are driven everywhere, the last has an odd number, and the last panels are not full."""
    monkeypatch.setattr("analog_sim.reads.packed_matrix.WORTH_LISTS", 0)
    v, m = operands(2 * CHUNK + 31, 61, (AT_ONCE + 1) * WIDTH + 9)
    v[Streams(4).stream("silence").uniforms(v.shape) >= driven] = 0.0
    v[CHUNK : 2 * CHUNK] += 1.0
    v[:CHUNK, ::3] = -0.0
    panels = PackedMatrix.of(m)
    assert panels._often_silent(v)
    out = np.empty((CHUNK, m.shape[1]), np.float32)
    assert multiply_silent(0, AT_ONCE, 0, v[:CHUNK], panels.array, out) == CHUNK * AT_ONCE
    assert multiply_silent(0, AT_ONCE, 0, v[CHUNK : 2 * CHUNK], panels.array, out) == 0
    alone = np.concatenate([panels.multiply(np.ascontiguousarray(row[None])) for row in v])
    np.testing.assert_array_equal(panels.multiply(v), alone)


@pytest.mark.jit
@pytest.mark.parametrize("lines", [1, LINES, LINES + 1, 3 * LINES - 5])
@pytest.mark.parametrize("least", [1, 10**6])
def test_threads_share_the_lines_that_are_left_out(lines, least):
    """Groups of panels on several threads and on one, where lines are taken in one or in several turns: the same bits."""
    v, m = operands(2 * CHUNK + 5, lines, (2 * AT_ONCE + 1) * WIDTH)
    v[v < 0.2] = 0.0
    panels, out = PackedMatrix.of(m), np.empty((len(v), m.shape[1]), np.float32)
    alone = np.concatenate([panels.multiply(np.ascontiguousarray(row[None])) for row in v])
    panels._multiply_silent(v, out, len(panels.array), least)
    np.testing.assert_array_equal(out, alone)


def test_few_silent_lines_and_small_products_are_not_looked_at_in_pairs():
    dense, m = operands(300, 220, 8 * WIDTH)
    quiet = np.where(dense > 0.0, dense, np.float32(0.0))
    panels = PackedMatrix.of(m)
    assert panels._often_silent(quiet) == (quiet.size * m.shape[1] >= WORTH_LISTS)
    assert not panels._often_silent(dense)
    assert not panels._often_silent(quiet[:2])
    assert not panels._often_silent(np.tile(quiet, (20, 1)), 8 // AT_ONCE + 1)
    assert not PackedMatrix.of(m[:, : AT_ONCE * WIDTH - 1])._often_silent(np.tile(quiet, (20, 1)))
