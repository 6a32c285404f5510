"""Deflated Born series: f_k = (N M^-1)^k f for eight inputs at a time, and the moments p' f_k. Kernels; see `wires.effective`.

One application is one pass over memory: the rows of the bit lines are back-substituted one after the other, each is at once taken through
its word line, and the result is eliminated in the direction of the pass, for the next pass to come back. Fields are
(rows padded, 8 cols): the eight inputs of a node side by side. Cells and factors are (rows padded, cols padded), so that rows do not all
begin in one set of the cache. Factors are those of `factor`, with the value that begins a
back-substitution (1 / (y_last + g_last), and a resistance of 1) in the place where no factor is needed.
"""

from __future__ import annotations

from numba import njit

from analog_sim.random.kernels.options import WITHIN
from analog_sim.wires.kernels.lanes import LANES, full, load, scatter, store
from analog_sim.wires.kernels.options import KERNEL


@njit(**WITHIN)
def _forward(i, step, cols, q, r, d, word_q, t, w, out, sourced, dh, share, shared):
    """Four rows i, i + step, ...: back-substitute the bit lines (w holds the row before) and eliminate the word lines into `out`.

    shared: share (4, 8 or more) receives sum_j dh_ij w_ij of the four rows.
    """
    i1, i2, i3 = i + step, i + 2 * step, i + 3 * step
    a0, a1, a2, a3 = q[i], q[i1], q[i2], q[i3]
    d0, d1, d2, d3 = d[i], d[i1], d[i2], d[i3]
    q0, q1, q2, q3 = word_q[i], word_q[i1], word_q[i2], word_q[i3]
    t0, t1, t2, t3 = t[i], t[i1], t[i2], t[i3]
    o0, o1, o2, o3 = out[0], out[1], out[2], out[3]
    r0, r1, r2, r3 = r[i], r[i1], r[i2], r[i3]
    h0, h1, h2, h3 = dh[i], dh[i1], dh[i2], dh[i3]
    s0, s1, s2, s3 = full(0.0), full(0.0), full(0.0), full(0.0)
    y0, y1, y2, y3 = full(0.0), full(0.0), full(0.0), full(0.0)
    for j in range(cols):
        k = j * LANES
        x = load(w, k)
        if sourced:
            x = a0[j] * (x + r0 * load(t0, k))
            s0 = d0[j] * x + s0
            if shared:
                y0 = h0[j] * x + y0
            x = a1[j] * (x + r1 * load(t1, k))
            s1 = d1[j] * x + s1
            if shared:
                y1 = h1[j] * x + y1
            x = a2[j] * (x + r2 * load(t2, k))
            s2 = d2[j] * x + s2
            if shared:
                y2 = h2[j] * x + y2
            x = a3[j] * (x + r3 * load(t3, k))
            s3 = d3[j] * x + s3
            if shared:
                y3 = h3[j] * x + y3
        else:
            x = a0[j] * x
            s0 = d0[j] * x + s0
            x = a1[j] * x
            s1 = d1[j] * x + s1
            x = a2[j] * x
            s2 = d2[j] * x + s2
            x = a3[j] * x
            s3 = d3[j] * x + s3
        store(w, k, x)
        store(o0, k, s0)
        store(o1, k, s1)
        store(o2, k, s2)
        store(o3, k, s3)
        s0, s1, s2, s3 = q0[j] * s0, q1[j] * s1, q2[j] * s2, q3[j] * s3
    if shared:
        store(share[0], 0, y0)
        store(share[1], 0, y1)
        store(share[2], 0, y2)
        store(share[3], 0, y3)


