"""Our emulated cells as the devices of Daffodil's simulated board, for programs that are written against `daffodillib`.

It has the attributes and methods that the library's board asks of its device model (volts, microamperes, microsiemens); converters, gates'
limits and amplifiers stay the library's. https://github.com/usnistgov/daffodil-lib, commit 1b64a41. It never trains anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseTrain
from analog_sim.random.streams import Streams

MICRO = 1e6
F64 = npt.NDArray[np.float64]


class DaffodilDevice:
    """32 kernels of 25 x 25 emulated cells behind transistors that conduct above `vt`. An event reads the cells, and pulses those that
    have more than `vwrite` across them: a column above its row depresses (reset), a row above its column potentiates (set).

    Args:
        cell: the compiled device card; its own time, noise and steps. streams: identity of the chip. clock: chip time; a new one when None.
        numkernel, xdim, ydim: kernels, columns, rows. vt: gate voltage over the line from which a transistor conducts, volts.
        vwrite: voltage across a cell from which it changes, volts.

    Attributes:
        columnvoltages, rowvoltages, gatevoltages: set by the board. columncurrents, rowcurrents: microamperes after an event; a column's
            is what flows out of it. resetG, setG: ends of the range, microsiemens. dpot_r: set by the board's user, not used.
        kernels: the arrays, rows of each are the library's columns.
    """

    name = "Emulated"
    currentscale = MICRO

    def __init__(
        self,
        cell: CellModel,
        streams: Streams,
        clock: Clock | None = None,
        *,
        numkernel: int = 32,
        xdim: int = 25,
        ydim: int = 25,
        vt: float = 0.5,
        vwrite: float = 0.75,
    ) -> None:
        if cell.pulse is None:
            raise UserError(f"{cell.name}: this card has no pulse response, which Daffodil's board writes by")
        self.clock = Clock() if clock is None else clock
        self.numkernel, self.kernelxdim, self.kernelydim = numkernel, xdim, ydim
        self.vt, self.vwrite = vt, vwrite
        self.selectedkernel = 0
        self.resetG, self.setG = MICRO * cell.g_min, MICRO * cell.g_max
        self.dpot_r = 0.0
        self.columnvoltages, self.gatevoltages, self.rowvoltages = [0.0] * xdim, [0.0] * xdim, [0.0] * ydim
        self.columncurrents, self.rowcurrents = [0.0] * xdim, [0.0] * ydim
        self.kernels = [
            EmulatedCrossbar(cell, xdim, ydim, pair=False, streams=streams.child("kernel", k), clock=self.clock)
            for k in range(numkernel)
        ]

    def selectkernel(self, value: int) -> None:
        """The kernel that the next events are for. Raises ValueError."""
        if value not in range(self.numkernel):
            raise ValueError(f"kernel: 0 to {self.numkernel - 1} (got {value})")
        self.selectedkernel = value

    def retrievekernel(self, value: int | None = None) -> list[list[float]]:
        """Conductances now of a kernel (the selected one for None), microsiemens, [column][row]."""
        kernel = self.kernels[self.selectedkernel if value is None else value]
        return [[MICRO * float(g) for g in line] for line in kernel.glance()[0]]

    def event(self, colactiv: Sequence[int], rowactiv: Sequence[int]) -> None:
        """Let the voltages act on the enabled lines: currents as before the event, then the pulses."""
        kernel = self.kernels[self.selectedkernel]
        x, y, gate = (np.array(v, np.float64) for v in (self.columnvoltages, self.rowvoltages, self.gatevoltages))
        enabled = np.outer(np.array(colactiv, bool), np.array(rowactiv, bool))
        conducts = enabled & (gate[:, None] - np.minimum(x[:, None], y[None, :]) >= self.vt)
        across = np.where(conducts, x[:, None] - y[None, :], 0.0)
        self.columncurrents, self.rowcurrents = self._currents(kernel, conducts, x, y)
        counts = (across <= -self.vwrite).astype(np.int16) - (across >= self.vwrite).astype(np.int16)
        self._pulse(kernel, counts)

    def _pulse(self, kernel: EmulatedCrossbar, counts: npt.NDArray[np.int16]) -> None:
        """One pulse or none for every cell, (x, y) of -1, 0, 1, all of them in one slot: lines that want the same fire as one train."""
        wanted, same = np.unique(counts, axis=0, return_inverse=True)
        with self.clock.parallel():
            for k in np.flatnonzero(wanted.any(axis=1)):
                fire, cols = (same.reshape(-1) == k).astype(np.uint64)[None], np.abs(wanted[k]).astype(np.uint64)[None]
                signs = np.where(wanted[k] < 0, -1, 1).astype(np.int8)[None]
                kernel.pulse(PulseTrain(fire, cols, np.ones(fire.shape, np.int8), signs, 1))

    def _currents(
        self, kernel: EmulatedCrossbar, conducts: npt.NDArray[np.bool_], x: F64, y: F64
    ) -> tuple[list[float], list[float]]:
        """Microamperes out of the columns and into the rows. One side is sensed, at one potential; none while both are driven."""
        cols, rows = np.flatnonzero(conducts.any(axis=1)), np.flatnonzero(conducts.any(axis=0))
        out, into = np.zeros(len(x)), np.zeros(len(y))
        if len(cols) and len(rows) and conducts[np.ix_(cols, rows)].all():
            if np.ptp(y[rows]) == 0.0:
                v = np.zeros(len(x), np.float32)
                v[cols] = x[cols] - y[rows[0]]
                into[rows] = MICRO * kernel.mvm(v[None])[0, rows].astype(np.float64)
                out[cols] = v[cols] * MICRO * kernel.glance()[0][np.ix_(cols, rows)].sum(axis=1)
            elif np.ptp(x[cols]) == 0.0:
                v = np.zeros(len(y), np.float32)
                v[rows] = x[cols[0]] - y[rows]
                out[cols] = MICRO * kernel.mvm(v[None], transpose=True)[0, cols].astype(np.float64)
                into[rows] = v[rows] * MICRO * kernel.glance()[0][np.ix_(cols, rows)].sum(axis=0)
        return out.tolist(), into.tolist()


def emulated_board(cell: CellModel, streams: Streams, clock: Clock | None = None) -> Any:
    """The library's simulated board with emulated cells instead of its ideal ones.

    Raises:
        UserError: `daffodillib` is not installed, or the card cannot be pulsed.
    """
    try:
        from daffodillib.Board import controller
    except ImportError as error:
        raise UserError(
            f"daffodillib is needed: python -m pip install git+https://github.com/usnistgov/daffodil-lib ({error})"
        ) from error
    board = controller.Daffodil_Sim("Generic")
    board.sim_device = DaffodilDevice(cell, streams, clock, numkernel=board.kernels, xdim=board.xdim, ydim=board.ydim)
    return board
