"""Factors of the tridiagonal systems of all word lines and all bit lines. Kernels on padded arrays; see `wires.network`.

A line is a chain of nodes, each with the conductance d_k of its cell to elsewhere, joined by segments of r ohm. Seen from node k towards
its first end the line is a conductance y_k (with the cell of k):

    y_0 = g_first + d_0,   y_(k+1) = d_(k+1) + q_k y_k,   q_k = 1 / (1 + r y_k)

and with currents b into the nodes s_(k+1) = b_(k+1) + q_k s_k, x_last = s_last / (y_last + g_last), x_k = q_k (x_(k+1) + r s_k).
Only sums and products of positive numbers: no cancellation, whatever the ratio of wire to cell, and r = 0 is no special case.
"""

from __future__ import annotations

from numba import njit

from analog_sim.wires.kernels.lanes import LANES, full, gather, load, scatter, store


@njit(cache=True, nogil=True, fastmath=False)
def factor_bits(d, rows, r, g_first, g_last, step, q, inverse):
    """Factors of all bit lines, eliminated from one end.

    d, q: (rows padded, cols padded) siemens and 1; rows: real rows; step: 1 from the top (g_first at the top), -1 from the bottom
    (g_first at the bottom); inverse: (cols padded,) ohm, 1 / (y_last + g_last).
    """
    start = 0 if step == 1 else rows - 1
    for j in range(0, d.shape[1], LANES):
        y = full(g_first) + load(d[start], j)
        for k in range(rows - 1):
            i = start + step * k
            factor = full(1.0) / (full(1.0) + r * y)
            store(q[i], j, factor)
            y = load(d[i + step], j) + factor * y
        store(q[start + step * (rows - 1)], j, full(1.0))
        store(inverse, j, full(1.0) / (y + full(g_last)))


@njit(cache=True, nogil=True, fastmath=False)
def seen_from(d, r, g_end, step, out):
    """Conductance, siemens, that every node of lines along axis 0 sees towards one end, its own cell left out.

    d, out: (positions, lines) siemens; r: ohm of a segment; g_end: siemens of the end; step: 1 from position 0, -1 from the last one.
    """
    positions, lines = d.shape
    start = 0 if step == 1 else positions - 1
    for j in range(lines):
        out[start, j] = g_end
    for k in range(positions - 1):
        i = start + step * k
        for j in range(lines):
            y = out[i, j] + d[i, j]
            out[i + step, j] = y / (1.0 + r * y)


@njit(cache=True, nogil=True, fastmath=False)
def factor_words(turned, r, g_first, g_last, q, inverse):
    """Factors of all word lines, eight at a time, eliminated from the left.

    turned, q: (rows padded / 8, cols, 8) cells and factors, eight word lines side by side; inverse: (rows padded / 8, 8) ohm.
    """
    cols = turned.shape[1]
    for b in range(turned.shape[0]):
        cells, factors = turned[b].reshape(-1), q[b].reshape(-1)
        y = full(g_first) + load(cells, 0)
        for j in range(cols - 1):
            factor = full(1.0) / (full(1.0) + r * y)
            store(factors, j * LANES, factor)
            y = load(cells, (j + 1) * LANES) + factor * y
        store(factors, (cols - 1) * LANES, full(1.0))
        store(inverse[b], 0, full(1.0) / (y + full(g_last)))


@njit(cache=True, nogil=True, fastmath=False)
def word_sources(turned, q, inverse, r, g_first, g_last, scratch, out):
    """``out_ij = d_ij h_ij``: current into each bit-line node for 1 V at the driven ends of word line i, bit lines at 0 V.

    g_first, g_last: siemens of the driven ends (0 where not driven); scratch: (cols, 8); out: (rows padded, cols padded) siemens.
    """
    cols = turned.shape[1]
    work = scratch.reshape(-1)
    for b in range(turned.shape[0]):
        cells, factors = turned[b].reshape(-1), q[b].reshape(-1)
        target = out[b * LANES : (b + 1) * LANES]
        s = full(g_first)
        for j in range(cols):
            if j == cols - 1:
                s = s + full(g_last)
            store(work, j * LANES, s)
            s = load(factors, j * LANES) * s
        u = load(inverse[b], 0) * load(work, (cols - 1) * LANES)
        scatter(target, cols - 1, load(cells, (cols - 1) * LANES) * u)
        for j in range(cols - 2, -1, -1):
            u = load(factors, j * LANES) * (u + r * load(work, j * LANES))
            scatter(target, j, load(cells, j * LANES) * u)


@njit(cache=True, nogil=True, fastmath=False)
def solve_words(turned, q, inverse, r, b, work, out):
    """``out = T^-1 b``: voltages of the word lines for currents b into their nodes; both (rows padded, cols padded); work: (8 cols,)."""
    cols = turned.shape[1]
    for block in range(turned.shape[0]):
        factors = q[block].reshape(-1)
        source, target = b[block * LANES : (block + 1) * LANES], out[block * LANES : (block + 1) * LANES]
        s = gather(source, 0)
        for j in range(1, cols):
            store(work, (j - 1) * LANES, s)
            s = gather(source, j) + load(factors, (j - 1) * LANES) * s
        u = load(inverse[block], 0) * s
        scatter(target, cols - 1, u)
        for j in range(cols - 2, -1, -1):
            u = load(factors, j * LANES) * (u + r * load(work, j * LANES))
            scatter(target, j, u)


@njit(cache=True, nogil=True, fastmath=False)
def add_response(q, inverse, g, rows, step, out):
    """Add the voltages of all bit lines for 1 V behind g siemens at one end, where q and inverse end: w_k = q_k w_(k - step) from there.

    step: 1 from the top (eliminated from the bottom), -1 from the bottom; out: (rows padded, cols padded) volts.
    """
    start = 0 if step == 1 else rows - 1
    for j in range(0, out.shape[1], LANES):
        w = g * load(inverse, j)
        store(out[start], j, load(out[start], j) + w)
        for k in range(1, rows):
            i = start + step * k
            w = load(q[i], j) * w
            store(out[i], j, load(out[i], j) + w)
