"""Conjugate gradients on the bit-line Schur complement, preconditioned by the line solves. Kernels on padded arrays.

S = M - N with M the bit lines (tridiagonal each) and N = D T^-1 D what the cells and word lines add. In the form of Chronopoulos and
Gear (doi:10.1016/0377-0427(89)90045-9), two passes over memory an iteration:

    `update`:  Sp <- (r - Nz) + beta Sp;  r <- r - alpha Sp;  eliminate the bit lines from the top: s;  rho = r' M^-1 r
    `precondition`:  z = M^-1 r from s, from the bottom up;  Nz by the word lines, eight at a time;  nu = z' N z

rho and nu are sums of squares of the elimination (r' M^-1 r = sum r_b q s^2 + s_last^2 / y_last), so neither needs another pass.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from analog_sim.wires.kernels.lanes import LANES, full, gather, load, scatter, store, total

_STIFF = 0.01
"""Inverse of the longest step of conjugate gradients at which the residual still tells of the error; below 12 at 1024 lines and 1 ohm."""
_KERNEL: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "_nrt": False}


@njit(**_KERNEL)
def eliminate(f, rows, q, inverse, r, s):
    """s of the bit lines from the top for currents f (rows padded, cols padded) ampere; returns f' M^-1 f in watts."""
    power = full(0.0)
    for j in range(0, f.shape[1], LANES):
        store(s[0], j, load(f[0], j))
    for i in range(1, rows):
        above, here, source, factor = s[i - 1], s[i], f[i], q[i - 1]
        for j in range(0, f.shape[1], LANES):
            a, c = load(above, j), load(factor, j)
            power = power + (r * c) * (a * a)
            store(here, j, load(source, j) + c * a)
    for j in range(0, f.shape[1], LANES):
        a = load(s[rows - 1], j)
        power = power + load(inverse, j) * (a * a)
    return total(power)


@njit(**_KERNEL)
def update(alpha, beta, rows, q, inverse, r, residual, nz, sp, s):
    """One step of the residual and its elimination; returns rho of the new residual, watts. All fields (rows padded, cols padded)."""
    cols = residual.shape[1]
    power = full(0.0)
    for i in range(rows):
        here, res, n, direction = s[i], residual[i], nz[i], sp[i]
        above, factor = s[max(i - 1, 0)], q[max(i - 1, 0)]
        first = 0.0 if i == 0 else 1.0
        for j in range(0, cols, LANES):
            old = load(res, j)
            d = (old - load(n, j)) + beta * load(direction, j)
            store(direction, j, d)
            new = old - alpha * d
            store(res, j, new)
            a, c = load(above, j), first * load(factor, j)
            power = power + (r * c) * (a * a)
            store(here, j, new + c * a)
    for j in range(0, cols, LANES):
        a = load(s[rows - 1], j)
        power = power + load(inverse, j) * (a * a)
    return total(power)


@njit(**_KERNEL)
def back_substitute(rows, top, count, q, inverse, r, s):
    """z = M^-1 r of rows top + count - 1 down to `top`, in place of s; rows below are done. The last real row begins."""
    cols = s.shape[1]
    for i in range(min(top + count, rows) - 1, top - 1, -1):
        here, factor = s[i], q[i]
        if i == rows - 1:
            for j in range(0, cols, LANES):
                store(here, j, load(inverse, j) * load(here, j))
        else:
            below = s[i + 1]
            for j in range(0, cols, LANES):
                store(here, j, load(factor, j) * (load(below, j) + r * load(here, j)))


@njit(**_KERNEL)
def word_solve(cells, factors, inverse, r, field, work, out):
    """``out = D T^-1 D field`` for eight word lines; returns the eight shares of field' out, watts.

    cells, factors: (8 cols,) one group of `factor_words`; inverse: (8,); field, out: (8, cols padded); work: (8 cols,).
    """
    cols = cells.shape[0] // LANES
    s = load(cells, 0) * gather(field, 0)
    power = full(0.0)
    for j in range(1, cols):
        k = j * LANES
        store(work, k - LANES, s)
        c = load(factors, k - LANES)
        power = power + (r * c) * (s * s)
        s = load(cells, k) * gather(field, j) + c * s
    k = (cols - 1) * LANES
    u = load(inverse, 0) * s
    power = power + u * s
    scatter(out, cols - 1, load(cells, k) * u)
    for j in range(cols - 2, -1, -1):
        k = j * LANES
        u = load(factors, k) * (u + r * load(work, k))
        scatter(out, j, load(cells, k) * u)
    return total(power)