@njit(**WITHIN)
def _backward(i, step, q, d, word_q, word_r, p, s, e, moment, t, final, f, kept):
    """The same four rows: back-substitute the word lines from `s`, add to the moment p' f, and eliminate f in the direction of the pass.

    kept: f (4, 8 cols) receives f of the four rows in place of the moment.
    """
    i1, i2, i3 = i + step, i + 2 * step, i + 3 * step
    before = min(max(i - step, 0), d.shape[0] - 1)
    b0, b1, b2, b3 = q[before], q[i], q[i1], q[i2]
    d0, d1, d2, d3 = d[i], d[i1], d[i2], d[i3]
    q0, q1, q2, q3 = word_q[i], word_q[i1], word_q[i2], word_q[i3]
    p0, p1, p2, p3 = p[i], p[i1], p[i2], p[i3]
    s0, s1, s2, s3 = s[0], s[1], s[2], s[3]
    t0, t1, t2, t3 = t[i], t[i1], t[i2], t[i3]
    u0, u1, u2, u3 = full(0.0), full(0.0), full(0.0), full(0.0)
    for j in range(word_r.shape[0] - 1, -1, -1):
        k = j * LANES
        r = word_r[j]
        u0 = q0[j] * (u0 + r * load(s0, k))
        u1 = q1[j] * (u1 + r * load(s1, k))
        u2 = q2[j] * (u2 + r * load(s2, k))
        u3 = q3[j] * (u3 + r * load(s3, k))
        f0, f1, f2, f3 = d0[j] * u0, d1[j] * u1, d2[j] * u2, d3[j] * u3
        if kept:
            store(f[0], k, f0)
            store(f[1], k, f1)
            store(f[2], k, f2)
            store(f[3], k, f3)
        else:
            store(moment, k, load(moment, k) + p0[j] * f0 + p1[j] * f1 + p2[j] * f2 + p3[j] * f3)
        if not final:
            x = f0 + b0[j] * load(e, k)
            store(t0, k, x)
            x = f1 + b1[j] * x
            store(t1, k, x)
            x = f2 + b2[j] * x
            store(t2, k, x)
            x = f3 + b3[j] * x
            store(t3, k, x)
            store(e, k, x)


@njit(**KERNEL)
def _zero(x):
    for k in range(0, x.shape[0], LANES):
        store(x, k, full(0.0))


@njit(**KERNEL)
def apply(upward, sourced, q, r, q_next, d, word_q, word_r, p, t, lines, scratch, final):
    """One pass: from the elimination t of f_k to that of f_(k+1), and the moment p' f_(k+1).

    upward: the pass goes from the last row to row 0 (t was eliminated downwards). sourced: so many rows of t, first in the order of the
    pass, are not zero (multiple of 4). q, r: factors t was eliminated with, and resistances; q_next: those of the other direction.
    lines: (3, 8 cols): w, e and the moment. scratch: (4, 8 cols). final: t is not needed any more.
    """
    rows, cols = d.shape[0], word_r.shape[0]
    step = -1 if upward else 1
    start = rows - 1 if upward else 0
    w, e, moment = lines[0], lines[1], lines[2]
    for k in range(3):
        _zero(lines[k])
    for n in range(0, rows, 4):
        i = start + step * n
        if n < sourced:
            _forward(i, step, cols, q, r, d, word_q, t, w, scratch, True, d, scratch, False)
        else:
            _forward(i, step, cols, q, r, d, word_q, t, w, scratch, False, d, scratch, False)
        if final:
            _backward(i, step, q_next, d, word_q, word_r, p, scratch, e, moment, t, True, scratch, False)
        else:
            _backward(i, step, q_next, d, word_q, word_r, p, scratch, e, moment, t, False, scratch, False)


@njit(**KERNEL)
def _eliminate_units(first, cols, upward, q, dh, units, e, t):
    """t of the inputs 1 V on word line first + lane; the rows that are not zero only. upward: from the bottom."""
    rows = dh.shape[0]
    _zero(e)
    step = -1 if upward else 1
    start = first + LANES - 1 if upward else first
    count = first + LANES if upward else rows - first
    for n in range(count):
        i = start + step * n
        before, source, target = q[min(max(i - step, 0), rows - 1)], dh[i], t[i]
        unit = load(units, (i - first) * LANES) if n < LANES else full(0.0)
        for j in range(cols):
            x = source[j] * unit + before[j] * load(e, j * LANES)
            store(e, j * LANES, x)
            store(target, j * LANES, x)
    return count


