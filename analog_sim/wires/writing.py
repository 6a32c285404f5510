"""Voltages across the cells while word and bit lines are driven, as in a slot of a pulse train. It moves no cell.

Lines that fire together load each other, and half-selected cells see their share: all of it follows from one solve for every slot. The
bit lines are driven where they are otherwise sensed, through the same resistance: with V_b at their terminals the system of `network` has
the further currents p V_b at their active ends, S w = f(V_w) + g_active V_b, T u = t V_w + D w.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.threads import in_parts
from analog_sim.wires.network import factored
from analog_sim.wires.single import Solver, checked_inputs, solve_words
from analog_sim.wires.topology import Topology, WiresError

F64 = npt.NDArray[np.float64]


def across(
    g: npt.ArrayLike, topology: Topology, word: npt.ArrayLike, bit: npt.ArrayLike, tolerance: float = 1e-9
) -> F64:
    """Volts across the cells, word less bit line, (slots, rows, cols); a selector in series is counted as part of the cell.

    Args:
        g: (rows, cols) siemens, of ohmic cells. topology: both lines resistive, or neither.
        word: (slots, rows) volts at the drivers of the word lines, 0 for lines at rest. bit: (slots, cols), those of the bit lines.
        tolerance: relative residual of the solves.

    Raises WiresError for other shapes, values that are not finite, and one ideal kind of line beside a resistive one.
    """
    cells = np.asarray(g, np.float64)
    rows, cols = cells.shape if cells.ndim == 2 else (0, 0)
    on_words, on_bits = checked_inputs(word, rows), checked_inputs(bit, cols)
    if len(on_words) != len(on_bits):
        raise WiresError(
            f"wires: pulses: got {len(on_words)} slots on word lines and {len(on_bits)} on bit lines, allowed: as many"
        )
    if topology.word.ideal and topology.bit.ideal:
        return on_words[:, :, None] - on_bits[:, None, :]
    if topology.word.ideal or topology.bit.ideal:
        raise WiresError(
            "wires: pulses: one kind of line without resistance beside a resistive one: give it some (1e-6 ohm)"
        )
    net = factored(cells, topology)
    first, last = topology.word.first.active_conductance, topology.word.last.active_conductance
    above, below = topology.bit.first.active_conductance, topology.bit.last.active_conductance
    out = np.empty((len(on_words), rows, cols))

    def part(begin: int, end: int) -> None:
        solver = Solver(net, keep=True)
        for k in range(begin, end):
            driven = np.zeros((rows, cols))
            driven[:, 0] += first * on_words[k]
            driven[:, -1] += last * on_words[k]
            f = net.cells * solve_words(net, driven)
            f[0] += above * on_bits[k]
            f[-1] += below * on_bits[k]
            w = solver.inject(f, tolerance).w
            out[k] = solve_words(net, driven + net.cells * w) - w

    if len(on_words):
        in_parts(part, len(on_words), 1)
    return out
