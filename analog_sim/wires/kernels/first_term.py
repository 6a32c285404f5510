"""The series of order 1, whose one pass begins at single word lines and keeps nothing: two thirds of the time of `born.series`.

1 V on word line i alone puts w_lj = (M_j^-1)_li f_ij on bit line j: from row i on, every row is the one before times a factor of the bit
line, upwards and downwards. So nothing is eliminated and no field is stored; each row goes through its word line and into p' N w.
With s of `factor` and t_j = q_j s_j a word line is back-substituted in units of its segment: u_j / r = q_j u_(j+1) / r + t_j.
"""

from __future__ import annotations

from numba import njit

from analog_sim.random.kernels.options import WITHIN
from analog_sim.wires.kernels.lanes import LANES, full, load, scatter, store
from analog_sim.wires.kernels.options import KERNEL


@njit(**WITHIN)
def _four(i, step, cols, a, d, word_q, per_r, pdr, w, given, scratch, moment, swept):
    """Rows i, i + step, ... of eight inputs through their word lines, added to the moment.

    swept: w holds the row before and is taken on; otherwise the rows are `given` (4, 8 cols), in this order.
    """
    i1, i2, i3 = i + step, i + 2 * step, i + 3 * step
    a0, a1, a2, a3 = a[i], a[i1], a[i2], a[i3]
    d0, d1, d2, d3 = d[i], d[i1], d[i2], d[i3]
    q0, q1, q2, q3 = word_q[i], word_q[i1], word_q[i2], word_q[i3]
    p0, p1, p2, p3 = pdr[i], pdr[i1], pdr[i2], pdr[i3]
    o0, o1, o2, o3 = scratch[0], scratch[1], scratch[2], scratch[3]
    t0, t1, t2, t3 = full(0.0), full(0.0), full(0.0), full(0.0)
    for j in range(cols):
        k = j * LANES
        if swept:
            x0 = a0[j] * load(w, k)
            x1 = a1[j] * x0
            x2 = a2[j] * x1
            x3 = a3[j] * x2
            store(w, k, x3)
        else:
            x0, x1, x2, x3 = load(given[0], k), load(given[1], k), load(given[2], k), load(given[3], k)
        t0, t1 = q0[j] * (d0[j] * x0 + t0), q1[j] * (d1[j] * x1 + t1)
        t2, t3 = q2[j] * (d2[j] * x2 + t2), q3[j] * (d3[j] * x3 + t3)
        store(o0, k, t0)
        store(o1, k, t1)
        store(o2, k, t2)
        store(o3, k, t3)
    j = cols - 1
    u0, u1, u2, u3 = per_r * t0, per_r * t1, per_r * t2, per_r * t3
    k = j * LANES
    store(moment, k, load(moment, k) + p0[j] * u0 + p1[j] * u1 + p2[j] * u2 + p3[j] * u3)
    for j in range(cols - 2, -1, -1):
        k = j * LANES
        u0, u1 = q0[j] * u0 + load(o0, k), q1[j] * u1 + load(o1, k)
        u2, u3 = q2[j] * u2 + load(o2, k), q3[j] * u3 + load(o3, k)
        store(moment, k, load(moment, k) + p0[j] * u0 + p1[j] * u1 + p2[j] * u2 + p3[j] * u3)


@njit(**KERNEL)
def _own_rows(first, cols, down, up, dh, own_r, units, up_w, down_w, own):
    """Rows first ... first + 7 of w for 1 V on word line first + lane: into `own` (8, 8 cols), the outermost into up_w and down_w too."""
    for j in range(cols):
        k = j * LANES
        x = full(0.0)
        for row in range(LANES - 1, -1, -1):
            i = first + row
            x = down[i, j] * x + (own_r[i, j] * dh[i, j]) * load(units, row * LANES)
            store(own[row], k, x)
        store(up_w, k, x)
        x = full(0.0)
        for row in range(LANES):
            i = first + row
            x = up[i, j] * x
            store(own[row], k, load(own[row], k) + x)
            x = x + (own_r[i, j] * dh[i, j]) * load(units, row * LANES)
        store(down_w, k, x)


@njit(**KERNEL)
def first_order(
    first, last, c, down, up, d, dh, word_q, p, own_r, pdr, per_r, left, right, units, lines, scratch, own, out
):
    """``out_ij = c_0 p_ij dh_ij + c_1 (p' N w)_j + sum_a left_aj right_ai`` for 1 V on word line i = first ... last - 1 (multiples of 8).

    down, up, d, dh, word_q, p: as in `born.series`; own_r: (M^-1)_ii, ohm; pdr: p d r, 1;
    per_r: 1 / r, r ohm of a segment of the word lines; left: (m, cols); right: (m, rows padded); units: (64,) the identity;
    lines: (3, 8 cols); scratch: (4, 8 cols); own: (8, 8 cols); out: (rows padded, cols) siemens. Cells and factors are (rows padded,
    cols padded).
    """
    rows, cols = d.shape[0], left.shape[1]
    up_w, down_w, moment = lines[0], lines[1], lines[2]
    for block in range(first, last, LANES):
        _own_rows(block, cols, down, up, dh, own_r, units, up_w, down_w, own)
        for k in range(0, cols * LANES, LANES):
            store(moment, k, full(0.0))
        for row in range(0, LANES, 4):
            given = own[row : row + 4]
            _four(block + row, 1, cols, up, d, word_q, per_r, pdr, up_w, given, scratch, moment, False)
        for i in range(block - 1, -1, -4):
            _four(i, -1, cols, down, d, word_q, per_r, pdr, up_w, own, scratch, moment, True)
        for i in range(block + LANES, rows, 4):
            _four(i, 1, cols, up, d, word_q, per_r, pdr, down_w, own, scratch, moment, True)
        target = out[block : block + LANES]
        for j in range(cols):
            x = c[1] * load(moment, j * LANES)
            for lane in range(LANES):
                x = x + (c[0] * p[block + lane, j] * dh[block + lane, j]) * load(units, lane * LANES)
            for a in range(left.shape[0]):
                x = x + left[a, j] * load(right[a], block)
            scatter(target, j, x)
