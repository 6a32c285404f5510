"""The effective conductance matrix of a whole array: I = G_eff' V, with the error measured. It caches nothing.

Order and basis of the series (`series`) are chosen for the array at hand, on probe inputs that are solved by conjugate gradients too. An
array for which no series of moderate order converges is solved word line by word line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.wires.basis import eigenvalues, modes, outliers
from analog_sim.wires.kernels.lanes import LANES
from analog_sim.wires.network import Network, closed_form, factored
from analog_sim.wires.series import Polynomials, deflation, leaves_cache, polynomials, probe_moments, series_matrix
from analog_sim.wires.single import currents
from analog_sim.wires.topology import Topology, WiresError

F64 = npt.NDArray[np.float64]
TOLERANCE = 1e-7
"""Default bound of the measured error: largest current error of the probes over their largest current."""

_LARGEST_ORDER, _LARGEST_BASIS = 12, 160
_TALL = 1.2
"""Word lines over bit lines from which it pays to solve for the bit lines, the second check included."""


@dataclass(frozen=True)
class Effective:
    """The matrix and how well it is known.

    Attributes:
        matrix: G_eff (rows, cols) siemens; currents are V @ matrix.
        error: measured: largest current error over largest current of the probe inputs; 0 for a closed form.
        method: "closed form", "series" or "conjugate gradients".
        order, basis: K and the number of fields of the series.
    """

    matrix: F64
    error: float
    method: str
    order: int = 0
    basis: int = 0


@dataclass(frozen=True)
class Probes:
    """Inputs solved by conjugate gradients, to choose and to check a series with.

    Attributes:
        v: (8, rows) volts; only the first len(currents) are solved. currents: (solved, cols) ampere.
    """

    v: F64
    currents: F64

    def error(self, found: F64) -> float:
        """Largest current error over the largest current of an input; found: (inputs, cols)."""
        wanted = self.currents
        scale = np.abs(wanted).max(1)
        return float((np.abs(found[: len(wanted)] - wanted).max(1) / np.where(scale > 0.0, scale, 1.0)).max())


def probes(net: Network, single: npt.NDArray[np.int64], tolerance: float) -> Probes:
    """Random voltages, random positive voltages, one word line alone, and those of outlying cells, if there are any."""
    random = np.random.default_rng(net.rows + 1000 * net.cols)  # fixed: the same array has the same matrix to the bit
    v = np.zeros((LANES, net.rows))
    v[0] = random.standard_normal(net.rows)
    v[1] = random.uniform(0.0, 1.0, net.rows)
    v[2, net.rows // 8] = 1.0
    solved = 3
    if len(single):
        v[3, single[0, 0]] = 1.0
        v[4, single[len(single) // 2, 0]] = 1.0
        solved = 5
    return Probes(v, currents(net, v[:solved], min(1e-6, 0.1 * tolerance)))


def series_work(net: Network, fields: int, order: int, depth: int) -> float:
    """Time of a series in passes of one input, as measured: a pass costs twice as much when a block of eight leaves the cache."""
    slow = 2.0 if order > 1 and leaves_cache(net) else 1.0
    powers = max(2 * depth, (order + 3) // 2 + depth)
    return net.rows * max(order - 0.15, 0.1) * slow + fields * (3.5 + 0.05 * fields + 1.65 * powers)


def planned(net: Network, single: int, depth: int, tolerance: float) -> list[tuple[int, int]]:
    """(smooth fields, order) worth trying, by the work they promise.

    T_(K+1)(2 / rho - 1) bounds the remainder for equal cells. The cheapest comes first.
    """
    values = eigenvalues(net, _LARGEST_BASIS + 1)[0]
    plans = []
    for smooth in (0, 8, 16, 32, 64, 128):
        rho = float(values[smooth]) if smooth < len(values) else 0.0
        for order in range(_LARGEST_ORDER + 1):
            x = 2.0 / rho - 1.0 if rho > 0.0 else np.inf
            if x == np.inf or (order + 1) * np.arccosh(x) > np.log(10.0 / tolerance):
                fields = -(-(smooth + single) // LANES) * LANES
                plans.append((series_work(net, fields, order, depth), smooth, order))
                break
        if rho == 0.0:
            break
    return [(smooth, order) for _, smooth, order in sorted(plans)]


def chosen_series(net: Network, tolerance: float) -> tuple[Polynomials, F64, F64, Probes, int] | None:
    """The cheapest series that meets the tolerance on the probes; None when none of those tried does."""
    single = outliers(net, 64)
    test = probes(net, single, tolerance)
    tried, depth = 0, 2 if len(single) else 1
    for smooth, order in planned(net, len(single), depth, tolerance):
        if tried and smooth <= tried:
            continue  # only a larger basis is worth another attempt, then of depth 2
        depth = 2 if tried else depth
        tried = max(smooth, 1)
        basis = modes(net, smooth, single)
        largest = order + 1
        moment = probe_moments(net, test.v, largest)
        powers = deflation(net, basis, largest, depth) if basis.size else None
        for k in range(max(order - 1, 0), largest + 1):
            c = polynomials(k, basis.rho)
            left, right = powers.factors(net, c) if powers else (np.zeros((0, net.cols)), np.zeros((0, len(net.d))))
            found = np.tensordot(c.c, moment[: k + 1], 1) + (test.v @ right[:, : net.rows].T) @ left
            if test.error(found) <= 0.5 * tolerance:
                return c, left, right, test, basis.size
    return None


def effective_matrix(g: npt.ArrayLike, topology: Topology, tolerance: float = TOLERANCE) -> Effective:
    """The effective conductance matrix of an array with its wires.

    Args:
        g: (rows, cols) siemens, finite and >= 0; zeros and shorts are welcome.
        topology: wires, driven on the word lines and sensed on the bit lines.
        tolerance: bound of the error of a current, relative to the largest current of its input, on the probes.

    Raises WiresError when the array is too stiff for the tolerance.
    """
    if not 1e-12 <= tolerance <= 1e-2:
        raise WiresError(f"wires: tolerance: got {tolerance}, allowed: 1e-12 ... 1e-2")
    matrix = closed_form(g, topology)
    if matrix is not None:
        return Effective(matrix, 0.0, "closed form")
    net = factored(g, topology)
    if net.cells.max() == 0.0:
        return Effective(np.zeros(net.cells.shape), 0.0, "closed form")
    return by_series(net, tolerance) or by_conjugate_gradients(net, tolerance)


def by_series(net: Network, tolerance: float) -> Effective | None:
    """The matrix by a series that meets the tolerance; None when there is none.

    A pass serves eight driven lines, so an array with more word than bit lines is solved as if its bit lines were driven (reciprocity).
    """
    sides = [net]
    if net.rows > _TALL * net.cols:
        sides.insert(0, factored(np.ascontiguousarray(net.cells.T), replace(net.topology.turned(), selector=0.0)))
    for side in sides:
        series = chosen_series(side, tolerance)
        if series is None:
            continue
        c, left, right, test, size = series
        matrix = series_matrix(side, c.c, left, right, 0.1 * tolerance)
        error = test.error(test.v @ matrix)
        if side is not net:
            matrix, own = np.ascontiguousarray(matrix.T), probes(net, outliers(net, 64), tolerance)
            error = max(error, own.error(own.v @ matrix))
        if error <= tolerance:
            return Effective(matrix, error, "series", len(c.c) - 1, size)
    return None


def transposed_matrix(
    g: npt.ArrayLike,
    forward: Topology,
    backward: Topology,
    known: Effective | None = None,
    tolerance: float = TOLERANCE,
) -> Effective:
    """The effective matrix (cols, rows) of reads in the other direction.

    With the same terminals both ways it is the transpose of the forward one (reciprocity), else it is solved for by itself.

    Args:
        g: (rows, cols) siemens. forward: wires of reads that drive word lines. backward: of reads that drive bit lines, as
            `WiresSpec.backward` gives them: its word lines are the bit lines.
        known: the forward matrix of these cells, if at hand. tolerance: as in `effective`.
    """
    if forward.reciprocal(backward):
        found = effective_matrix(g, forward, tolerance) if known is None else known
        return replace(found, matrix=np.ascontiguousarray(found.matrix.T))
    return effective_matrix(np.ascontiguousarray(np.asarray(g, np.float64).T), backward, tolerance)


def by_conjugate_gradients(net: Network, tolerance: float) -> Effective:
    """Every word line by itself: for arrays on which no series of moderate order converges."""
    test = probes(net, np.zeros((0, 2), np.int64), 0.01 * tolerance)
    error = np.inf
    for share in (0.1, 0.001):
        matrix = currents(net, np.eye(net.rows), share * tolerance)
        error = test.error(test.v @ matrix)
        if error <= tolerance:
            return Effective(matrix, error, "conjugate gradients")
    raise WiresError(
        f"wires: effective matrix: measured error {error:.1e}, wanted {tolerance:.1e}: too stiff for this tolerance"
    )