@njit(**KERNEL)
def series(
    first, last, c, down, down_r, up, up_r, d, dh, word_q, word_r, p, left, right, units, t, lines, scratch, out
):
    """``out_ij = sum_k c_k (p' f_k)_j + sum_a left_aj right_ai`` for 1 V on word line i, i = first ... last - 1 (multiples of 8).

    c: (order + 1,); down, up, d, dh, word_q, p: (rows padded, cols padded); down_r, up_r: (rows padded,); word_r: (cols,) ohm;
    left: (m, cols); right: (m, rows padded); units: (64,) the identity; t: (rows padded, 8 cols); lines: (4, 8 cols);
    scratch: (4, 8 cols); out: (rows padded, cols) siemens.
    """
    rows, cols = d.shape[0], word_r.shape[0]
    moment, sum_ = lines[2], lines[3]
    for block in range(first, last, LANES):
        for j in range(cols):
            x = full(0.0)
            for lane in range(LANES):
                x = x + (c[0] * p[block + lane, j] * dh[block + lane, j]) * load(units, lane * LANES)
            for a in range(left.shape[0]):
                x = x + left[a, j] * load(right[a], block)
            store(sum_, j * LANES, x)
        upward = block < rows // 2  # the elimination of so few rows as possible
        sourced = _eliminate_units(block, cols, upward, up if upward else down, dh, units, lines[1], t)
        for k in range(1, c.shape[0]):
            q, r, q_next = (up, up_r, down) if upward else (down, down_r, up)
            upward = not upward
            apply(upward, sourced, q, r, q_next, d, word_q, word_r, p, t, lines, scratch, k == c.shape[0] - 1)
            sourced = rows
            for j in range(0, cols * LANES, LANES):
                store(sum_, j, load(sum_, j) + c[k] * load(moment, j))
        target = out[block : block + LANES]
        for j in range(cols):
            scatter(target, j, load(sum_, j * LANES))


@njit(**KERNEL)
def moments(v, down, down_r, up, up_r, d, dh, word_q, word_r, p, t, lines, scratch, out):
    """``out_k = p' f_k`` for eight inputs; v: (rows padded, 8) volts; out: (orders, 8 cols) ampere; the others as in `series`."""
    rows, cols = d.shape[0], word_r.shape[0]
    e, moment = lines[1], lines[2]
    _zero(e)
    _zero(out[0])
    for i in range(rows):
        before, source, share, target = down[max(i - 1, 0)], dh[i], p[i], t[i]
        volts = load(v[i], 0)
        for j in range(cols):
            f = source[j] * volts
            store(out[0], j * LANES, load(out[0], j * LANES) + share[j] * f)
            x = f + before[j] * load(e, j * LANES)
            store(e, j * LANES, x)
            store(target, j * LANES, x)
    for k in range(1, out.shape[0]):
        upward = k % 2 == 1
        q, r, q_next = (down, down_r, up) if upward else (up, up_r, down)
        apply(upward, rows, q, r, q_next, d, word_q, word_r, p, t, lines, scratch, False)
        for j in range(0, cols * LANES, LANES):
            store(out[k], j, load(moment, j))


