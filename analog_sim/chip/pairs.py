"""A differential pair made of two plain arrays, for chips that do not subtract currents before the converter: it is read twice.

The two arrays work one after the other; their difference is taken digitally. Knows no weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analog_sim.chip.checks import check_plan, check_target, check_voltages
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.operation_log import OperationLog, merged
from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


class PairOfArrays:
    """Plane 0 minus plane 1, each on an array of its own.

    Args:
        plus, minus: arrays of equal shape, without pairs.
    """

    inside: None = None

    def __init__(self, plus: Crossbar, minus: Crossbar) -> None:
        a, b = plus.info, minus.info
        if (a.rows, a.cols, a.pair, b.pair) != (b.rows, b.cols, False, False):
            raise ValueError(f"a pair needs two arrays of equal shape without pairs (got {a} and {b})")
        self._arrays = (plus, minus)
        self.info: ChipInfo = replace(a, pair=True, inspectable=False)

    @property
    def log(self) -> OperationLog:
        """Both arrays' operations; a vector counts as one read of each."""
        return merged([array.log for array in self._arrays])

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._arrays[0].time

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read both arrays and subtract."""
        check_voltages(self.info, v, transpose)
        plus, minus = (array.mvm(v, transpose=transpose) for array in self._arrays)
        return plus - minus

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Cells of both arrays: siemens (2, rows, cols)."""
        return np.concatenate([array.read_conductance(rows, cols) for array in self._arrays])

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write both arrays; one of which nothing is to be written is left alone."""
        check_target(self.info, target, mask)
        for plane, array in enumerate(self._arrays):
            part = None if mask is None else mask[plane : plane + 1]
            if part is None or part.any():
                array.program(target[plane : plane + 1], part)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send the plus array its pulses and the minus array its own: against the sign, or those of negative products, as counts."""
        check_plan(self.info, plan)
        for plane, array in enumerate(self._arrays):
            if isinstance(plan, PulseCounts):
                counts = plan.counts[plane : plane + 1]
                if counts.any():
                    array.pulse(replace(plan, counts=counts, rows=None))  # numbers of rows go through both planes
            elif plan.mode == "both":
                array.pulse(plan if plane == 0 else replace(plan, col_sign=-plan.col_sign))
            else:
                counts = _one_sided(plan, plane)
                if counts.any():
                    array.pulse(PulseCounts(counts, plan.amplitude, plan.width))

    def wait(self, seconds: float) -> None:
        """Let chip time pass, once for both."""
        self._arrays[0].wait(seconds)

    def flush(self) -> None:
        """Wait for queued commands."""
        for array in self._arrays:
            array.flush()


def _one_sided(plan: PulseTrain, plane: int) -> npt.NDArray[np.int32]:
    """Pulses (1, rows, cols) that a one-sided train gives the cells of one array: coincidences of products with its sign, all potentiating.

    Which array fires depends on each cross point, so that no train on the lines of one array can do it; a cell gets as many pulses.
    """
    counts = np.zeros((1, plan.row_bits.shape[1], plan.col_bits.shape[1]), np.int32)
    wanted = 1 if plane == 0 else -1
    for row, col, row_sign, col_sign in zip(plan.row_bits, plan.col_bits, plan.row_sign, plan.col_sign, strict=True):
        fires = np.multiply.outer(row_sign, col_sign) == wanted
        counts[0] += np.bitwise_count(row[:, None] & col[None, :]) * fires
    return counts
