"""One input, or a batch of them, by conjugate gradients; the node voltages too. For ohmic cells; it caches nothing.

The residual is measured in the norm of M^-1, relative to that of the first one; see `kernels.conjugate.conjugate_gradients` for the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.threads import in_parts
from analog_sim.wires.kernels import conjugate, factor
from analog_sim.wires.kernels.lanes import LANES
from analog_sim.wires.network import Network, closed_form, factored, staggered
from analog_sim.wires.topology import Topology, WiresError

F64 = npt.NDArray[np.float64]
TOLERANCE = 3e-7
"""Default bound of the relative residual and of the last change of a current; the error of the currents is smaller (docs/wires.md)."""

_NONE = np.zeros((0, 0))


@dataclass(frozen=True)
class Solution:
    """A solve of S w = f.

    Attributes:
        currents: (cols,) ampere that w sends into the sense amplifiers.
        w: (rows, cols) volts on the bit lines; empty when not asked for.
        iterations: of conjugate gradients. residual: relative, at the end.
    """

    currents: F64
    w: F64
    iterations: int
    residual: float


def checked_inputs(v: npt.ArrayLike, rows: int) -> F64:
    """Voltages as (inputs, rows). Raises WiresError for another shape or a value that is not finite."""
    volts = np.atleast_2d(np.asarray(v, np.float64))
    if volts.ndim != 2 or volts.shape[1] != rows:
        raise WiresError(f"wires: input: got an array of shape {np.shape(v)}, allowed: ({rows},) or (inputs, {rows})")
    if not np.isfinite(volts).all():
        raise WiresError("wires: input: got a voltage that is not finite, allowed: finite volts")
    return volts


def limit(net: Network) -> int:
    """Iterations after which a system is given up: twice the nodes of the two kinds of line, and some."""
    return 50 + 2 * (net.rows + net.cols)


class Solver:
    """Work space for solves with one network, of one thread.

    Args:
        net: the factored array. keep: whether solutions hold w.
    """

    def __init__(self, net: Network, keep: bool = False) -> None:
        self.net, self.keep = net, keep
        fields = staggered(6 if keep else 4, net.d.shape)
        self._fields = tuple(fields) if keep else (*fields, _NONE, _NONE)
        self._ends = np.zeros((4, net.d.shape[1]))
        self._work = np.empty(LANES * net.cols)

    def read(self, v: F64, tolerance: float) -> Solution:
        """Solve for the input v (rows,) volts."""
        self._clear()
        conjugate.sources(self.net.dh, v, self.net.rows, self._fields[0])
        return self._solve(tolerance)

    def inject(self, f: F64, tolerance: float) -> Solution:
        """Solve S w = f for any currents f (rows, cols) ampere."""
        self._clear()
        self._fields[0][: self.net.rows, : self.net.cols] = f
        return self._solve(tolerance)

    def follow(self, f: F64, w: F64, tolerance: float) -> Solution:
        """Solve S w = f from an earlier solution w (rows, cols) of a system like it.

        One step w_1 = M^-1 (f + N w) leaves the residual N (w_1 - w), which needs no difference of neighbouring voltages.
        """
        net = self.net
        better = solve_bits(net, f + apply_cells(net, w))
        rest = apply_cells(net, better - w)
        power, wanted = bit_power(net, rest), tolerance * tolerance * bit_power(net, f)
        if power <= wanted:
            return Solution(sensed(net, better), better if self.keep else _NONE, 0, tolerance)
        step = self.inject(rest, float(np.sqrt(wanted / power)))
        total = better + step.w if self.keep else _NONE
        return Solution(
            sensed(net, better) + step.currents,
            total,
            step.iterations,
            step.residual * float(np.sqrt(power / wanted)) * tolerance,
        )

    def _clear(self) -> None:
        for field in self._fields[3:]:
            field[...] = 0.0
        self._ends[...] = 0.0

    def _solve(self, tolerance: float) -> Solution:
        net, top = self.net, self.net.topology
        count, residual = conjugate.conjugate_gradients(
            net.rows,
            net.bit_q,
            net.bit_inverse,
            top.bit.segment,
            net.turned,
            net.word_q,
            net.word_inverse,
            top.word.segment,
            tolerance,
            limit(net),
            self.keep,
            top.bit.first.active_conductance,
            top.bit.last.active_conductance,
            self._fields,
            self._ends,
            self._work,
        )
        if count < 0 or not np.isfinite(residual):
            raise WiresError(
                f"wires: conjugate gradients reached a relative residual of {residual:.1e} in {limit(net)} iterations, "
                f"wanted {tolerance:.1e}: "
                f"cells of up to {net.cells.max():.3g} S on segments of {top.word.segment:g} and {top.bit.segment:g} ohm are too stiff "
                "for this tolerance; raise the tolerance or lower the conductances"
            )
        first, last = top.bit.first.active_conductance, top.bit.last.active_conductance
        out = (first * self._ends[0] + last * self._ends[1])[: net.cols]
        w = self._fields[5][: net.rows, : net.cols].copy() if self.keep else _NONE
        return Solution(out, w, count, residual)


def _padded(net: Network, x: F64) -> F64:
    out = np.zeros_like(net.d)
    out[: net.rows, : net.cols] = x
    return out


def solve_words(net: Network, b: F64) -> F64:
    """T^-1 b, volts on the word lines for currents b (rows, cols) into their nodes, bit lines at 0 V."""
    out, work = np.zeros_like(net.d), np.empty(LANES * net.cols)
    factor.solve_words(net.turned, net.word_q, net.word_inverse, net.topology.word.segment, _padded(net, b), work, out)
    return out[: net.rows, : net.cols]


def solve_bits(net: Network, b: F64) -> F64:
    """M^-1 b, volts on the bit lines for currents b (rows, cols) into their nodes, word lines at 0 V."""
    s, r = np.zeros_like(net.d), net.topology.bit.segment
    conjugate.eliminate(_padded(net, b), net.rows, net.bit_q, net.bit_inverse, r, s)
    conjugate.back_substitute(net.rows, 0, net.rows, net.bit_q, net.bit_inverse, r, s)
    return s[: net.rows, : net.cols]


def bit_power(net: Network, b: F64) -> float:
    """b' M^-1 b, watts."""
    r = net.topology.bit.segment
    return float(conjugate.eliminate(_padded(net, b), net.rows, net.bit_q, net.bit_inverse, r, np.zeros_like(net.d)))