@njit(**_KERNEL)
def precondition(rows, q, inverse, r_bit, turned, word_q, word_inverse, r_word, s, nz, work):
    """z = M^-1 r in place of s, and Nz; returns z' N z, watts. work: (8 cols,)."""
    power = 0.0
    for b in range(turned.shape[0] - 1, -1, -1):
        top = b * LANES
        back_substitute(rows, top, LANES, q, inverse, r_bit, s)
        power += word_solve(
            turned[b].reshape(-1),
            word_q[b].reshape(-1),
            word_inverse[b],
            r_word,
            s[top : top + LANES],
            work,
            nz[top : top + LANES],
        )
    return power


@njit(**_KERNEL)
def combine(alpha, beta, rows, z, p, w):
    """``p <- z + beta p;  w <- w + alpha p`` over the real rows."""
    for i in range(rows):
        source, direction, target = z[i], p[i], w[i]
        for j in range(0, z.shape[1], LANES):
            d = load(source, j) + beta * load(direction, j)
            store(direction, j, d)
            store(target, j, load(target, j) + alpha * d)


@njit(**_KERNEL)
def _advance(alpha, beta, rows, keep, fields, ends):
    """A step along the next direction, for the first and the last row and with `keep` for all."""
    z = fields[1]
    combine(alpha, beta, 1, z[0:1], ends[2:3], ends[0:1])
    combine(alpha, beta, 1, z[rows - 1 : rows], ends[3:4], ends[1:2])
    if keep:
        combine(alpha, beta, rows, z, fields[4], fields[5])


@njit(**_KERNEL)
def _settled(alpha, first, last, ends, tolerance):
    """Whether the step alpha p changed no current by more than `tolerance` of the largest."""
    change, largest = 0.0, 0.0
    for j in range(ends.shape[1]):
        change = max(change, abs(alpha * (first * ends[2, j] + last * ends[3, j])))
        largest = max(largest, abs(first * ends[0, j] + last * ends[1, j]))
    return change <= tolerance * largest


@njit(**_KERNEL)
def sources(dh, v, rows, out):
    """``out_ij = dh_ij v_i``: the currents into the bit lines that an input v (rows,) volts causes first."""
    for i in range(rows):
        source, target = dh[i], out[i]
        for j in range(0, dh.shape[1], LANES):
            store(target, j, v[i] * load(source, j))


@njit(**_KERNEL)
def conjugate_gradients(
    rows,
    q,
    inverse,
    r_bit,
    turned,
    word_q,
    word_inverse,
    r_word,
    tolerance,
    limit,
    keep,
    first_sense,
    last_sense,
    fields,
    ends,
    work,
):
    """Solve S w = f; returns (iterations, last relative residual); iterations = -1 when `limit` did not suffice.

    fields: (6, rows padded, cols padded): f in fields[0] on entry (the residual later), then s, Nz, Sp; with `keep` also p and w.
    ends: (4, cols padded): w of the first and the last row, and p of them; w is wanted there, whatever `keep` says.
    first_sense, last_sense: siemens to the sense amplifiers at both ends. It stops when sqrt(r' M^-1 r / f' M^-1 f) <= tolerance (less
    where a long step has shown that M^-1 S has an eigenvalue below _STIFF: there a small residual leaves a large error) and the last
    step changed no current by more than that share of the largest (or the residual is 1e-4 of that: currents that cancel to rounding
    never settle). The last preconditioned residual is added to w: a free digit.
    """
    residual, s, nz, sp = fields[0], fields[1], fields[2], fields[3]
    rho = eliminate(residual, rows, q, inverse, r_bit, s)
    first_rho = rho
    alpha, beta, old, stiff = 0.0, 0.0, 1.0, 1.0
    count = 0
    settled = first_rho == 0.0
    while True:
        bound = tolerance * tolerance * first_rho / stiff
        if rho <= bound and (settled or rho <= 1e-8 * bound):
            back_substitute(rows, 0, rows, q, inverse, r_bit, s)
            _advance(1.0, 0.0, rows, keep, fields, ends)
            return count, (rho / first_rho) ** 0.5 if first_rho > 0.0 else 0.0
        nu = precondition(rows, q, inverse, r_bit, turned, word_q, word_inverse, r_word, s, nz, work)
        delta = rho - nu
        beta = 0.0 if count == 0 else rho / old
        curvature = delta if count == 0 else delta - beta * rho / alpha
        if count == limit or not curvature > 0.0:
            return -1, (rho / first_rho) ** 0.5
        alpha = rho / curvature
        stiff = max(stiff, (_STIFF * alpha) ** 2)
        _advance(alpha, beta, rows, keep, fields, ends)
        settled = _settled(alpha, first_sense, last_sense, ends, tolerance)
        old = rho
        rho = update(alpha, beta, rows, q, inverse, r_bit, residual, nz, sp, s)
        count += 1
