"""What a calibration will spend, planned before anything is done, and cut to what may be spent. It never touches a chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analog_sim.cells.cell_model import CostModel
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.config import UserError
from learning.experiments.calibration.arrays import WantedArray
from learning.experiments.configs.calibrate import CalibrateConfig

LEAST_RAMP = 64
"""Pulses of a ramp below which no step response is worth measuring."""


@dataclass(frozen=True)
class CalibrationPlan:
    """What is going to be done.

    Attributes:
        ramp: pulses of one ramp of one cell, at most; 0 without pulses. ramps: of each cell. sample: cells that are pulsed. every: pulses
            between two reads. times: seconds after writing at which cells are read. programmed: cells written to a target.
        vectors: reads. seconds: chip time, by the card's durations.
    """

    ramp: int
    ramps: int
    sample: int
    every: int
    times: tuple[float, ...]
    programmed: int
    vectors: int
    seconds: float

    @property
    def pulses(self) -> int:
        """Pulses, all cells together, at most."""
        return self.ramp * self.ramps * self.sample

    def text(self, arrays: Sequence[WantedArray]) -> str:
        """What is printed before anything is done."""
        cells = sum(array.cells for array in arrays)
        ramps = f"{self.sample} cells x {self.ramps} ramps x at most {self.ramp} pulses" if self.ramp else "none"
        return "\n".join(
            [
                f"arrays      {len(arrays)} with {cells} cells",
                f"pulses      at most {self.pulses} ({ramps})",
                f"programmed  {self.programmed} cells",
                f"reads       about {self.vectors} lines or vectors",
                f"retention   {', '.join(f'{t:g} s' for t in self.times) or 'not measured'}",
                f"chip time   about {self.seconds:.4g} s, by the durations of the card",
            ]
        )


def planned_calibration(
    config: CalibrateConfig, arrays: Sequence[WantedArray], info: ChipInfo, cost: CostModel
) -> CalibrationPlan:
    """The plan. Raises UserError when what may be spent is not enough for what is asked."""
    spend = config.spend
    cells, rows = sum(array.cells for array in arrays), sum(array.rows for array in arrays)
    writes = (2 + config.writes) if info.programmable else 0
    if writes * cells > spend.programmed:
        raise UserError(
            f"spend.programmed: {writes} writes of {cells} cells are {writes * cells} (got {spend.programmed}); "
            "raise it, or lower `writes`"
        )
    ramp = ramps = sample = every = 0
    if config.pulses is not None and info.pulsed:
        sample, ramps = min(config.pulses.cells, cells), 2 * config.pulses.cycles
        ramp = min(config.pulses.longest, spend.pulses // (sample * ramps))
        if ramp < LEAST_RAMP:
            raise UserError(
                f"spend.pulses: {sample} cells x {ramps} ramps leave {ramp} pulses for a ramp, {LEAST_RAMP} are needed "
                f"(got {spend.pulses}); raise it, or lower pulses.cells or pulses.cycles"
            )
        every = max(1, -(-ramp // config.pulses.reads))
    lines = rows * config.averaged * (2 + config.writes * bool(writes)) + config.noise_reads * min(rows, 64) + rows
    vectors = lines + (ramps * ramp // every * min(rows, 8) if ramp else 0)
    slots = ramp * ramps * -(-sample // max(arrays, key=lambda array: array.cells).cols)  # one row after the other
    busy = vectors * cost.t_read + writes * rows * cost.t_program + slots * cost.t_pulse
    if busy > spend.time:
        raise UserError(f"spend.time: the operations alone take about {busy:.3g} s (got {spend.time:g} s)")
    times = tuple(t for t in sorted(set(config.retention)) if t > 0.0 and t + busy <= spend.time)
    seconds = busy + (times[-1] if times else 0.0)
    return CalibrationPlan(ramp, ramps, sample, every, times, writes * cells, vectors, seconds)