def apply_cells(net: Network, w: F64) -> F64:
    """N w = D T^-1 D w, ampere into the bit lines for volts w (rows, cols) on them, drivers at 0 V."""
    return net.cells * solve_words(net, net.cells * w)


def sensed(net: Network, w: F64) -> F64:
    """Currents (cols,) into the sense amplifiers for volts w (rows, cols) on the bit lines."""
    bit = net.topology.bit
    return bit.first.active_conductance * w[0] + bit.last.active_conductance * w[-1]


def currents(net: Network, v: npt.ArrayLike, tolerance: float = TOLERANCE) -> F64:
    """Currents (inputs, cols) ampere for inputs v (inputs, rows) volts.

    The same bits for every number of threads and every batch. Raises WiresError when an input is not solved to the tolerance.
    """
    volts = checked_inputs(v, net.rows)
    out = np.empty((len(volts), net.cols))

    def part(first: int, last: int) -> None:
        solver = Solver(net)
        for k in range(first, last):
            out[k] = solver.read(volts[k], tolerance).currents

    if len(volts):
        in_parts(part, len(volts), 1)
    return out


def read(g: npt.ArrayLike, topology: Topology, v: npt.ArrayLike, tolerance: float = TOLERANCE) -> F64:
    """Currents (inputs, cols) ampere of an array g (rows, cols) siemens for inputs v (inputs, rows) volts, whatever its wires."""
    matrix = closed_form(g, topology)
    if matrix is not None:
        return checked_inputs(v, len(matrix)) @ matrix
    return currents(factored(g, topology), v, tolerance)