@njit(**WITHIN)
def _given(i, cols, shapes, lane, d, word_q, x, out):
    """Four rows i ... i + 3 of eight fields X_ij = shapes_i x_j: eliminate D X of the word lines into `out`."""
    b0, b1, b2, b3 = (
        load(shapes[i], lane),
        load(shapes[i + 1], lane),
        load(shapes[i + 2], lane),
        load(shapes[i + 3], lane),
    )
    d0, d1, d2, d3 = d[i], d[i + 1], d[i + 2], d[i + 3]
    q0, q1, q2, q3 = word_q[i], word_q[i + 1], word_q[i + 2], word_q[i + 3]
    o0, o1, o2, o3 = out[0], out[1], out[2], out[3]
    s0, s1, s2, s3 = full(0.0), full(0.0), full(0.0), full(0.0)
    for j in range(cols):
        k = j * LANES
        y = load(x, k)
        s0, s1 = d0[j] * (b0 * y) + s0, d1[j] * (b1 * y) + s1
        s2, s3 = d2[j] * (b2 * y) + s2, d3[j] * (b3 * y) + s3
        store(o0, k, s0)
        store(o1, k, s1)
        store(o2, k, s2)
        store(o3, k, s3)
        s0, s1, s2, s3 = q0[j] * s0, q1[j] * s1, q2[j] * s2, q3[j] * s3


@njit(**KERNEL)
def _project(f, i, step, shapes, word_modes, column_of, mode_of, lane, dots, gram):
    """Add ``X' f`` of four rows i, i + step, ... to the columns lane ... lane + 7 of the Gram matrix.

    X_ik = shapes_ik word_modes[mode_of[k]]; f: (4, 8 cols). Four modes at once, because one sum waits for itself; a mode that is one column
    (column_of >= 0) needs no sum. dots: (modes, 32): four rows of eight fields.
    """
    number, cols = word_modes.shape
    for first in range(0, number, 4):
        if column_of[first] >= 0:
            for mode in range(first, min(first + 4, number)):
                for row in range(4):
                    store(dots[mode], row * LANES, load(f[row], column_of[mode] * LANES))
            continue
        m1, m2, m3 = min(first + 1, number - 1), min(first + 2, number - 1), min(first + 3, number - 1)
        a0, a1, a2, a3 = word_modes[first], word_modes[m1], word_modes[m2], word_modes[m3]
        for row in range(0, 4, 2):
            f0, f1 = f[row], f[row + 1]
            x0, x1, x2, x3 = full(0.0), full(0.0), full(0.0), full(0.0)
            z0, z1, z2, z3 = full(0.0), full(0.0), full(0.0), full(0.0)
            for j in range(cols):
                y = load(f0, j * LANES)
                x0, x1, x2, x3 = a0[j] * y + x0, a1[j] * y + x1, a2[j] * y + x2, a3[j] * y + x3
                y = load(f1, j * LANES)
                z0, z1, z2, z3 = a0[j] * y + z0, a1[j] * y + z1, a2[j] * y + z2, a3[j] * y + z3
            k = row * LANES
            store(dots[m3], k, x3)
            store(dots[m2], k, x2)
            store(dots[m1], k, x1)
            store(dots[first], k, x0)
            store(dots[m3], k + LANES, z3)
            store(dots[m2], k + LANES, z2)
            store(dots[m1], k + LANES, z1)
            store(dots[first], k + LANES, z0)
    b0, b1, b2, b3 = shapes[i], shapes[i + step], shapes[i + 2 * step], shapes[i + 3 * step]
    for k in range(mode_of.shape[0]):
        row, dot = gram[k], dots[mode_of[k]]
        x = b0[k] * load(dot, 0) + b1[k] * load(dot, LANES)
        store(row, lane, load(row, lane) + x + b2[k] * load(dot, 2 * LANES) + b3[k] * load(dot, 3 * LANES))


