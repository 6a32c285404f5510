"""What every array refuses: wrong shapes, values that are not finite, volts beyond the limit. Used by backends; never changes a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.chip.crossbar import ChipInfo
from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


def check_voltages(info: ChipInfo, v: F32, transpose: bool) -> None:
    """Raise ValueError unless v (batch, lines) are finite volts within the limit, for a read the array can do."""
    lines = info.cols if transpose else info.rows
    if transpose and not info.transposed_read:
        raise ValueError("mvm: this array cannot be read transposed (transposed_read: false)")
    if v.ndim != 2 or v.shape[1] != lines:
        raise ValueError(f"mvm: volts must have shape (batch, {lines}) (got {v.shape})")
    # Without a copy; NaN is passed on.
    largest = max(float(np.maximum.reduce(v, None)), -float(np.minimum.reduce(v, None))) if v.size else 0.0
    if not largest <= info.v_max * (1.0 + 1e-6):  # a NaN fails here too
        raise ValueError(f"mvm: volts must be finite and within +-{info.v_max:g} V (got {largest:g} V)")


def check_target(info: ChipInfo, target: F32, mask: npt.NDArray[np.bool_] | None) -> None:
    """Raise ValueError unless target (planes, rows, cols) is finite and the array can be programmed."""
    shape = (info.planes, info.rows, info.cols)
    if not info.programmable:
        raise ValueError("program: this array cannot be programmed to a target (programmable: false)")
    if target.shape != shape:
        raise ValueError(f"program: target has shape {target.shape}, this crossbar is {shape}")
    if not (np.isfinite(target.max()) and np.isfinite(target.min())):  # NaN is passed on by both
        raise ValueError("program: target conductances must be finite")
    if mask is not None and mask.shape != shape:
        raise ValueError(f"program: mask has shape {mask.shape}, this crossbar is {shape}")


def check_plan(info: ChipInfo, plan: PulseCounts | PulseTrain) -> None:
    """Raise ValueError unless the array can be pulsed so and the plan fits it."""
    if not info.pulsed:
        raise ValueError("pulse: cells of this array do not answer to single pulses (pulsed: false)")
    check_strength(info, plan)
    if isinstance(plan, PulseCounts):
        shape = (info.planes, info.rows, info.cols)
        if plan.counts.shape != shape:
            raise ValueError(f"pulse: counts have shape {plan.counts.shape}, this crossbar is {shape}")
        check_rows(plan, info.planes * info.rows)
        return
    if not info.parallel_pulse:
        raise ValueError("pulse: this array cannot pulse all lines at once (parallel_pulse: false); send counts")
    if plan.row_bits.shape[1:] != (info.rows,) or plan.col_bits.shape[1:] != (info.cols,):
        raise ValueError(
            f"pulse: trains drive {plan.row_bits.shape[1:]} rows and {plan.col_bits.shape[1:]} columns, "
            f"this crossbar is {info.rows} x {info.cols}"
        )


def check_rows(plan: PulseCounts, count: int) -> None:
    """Raise ValueError when rows are said to have pulses that are not among `count`, those of all planes."""
    rows = plan.rows
    if rows is not None and len(rows) and not 0 <= rows[0] <= rows[-1] < count:
        raise ValueError(f"pulse: rows {rows[0]} to {rows[-1]} are said to have pulses, this crossbar has {count}")


def check_strength(info: ChipInfo, plan: PulseCounts | PulseTrain) -> None:
    """Raise ValueError unless the array can send pulses of the plan's amplitude and width."""
    asked = (("amplitude", "V", plan.amplitude, info.pulse_volts), ("width", "s", plan.width, info.pulse_seconds))
    for what, unit, value, most in asked:
        if value is None:
            continue
        if most == 0.0:
            raise ValueError(f"pulse: this array sends pulses of one {what} only: leave it out (got {value:g} {unit})")
        if not 0.0 < value <= most * (1.0 + 1e-6):  # a NaN fails here too
            raise ValueError(f"pulse: {what} must be above 0 and at most {most:g} {unit} (got {value:g} {unit})")


def span(lines: slice | None, count: int, what: str) -> slice:
    """The chosen lines as a plain slice within 0 ... count. Raises ValueError when they are none or not a run of lines."""
    start, stop, step = (lines if lines is not None else slice(None)).indices(count)
    if step != 1 or stop <= start:
        raise ValueError(f"read_conductance: {what} must be a run of lines within 0 ... {count} (got {lines})")
    return slice(start, stop)
