"""Read noise under wires: how much of a cell's noise current reaches a sense amplifier. It draws nothing.

A cell at voltage v_ij with a conductance deviation of standard deviation sigma_ij adds a current sigma_ij v_ij between its nodes.
Its effect on current k is x^k_ij = w^k_ij - u^k_ij, the voltage at the cell when the sense amplifier k is at 1 V and the drivers
at 0 V (reciprocity), so

    var I_k = sum_ij (x^k_ij sigma_ij v_ij)^2

exactly, for independent cells and to first order in sigma. The fast form takes the exact v (one solve) and of x only the cells of
bit line k, to the first order of the lines: x_ik = p_ik (1 - d_ik (T_i^-1)_kk).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.threads import in_parts
from analog_sim.wires.changes.response import Response, cell_voltage, reach
from analog_sim.wires.network import Network, factored
from analog_sim.wires.single import Solver, checked_inputs, solve_words
from analog_sim.wires.topology import Topology

F64 = npt.NDArray[np.float64]


def exact_variance(g: npt.ArrayLike, sigma: npt.ArrayLike, topology: Topology, v: npt.ArrayLike) -> F64:
    """Variance (inputs, cols) of the currents, ampere squared, by one solve per bit line and per input: slow.

    Args:
        g, sigma: (rows, cols) siemens, conductance and its standard deviation. topology: resistive wires, no selector. v: (inputs,
        rows) volts.
    """
    net = factored(g, topology)
    volts, solver = checked_inputs(v, net.rows), Solver(net, keep=True)
    bit = topology.bit
    noise = np.stack([(np.asarray(sigma) * cell_voltage(net, solver, x, 1e-9)) ** 2 for x in volts]).reshape(
        len(volts), -1
    )
    out = np.empty((len(volts), net.cols))
    for k in range(net.cols):
        f = np.zeros((net.rows, net.cols))
        f[0, k] += bit.first.active_conductance
        f[-1, k] += bit.last.active_conductance
        w = solver.inject(f, 1e-9).w
        x = w - solve_words(net, net.cells * w)
        out[:, k] = noise @ (x * x).ravel()
    return out


@dataclass(frozen=True, eq=False)
class NoiseTransfer:
    """The fast form for one state of the cells.

    Attributes:
        net: the factored array. weight: x_ik^2 (rows, cols), 1.
    """

    net: Network
    weight: F64

    @classmethod
    def of(cls, known: Response) -> NoiseTransfer:
        """From a response, without further work."""
        return cls(known.net, known.reach**2)

    def variance(self, sigma: npt.ArrayLike, v: npt.ArrayLike) -> F64:
        """Variance (inputs, cols) of the currents, ampere squared; sigma: (rows, cols) siemens; v: (inputs, rows) volts."""
        net = self.net
        share = self.weight * np.asarray(sigma, np.float64) ** 2
        volts = checked_inputs(v, net.rows)
        out = np.empty((len(volts), net.cols))

        def part(first: int, last: int) -> None:
            solver = Solver(net, keep=True)
            for k in range(first, last):
                out[k] = (share * cell_voltage(net, solver, volts[k], 1e-5) ** 2).sum(0)

        if len(volts):
            in_parts(part, len(volts), 1)
        return out


def noise_transfer(g: npt.ArrayLike, topology: Topology) -> NoiseTransfer:
    """Prepare the fast form for cells g (rows, cols) siemens. Its error is stated in docs/wires.md."""
    net = factored(g, topology)
    return NoiseTransfer(net, reach(net) ** 2)
