"""Kernels of the read noise under wires: the quadratic form of all inputs, and what it is multiplied with. They draw nothing."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=False)
def quadratic_form(variance, reach, local, fields, modes, shift, out):
    """The form of `reads.wired_noise` from the cells of all planes.

    variance, reach, local: (planes, n, m), siemens squared and 1; fields: (planes, r, n, m); modes: (r, n); shift: (r, n), written;
    out: (n + r (r + 1) / 2, m) siemens squared, written: local variances, then what the smooth inputs a <= b need beside them.
    """
    planes, n, m = variance.shape
    count = len(modes)
    x, own = np.empty((planes, m), np.float32), np.empty(m, np.float32)
    theta = np.empty(count, np.float32)
    out[n:] = np.float32(0.0)
    for i in range(n):
        own[:] = np.float32(0.0)
        for p in range(planes):
            for k in range(m):
                x[p, k] = variance[p, i, k] * reach[p, i, k] * reach[p, i, k]
                own[k] += x[p, k] * local[p, i, k] * local[p, i, k]
        total = own.sum()
        for a in range(count):
            s = np.float32(0.0)
            for p in range(planes):
                for k in range(m):
                    s += x[p, k] * local[p, i, k] * fields[p, a, i, k]
            theta[a] = s / total if total > np.float32(0.0) else modes[a, i]
            shift[a, i] = theta[a] - modes[a, i]
        out[i] = own
        place = n
        for a in range(count):
            for b in range(a, count):
                twice = np.float32(1.0) if a == b else np.float32(2.0)
                both = theta[a] * theta[b]
                for k in range(m):
                    s = -both * own[k]
                    for p in range(planes):
                        s += x[p, k] * fields[p, a, i, k] * fields[p, b, i, k]
                    out[place, k] += twice * s
                place += 1


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def form_inputs(v, modes, shift, basis, squares, out):
    """What the form is multiplied with, into out (B, k + r (r + 1) / 2), r = 4.

    ``q_i = (v_i + sum_a alpha_a shift_ai)**2``, alpha = modes v. Without a basis (0 rows) the q_i themselves come first (k = n), otherwise
    basis q; then ``alpha_a alpha_b`` for a <= b. v: (B, n); modes, shift: (4, n); basis: (k, n) or (0, n); squares: (n,), scratch.
    """
    n = v.shape[1]
    count = basis.shape[0]
    place = count if count else n
    for b in range(v.shape[0]):
        row, target = v[b], out[b]
        q = squares if count else target[:n]
        alpha0, alpha1, alpha2, alpha3 = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for i in range(n):
            alpha0 += modes[0, i] * row[i]
            alpha1 += modes[1, i] * row[i]
            alpha2 += modes[2, i] * row[i]
            alpha3 += modes[3, i] * row[i]
        for i in range(n):
            x = row[i] + alpha0 * shift[0, i] + alpha1 * shift[1, i] + alpha2 * shift[2, i] + alpha3 * shift[3, i]
            q[i] = x * x
        for c in range(0, count, 4):
            s0, s1, s2, s3 = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for i in range(n):
                s0 += basis[c, i] * q[i]
                s1 += basis[c + 1, i] * q[i]
                s2 += basis[c + 2, i] * q[i]
                s3 += basis[c + 3, i] * q[i]
            target[c], target[c + 1], target[c + 2], target[c + 3] = s0, s1, s2, s3
        alpha = (alpha0, alpha1, alpha2, alpha3)
        k = place
        for a in range(4):
            for c in range(a, 4):
                target[k] = alpha[a] * alpha[c]
                k += 1
