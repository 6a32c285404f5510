"""Scratch, parts and addresses within kernels are what NumPy makes of them."""

import math

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from analog_sim.random.kernels.math import as_float, as_int, least, most
from analog_sim.random.kernels.memory import address, as_ints, flat, part, part_of_row, room, rows
from analog_sim.random.kernels.options import JIT_OFF

scratch, table = room(5, np.float32), room((3, 4), np.int64)


@njit(_nrt=False)
def use(line, matrix, out):
    a, b, c = scratch(), scratch(), table()
    for i in range(5):
        a[i] = i
        b[i] = 10 * i
    for i in range(3):
        for j in range(4):
            c[i, j] = 100 * i + j
    out[0] = a[4] + b[3] + c[2, 3]
    some, right, lower = part(line, 2, 5), part_of_row(matrix, 1, 1, 3), rows(matrix, 1, 3)
    out[1], out[2] = some[0], some.shape[0]
    out[3], out[4] = right[1], right.shape[0]
    out[5], out[6] = lower[1, 2], lower.shape[0]
    out[7] = flat(matrix)[5] + flat(matrix).shape[0]
    out[8] = as_ints(line)[3] == as_int(line[3]) and as_float(as_ints(matrix)[2, 1]) == matrix[2, 1]
    out[9] = address(part(line, 3, 4)) - address(line)
    some[1] = 7.0


def test_parts_are_those_of_numpy():
    line, matrix, out = np.arange(6, dtype=np.float32), np.arange(9, dtype=np.float32).reshape(3, 3) / 8, np.zeros(10)
    use(line, matrix, out)
    right, lower = matrix[1, 1:3], matrix[1:3]
    assert list(out[:7]) == [4 + 30 + 203, 2, 3, right[1], 2, lower[1, 2], 2]
    assert list(out[7:]) == [matrix.reshape(-1)[5] + 9, 1, 12]
    assert line[3] == 7.0, "a part is no copy"


@pytest.mark.skipif(JIT_OFF, reason="NumPy takes any array")
def test_an_array_that_is_not_contiguous_is_refused():
    @njit(_nrt=False)
    def first(array):
        return part(array, 0, 1)[0]

    with pytest.raises(TypingError):
        first(np.zeros(6, np.float32)[::2])


@njit
def both(a, b):
    return least(a, b), most(a, b)


@pytest.mark.parametrize("a", [0.0, -0.0, 1.5, math.nan, math.inf])
@pytest.mark.parametrize("b", [0.0, -0.0, 1.5, math.nan, -math.inf])
def test_least_and_most_are_min_and_max(a, b):
    for kind in (np.float32, np.float64):
        x, y = kind(a), kind(b)
        found = [np.array(value, kind).tobytes() for value in both(x, y)]
        assert found == [np.array(value, kind).tobytes() for value in (min(x, y), max(x, y))]
