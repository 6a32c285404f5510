"""Programming error that single pulses leave: write-verify done on emulated cells with the fitted pulse response. Never a measurement.

A cell that was only ever pulsed still has to hold weights. How closely it can be brought to a target is limited by its step.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams

F64 = npt.NDArray[np.float64]

TARGETS = 17
CELLS = 600
MOST_READS = 16
"""Reads that a verification averages at most, where one read is noisier than half a step; they are far enough apart to be independent."""


@dataclass(frozen=True)
class PulseWriting:
    """What write-verify by pulses left.

    Attributes:
        targets: (K,) siemens over the window. std: (K,) siemens, root mean square error left. reached: (K,) share of cells within
            tolerance. pulses: (K,) mean number of pulses. tolerance: siemens. max_pulses: after which a cell was left as it was.
        reads: averaged at every verification.
    """

    targets: F64
    std: F64
    reached: F64
    pulses: F64
    tolerance: float
    max_pulses: int
    reads: int


def write_by_pulses(cell: CellModel, *, max_pulses: int | None = None, seed: int = 0) -> PulseWriting:
    """Read, pulse towards the target, and stop within half a mean step (or the read noise left, if larger), over the window.

    Cells start at random states. A target outside a cell's own window is moved to its bound first, as programming does.

    Args:
        cell: the compiled card, with pulses.
        max_pulses: after which a cell is left as it is; None: enough to cross the window three times, at most 5000.
        seed: of fabrication and noise.

    Raises ValueError for a card without pulses.
    """
    if cell.pulse is None:
        raise ValueError(f"{cell.name}: no pulse response to write with")
    quiet = replace(
        cell,
        drift=None,
        relaxation=None,
        faults=type(cell.faults)(),
        program_std=constant_table(0.0),
        verify=None,
        levels=None,
    )
    shape = (TARGETS, CELLS)
    crossbar = EmulatedCrossbar(quiet, *shape, pair=False, streams=Streams(seed).child("write by pulses"))
    low, high = (np.broadcast_to(bound[0], shape) for bound in crossbar.cells.bounds(quiet))
    rng = np.random.default_rng(seed)
    start = low + rng.random(shape).astype(np.float32) * (high - low)
    crossbar.add_ideal(start - crossbar.conductance_now()[0])
    targets = np.linspace(cell.g_min, cell.g_max, TARGETS)
    aim = np.clip(targets[:, None], low, high)
    step = np.mean([np.abs(cell.pulse.up_mean).mean(), np.abs(cell.pulse.down_mean).mean()])
    read = float(np.sqrt(np.mean(cell.read.white.astype(np.float64) ** 2)))
    reads = int(np.clip(np.ceil((2.0 * read / step) ** 2), 1, MOST_READS))
    tolerance = float(max(0.5 * step, read / np.sqrt(reads)))
    most = max_pulses if max_pulses is not None else int(min(5000, np.ceil(3.0 * cell.window / step) + 20))
    alive, used = np.ones(shape, bool), np.zeros(shape)
    for _ in range(most):
        error = np.mean([crossbar.read_conductance()[0] for _ in range(reads)], axis=0) - aim
        alive &= np.abs(error) > tolerance
        if not alive.any():
            break
        crossbar.pulse(PulseCounts(np.where(alive, -np.sign(error), 0).astype(np.int16)[None]))
        used += alive
    left = crossbar.conductance_now()[0] - aim
    return PulseWriting(
        targets,
        np.sqrt(np.mean(left.astype(np.float64) ** 2, axis=1)),
        1.0 - alive.mean(axis=1),
        used.mean(axis=1),
        tolerance,
        most,
        reads,
    )