@njit(**KERNEL)
def deflate(
    lane,
    down,
    down_r,
    up,
    up_r,
    d,
    dh,
    word_q,
    word_r,
    p,
    bit_shapes,
    word_modes,
    column_of,
    mode_of,
    t,
    lines,
    scratch,
    f,
    dots,
    gram,
    shares,
    ends,
):
    """What a Galerkin correction on the fields E X needs: powers of E = M^-1 N on eight of the fields X, and their products.

    X_ij = bit_shapes[i, k] word_modes[mode_of[k], j] for k = lane ... lane + 7; bit_shapes: (rows padded, m), m a multiple of 8.
    word_modes: (modes, cols), a multiple of 4 of whole-line modes first; column_of: (modes,): -1, or the one column of the mode.
    gram: (n, m, m), columns of these fields: gram[k - 1] = X' N E^k X;
    shares: (powers, rows padded, m): sum_j dh_ij (E^k X)_ij for k = 1 ...; ends: (powers, 2, m, cols): E^k X in the first and last row.
    f: (4, 8 cols). dots: (modes, at least 4; 32).
    """
    rows, cols = d.shape[0], word_r.shape[0]
    w, e, x = lines[0], lines[1], lines[3]
    for k in range(LANES):
        shape = word_modes[mode_of[lane + k]]
        for j in range(cols):
            x[j * LANES + k] = shape[j]
    _zero(e)
    for i in range(0, rows, 4):
        _given(i, cols, bit_shapes, lane, d, word_q, x, scratch)
        _backward(i, 1, down, d, word_q, word_r, p, scratch, e, e, t, False, f, True)
    for power in range(shares.shape[0]):
        upward = power % 2 == 0
        q, r, q_next = (down, down_r, up) if upward else (up, up_r, down)
        start, step = (rows - 1, -1) if upward else (0, 1)
        first, share = t[start], shares[power]
        for j in range(cols):  # rows of padding have the voltages of the last one
            store(w, j * LANES, q[start, j] * (r[start] * load(first, j * LANES)))
        _keep_end(w, ends[power, 1 if upward else 0], lane)
        _zero(w)
        _zero(e)
        for n in range(0, rows, 4):
            i = start + step * n
            _forward(i, step, cols, q, r, d, word_q, t, w, scratch, True, dh, dots, True)
            for k in range(4):
                store(share[i + k * step], lane, load(dots[k], 0))
            if power < shares.shape[0] - 1:
                _backward(i, step, q_next, d, word_q, word_r, p, scratch, e, e, t, False, f, True)
            elif power < gram.shape[0]:
                _backward(i, step, q_next, d, word_q, word_r, p, scratch, e, e, t, True, f, True)
            if power < gram.shape[0]:
                _project(f, i, step, bit_shapes, word_modes, column_of, mode_of, lane, dots, gram[power])
        _keep_end(w, ends[power, 0 if upward else 1], lane)


@njit(**KERNEL)
def _keep_end(w, end, lane):
    """Write the eight fields of one row to rows lane ... lane + 7 of `end`, (m, cols)."""
    target = end[lane : lane + LANES]
    for j in range(end.shape[1]):
        scatter(target, j, load(w, j * LANES))


@njit(**KERNEL)
def solve_gram(gram, right):
    """``right <- gram^-1 right`` by Cholesky, gram (m, m) scaled to a unit diagonal; returns how many fields were linearly dependent.

    A dependent field (pivot below 1e-12) is left out. right: (m, a multiple of 8). Both are overwritten.
    """
    m = gram.shape[0]
    left_out = 0
    for k in range(m):
        pivot = gram[k, k]
        if not pivot > 1e-12:
            left_out += 1
            gram[k, :] = 0.0
            gram[:, k] = 0.0
            gram[k, k] = 1.0
            right[k, :] = 0.0
            continue
        root = pivot**0.5
        for i in range(k, m):
            gram[i, k] /= root
        for i in range(k + 1, m):
            for j in range(k + 1, i + 1):
                gram[i, j] -= gram[i, k] * gram[j, k]
    for c in range(0, right.shape[1], LANES):
        for i in range(m):
            x = load(right[i], c)
            for k in range(i):
                x = x - gram[i, k] * load(right[k], c)
            store(right[i], c, x / gram[i, i])
        for i in range(m - 1, -1, -1):
            x = load(right[i], c)
            for k in range(i + 1, m):
                x = x - gram[k, i] * load(right[k], c)
            store(right[i], c, x / gram[i, i])
    return left_out
