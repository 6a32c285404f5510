"""Kernel of `wires.changes.first_order`: the matrix after a change of the cells, to first order. It solves nothing."""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True, fastmath=False)
def corrected(cells, base, known, reach, local, fields, modes, smooth, out):
    """``out = known + reach dg local + modes' smooth``, dg = cells - base; returns (sum dg^2, sum base^2).

    cells, base, known, reach, local, out: (rows, cols); fields: (modes, rows, cols); modes: (modes, rows); smooth: (modes, cols), scratch:
    ``smooth_aj = sum_i reach_ij dg_ij (fields_aij - local_ij modes_ai)``, what the smooth inputs miss in the local form.
    """
    rows, cols = cells.shape
    moved, total = 0.0, 0.0
    smooth[...] = 0.0
    for i in range(rows):
        for j in range(cols):
            dg = cells[i, j] - base[i, j]
            moved += dg * dg
            total += base[i, j] * base[i, j]
            out[i, j] = reach[i, j] * dg
        for a in range(len(modes)):
            m = modes[a, i]
            for j in range(cols):
                smooth[a, j] += out[i, j] * (fields[a, i, j] - local[i, j] * m)
        for j in range(cols):
            out[i, j] = known[i, j] + out[i, j] * local[i, j]
    for i in range(rows):
        for a in range(len(modes)):
            m = modes[a, i]
            for j in range(cols):
                out[i, j] += m * smooth[a, j]
    return moved, total
