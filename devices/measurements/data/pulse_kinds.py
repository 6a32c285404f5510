"""Which kinds of pulses a measurement holds, and which of them are fitted. It never fits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.configuration.measurement_config import MeasurementConfig, PulseKind
from devices.measurements.data.traces import Condition, Traces, conditions, has_condition
from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import MeasurementTable
from devices.measurements.text.problems import MeasurementError, ReadLog


@dataclass(frozen=True)
class ConditionRow:
    """Steps of one kind of pulse: direction, condition, pulses, mean and standard deviation of the change per pulse in siemens."""

    direction: int
    condition: Condition
    pulses: int
    mean: float
    std: float
    fitted: bool


def chosen_pulses(
    table: MeasurementTable, config: MeasurementConfig, log: ReadLog
) -> tuple[npt.NDArray[np.bool_] | None, tuple[ConditionRow, ...]]:
    """Rows that are fitted (None: all) and what every kind of pulse does."""
    counts = conditions(table)
    if not counts:
        raise MeasurementError(
            "the pulse measurement holds no pulse: check the columns v, n_pulses, op, or give a direction"
        )
    if config.pulse.kinds == "all":
        if len(counts) > len({direction for direction, _ in counts}):
            log.note(
                f"{len(counts)} kinds of pulses are fitted as if they were one of each direction (pulse.kinds: all)"
            )
        return None, ()
    wanted = {1: config.pulse.up, -1: config.pulse.down}
    selected: dict[int, Condition] = {}
    for (direction, condition), _ in counts.items():  # most frequent first
        asked = wanted.get(direction, PulseKind())
        if direction not in selected and _matches(condition, asked):
            selected[direction] = condition
    for direction, asked in wanted.items():
        if (asked.amplitude is not None or asked.width is not None) and direction not in selected:
            there = "; ".join(str(condition) for side, condition in counts if side == direction) or "none"
            word = "up" if direction > 0 else "down"
            raise MeasurementError(
                f"pulse.{word}: no pulse of {Condition(asked.amplitude, asked.width)}; the data hold: {there}"
            )
    if len(counts) == len(selected):
        return None, ()
    g = table.conductance()
    usable = (table.flag & UNFIT) == 0
    same = (
        np.concatenate(([False], table.sequence[1:] == table.sequence[:-1]))
        & usable
        & np.concatenate(([False], usable[:-1]))
    )
    change = np.concatenate(([np.nan], np.diff(g))) / np.maximum(table.n_pulses, 1)
    rows = []
    keep = table.op == 1
    for (direction, condition), count in counts.items():
        own = has_condition(table, direction, condition)
        steps = change[own & same]
        steps = steps[np.isfinite(steps)]
        fitted = selected.get(direction) == condition
        if fitted:
            keep = keep | own
        rows.append(
            ConditionRow(
                direction,
                condition,
                count,
                float(steps.mean()) if len(steps) else np.nan,
                float(steps.std()) if len(steps) else np.nan,
                fitted,
            )
        )
    if not (np.concatenate(([False], keep[:-1])) & keep & same).any():
        raise MeasurementError(
            f"no two successive reads belong to one kind of pulse; there are {len(counts)}, of amplitudes or widths that change from"
            " pulse to pulse, and a card holds one kind; fit them all as one with pulse: {kinds: all}"
        )
    chosen = ", ".join(
        f"{'up' if d > 0 else 'down' if d < 0 else 'unknown direction'}: {c}" for d, c in selected.items()
    )
    log.note(f"{len(counts)} kinds of pulses; fitted are {chosen}; choose others with pulse.up and pulse.down")
    return keep, tuple(rows)


def check_devices(traces: Traces, log: ReadLog) -> None:
    """Refuse pulses of several devices none of which was pulsed both ways; note devices that were not, where others were.

    Raises MeasurementError: the two directions of one device would be those of two.
    """
    pulsed = traces.inside() & (traces.pulses > 0)
    cell = traces.cell[traces.trace_of()]
    up, down = (set(cell[pulsed & (traces.direction == side)].tolist()) for side in (1, -1))
    if not up or not down or up == down:
        return
    text = f"{len(up - down)} device(s) were pulsed up only and {len(down - up)} down only"
    if not up & down:
        raise MeasurementError(
            f"no device was pulsed in both directions: {text}. Are the files or columns of one device? Give them one label (device: ...) or"
            " columns_are: ramps; devices that were pulsed one way each are fitted as one under a common label"
        )
    log.note(f"{text}, {len(up & down)} both ways: the direction a device lacks is that of the others")


def _matches(condition: Condition, asked: PulseKind) -> bool:
    for value, wanted in ((condition.amplitude, asked.amplitude), (condition.width, asked.width)):
        if wanted is not None and (value is None or abs(value - wanted) > 2e-3 * wanted):
            return False
    return True
