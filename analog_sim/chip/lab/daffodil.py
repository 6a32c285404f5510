"""A kernel (array of 25 x 25 cells) of NIST's Daffodil board, through the verbs of `daffodillib`, which is imported by the backend.

The board has no pairs, no programming, no pulse width and no clock: two kernels make a pair, cells are programmed by pulses and reads, chip
time is the wall's. Its x (columns, where a forward pass is driven) are our rows, its y are our columns. Nothing in it keeps a read below
the threshold of writing, so that is done here. https://github.com/usnistgov/daffodil-lib, commit 1b64a41.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.chip.checks import check_voltages
from analog_sim.chip.clock import check_seconds
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.bench_array import PulsedArray
from analog_sim.chip.lab.write_by_pulses import PulsedWrite
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseTrain

F32 = npt.NDArray[np.float32]
MARGIN = 0.01
"""Volts above the board's ground that the lowest line keeps: its converters round, and a line below ground is refused."""
CEILING = 3.3
"""Volts at which the amplifiers of the currents end."""


@dataclass(frozen=True)
class DaffodilVerbs:
    """The board and the library's functions.

    Attributes:
        board: a `Daffodil_Base`. read_array, outerproduct: modules of the library. v_max: largest read voltage.
        v_set, v_reset, v_gate: volts of writing and of the transistors' gates.
    """

    board: Any
    read_array: Any
    outerproduct: Any
    v_max: float
    v_set: float
    v_reset: float
    v_gate: float

    @property
    def v_ref(self) -> float:
        """Potential of the sensed lines: so high that no driven one goes below the board's ground."""
        return float(self.board.vground) + self.v_max + MARGIN

    def start(self, g_max: float) -> None:
        """Bring the board to a known state; amplifiers get the largest feedback at which no read can clip.

        Raises:
            UserError: the currents are larger than the board can measure.
        """
        board = self.board
        if "sim_device" not in vars(board):
            board.sim_device = None  # the forward pass asks for it, and the physical board has none
        board.set_dac_gain_mode(4093)
        board.set_dac_offset(0)
        most = min(self.v_ref, CEILING - self.v_ref) / (board.xdim * self.v_max * g_max)
        ohms = most
        while True:  # the potentiometer takes the nearest of its positions, which may be above
            board.set_dpot_D(board.invert_dpot_rout(ohms))
            if board.sim_device is not None:
                board.sim_device.dpot_r = ohms
            if max(abs(r) for r in board.pots) <= most:
                break
            ohms *= 0.8
            if ohms < 1.0:
                raise UserError(
                    f"chip: {board.xdim} cells of {g_max:g} S at {self.v_max:g} V are more than the board's amplifiers can "
                    "measure; lower chip.v_max"
                )
        board.set_compliance_control(1)
        board.setrefopamp(board.dac_invertvout(self.v_ref))

    def forward(self, kernel: int, v: F32) -> list[float]:
        """Amperes of all y for volts on all x."""
        shape = [self.board.xdim, self.board.ydim]
        lines = [float(x) + self.v_ref for x in v]
        currents = self.read_array.vmm_kernel_forward(
            self.board, kernel, lines, self.v_gate, self.v_ref, weight_shape=shape, xoffset=0, yoffset=0
        )
        return [float(i) for i in currents]

    def backward(self, kernel: int, v: F32) -> list[float]:
        """Amperes of all x for volts on all y; the library's are negated."""
        lines = [float(x) + self.v_ref for x in v]
        currents = self.read_array.vmm_kernel_backward(self.board, kernel, lines, vgate=self.v_gate, vref=self.v_ref)
        return [-float(i) for i in currents]

    def cells(self, kernel: int) -> F32:
        """Siemens (x, y), one x after the other."""
        found = self.read_array.read_kernel(
            self.board, kernel, self.v_max, self.v_gate, self.v_ref, weight_shape=[self.board.xdim, self.board.ydim]
        )
        return np.array(found, np.float32)

    def outer(self, kernel: int, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> None:
        """|x_i y_j| pulses on every cell, potentiating where the product is positive; in the library a positive one depresses."""
        if not (x.any() and y.any()):
            return
        self.board.set_kernel(kernel)
        rows, cols = [-int(k) for k in y], [int(k) for k in x]
        self.outerproduct.outer_product(self.board, self.v_set, self.v_reset, self.v_gate, rows, cols)

    def off(self) -> None:
        """All lines to the board's ground, no line enabled, gates closed; each step is tried whatever becomes of the others."""
        board = self.board
        with suppress(Exception):
            board.COL_EN_tobe[:] = [0] * board.xdim
            board.ROW_EN_tobe[:] = [0] * board.ydim
        for put in ("setgatedacs", "setcoldacs", "setrowdacs"):
            with suppress(Exception):
                lines = board.ydim if put == "setrowdacs" else board.xdim
                getattr(board, put)([board.dac_invertvout(board.vground + MARGIN)] * lines)


class DaffodilKernel(PulsedArray):
    """One kernel as an array without pairs.

    Args:
        number: of the kernel. info: of the array. verbs: of the board. bench: times and counts. write: how cells are programmed.
    """

    def __init__(self, number: int, info: ChipInfo, verbs: DaffodilVerbs, bench: Bench, write: PulsedWrite) -> None:
        super().__init__(info, bench, write)
        self._number, self._verbs = number, verbs

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents, one vector after the other."""
        check_voltages(self.info, v, transpose)
        verb = self._verbs.backward if transpose else self._verbs.forward
        lines = self.info.rows if transpose else self.info.cols
        with self._bench.operation("mvm_transposed" if transpose else "mvm", len(v)):
            return np.array([verb(self._number, vector) for vector in v], np.float32).reshape(len(v), lines)

    def wait(self, seconds: float) -> None:
        """Sleep: the board has no clock."""
        check_seconds(seconds)
        with self._bench.operation("wait", 1, seconds):
            time.sleep(seconds)

    def flush(self) -> None:
        """Nothing is queued: every verb returns when it is done."""

    def _cells(self, r: slice, c: slice) -> F32:
        return self._verbs.cells(self._number)[r, c].copy()  # the library reads the whole kernel

    def _send(self, counts: npt.NDArray[np.int64]) -> None:
        for i in np.flatnonzero(counts.any(axis=1)):
            one = np.zeros(len(counts), np.int64)
            one[i] = 1
            self._verbs.outer(self._number, one, counts[i])

    def _send_train(self, plan: PulseTrain) -> None:
        hits = np.bitwise_count(plan.row_bits[:, :, None] & plan.col_bits[:, None, :]).sum(dtype=np.int64)
        with self._bench.operation("pulse", int(hits)):
            for sample in range(len(plan.row_bits)):
                for slot in range(plan.length):
                    x, y = (
                        ((bits[sample] >> np.uint64(slot)) & np.uint64(1)).astype(np.int64) * sign[sample]
                        for bits, sign in ((plan.row_bits, plan.row_sign), (plan.col_bits, plan.col_sign))
                    )
                    self._verbs.outer(self._number, x, y)
