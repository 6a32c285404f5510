"""Variance of read noise under wires for any number of inputs, as one product: the quadratic form. It draws nothing.

With the response of `analog_sim.wires` (smooth inputs m_a, alpha_a = m_a v, rest = v - sum_a alpha_a m_a) the variance of output k is

    var_k = sum_i X_ik (h_ik rest_i + sum_a alpha_a c^a_ik)^2,    X = (x sigma)^2, over the cells of both planes
          ~ sum_i Y_ik (rest_i + sum_a alpha_a theta^a_i)^2 + sum_ab alpha_a alpha_b N_ab,k

with Y = X h^2, theta the mean of c / h over the outputs (weighted by Y) and N what then makes it exact for inputs that are smooth. Noise
of two outputs is taken as independent. Where all cells have the same variance, Y is smooth along the driven lines, and sums over them are
taken with a few polynomials instead of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import legvander

from analog_sim.reads.kernels.wired import form_inputs, quadratic_form
from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.reads.wired_layout import LineLayout
from analog_sim.wires import MODES, Response

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_POLYNOMIALS = 8
_SMOOTH = 0.02


@dataclass(frozen=True, eq=False)
class CellResponse:
    """Responses of all cells of a crossbar by planes.

    Attributes:
        modes: (r, inputs). reach, local: (planes, inputs, outputs), 1. fields: (planes, r, inputs, outputs), volts per volt.
    """

    modes: F32
    reach: F32
    local: F32
    fields: F32

    @classmethod
    def of(cls, layout: LineLayout, inputs: int, each: list[Response]) -> CellResponse:
        """From those of the arrays, for the drives of ``layout.modes(inputs)``."""

        def single(x: F64) -> F32:
            return np.ascontiguousarray(x, np.float32)

        return cls(
            single(layout.modes(inputs)[0]),
            single(layout.planes([r.reach for r in each])),
            single(layout.planes([r.local for r in each])),
            single(layout.planes([r.fields for r in each], signed=True)),
        )


class NoiseForm:
    """The quadratic form for one state of the cells.

    Args:
        cells: the responses. variance: of one read of every cell, siemens squared, (planes, inputs, outputs). even: it is one number for
            all cells, so that Y is likely to be smooth along the driven lines.
    """

    def __init__(self, cells: CellResponse, variance: F32, even: bool = False) -> None:
        count, inputs = cells.modes.shape
        shift = np.empty((count, inputs), np.float32)
        form = np.empty((inputs + count * (count + 1) // 2, variance.shape[2]), np.float32)
        quadratic_form(variance, cells.reach, cells.local, cells.fields, cells.modes, shift, form)
        if count < MODES:  # fewer lines than modes: the kernel takes them all, the rest without effect
            form = _spread(form, inputs, count)
        self._modes, self._shift = (
            np.concatenate([x, np.zeros((MODES - count, inputs), np.float32)]) for x in (cells.modes, shift)
        )
        self._basis = _smooth_basis(form, inputs) if even else np.zeros((0, inputs), np.float32)
        if len(self._basis):
            form = np.concatenate([self._basis @ form[:inputs], form[inputs:]])
        self._form = PackedMatrix.of(np.ascontiguousarray(form))
        self._squares = np.empty(inputs, np.float32)

    def variance(self, v: F32) -> F32:
        """Variance (B, outputs), amperes squared, for inputs v (B, inputs) volts."""
        factors = np.empty((len(v), self._form.rows), np.float32)
        form_inputs(v, self._modes, self._shift, self._basis, self._squares, factors)
        found = self._form.multiply(factors)
        return np.maximum(found, np.float32(0.0), out=found)


def _spread(form: F32, inputs: int, count: int) -> F32:
    """The form of fewer modes in the places of MODES of them."""
    pairs = [(a, b) for a in range(MODES) for b in range(a, MODES)]
    out = np.zeros((inputs + len(pairs), form.shape[1]), np.float32)
    out[:inputs] = form[:inputs]
    out[[inputs + pairs.index((a, b)) for a in range(count) for b in range(a, count)]] = form[inputs:]
    return out


def _smooth_basis(form: F32, inputs: int) -> F32:
    """Orthonormal polynomials (8, inputs) on which Y may be projected; none when that changes a sum over random squares by 2 %."""
    if inputs <= 4 * _POLYNOMIALS:
        return np.zeros((0, inputs), np.float32)
    x = np.linspace(-1.0, 1.0, inputs)
    basis = np.ascontiguousarray(np.linalg.qr(legvander(x, _POLYNOMIALS - 1))[0].T, np.float32)
    q = np.random.default_rng(inputs).uniform(0.0, 1.0, (8, inputs)).astype(np.float32) ** 2
    q[0, : inputs // 2] = 0.0
    q[1, inputs // 2 :] = 0.0
    exact = q @ form[:inputs]
    smooth = (q @ basis.T) @ (basis @ form[:inputs])
    if (np.abs(smooth - exact) <= _SMOOTH * np.abs(exact)).all():
        return basis
    return np.zeros((0, inputs), np.float32)
