"""Directions that the data contradict: pulses that are called potentiation and lower the conductance, devices of one direction each.

It never changes a direction: the user is asked.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.table.distribution import StepDistribution
from devices.measurements.table.table import MeasurementTable, Op
from devices.measurements.text.problems import MeasurementError, ReadLog, failure

F64 = npt.NDArray[np.float64]

FEWEST_STEPS = 8
CLEAR_SHARE, CLEAR_MEAN = 4.0, 2.0
"""Standard errors by which more than half of the steps go the other way, and by which their mean may still go the right way by chance."""


def check_directions(
    table: MeasurementTable,
    sources: Sequence[Path],
    directed: Mapping[Path, Literal["voltage", "stated"]],
    log: ReadLog,
) -> None:
    """Look whether potentiation raises the conductance and depression lowers it, file by file.

    A file whose directions come from the sign of the voltage is refused where they are the other way round; where the user said them,
    the report says so. Raises MeasurementError.
    """
    if not directed:
        return
    change, at = _steps(table)
    for index, path in enumerate(sources):
        if path not in directed:
            continue
        own = table.source[at] == index
        wrong = {side: _against(side * change[own & (table.direction[at] == side)]) for side in (1, -1)}
        words = {1: "potentiation", -1: "depression"}
        against = [side for side in (1, -1) if wrong[side] is True]
        if not against or any(wrong[-side] is False for side in against):
            continue
        side = against[0]
        steps = side * change[own & (table.direction[at] == side)]
        moved = "lower" if side > 0 else "raise"
        text = f"pulses taken as {words[side]} {moved} the conductance ({int((steps < 0).sum())} of {len(steps)} steps)"
        if directed[path] == "voltage":
            reason = f"{text}: is it RESET at positive voltage? say potentiation: negative; or potentiation: positive, if it is so"
            raise failure(path, reason, line=int(table.line[at[own][0]]))
        log.note(f"{path.name}: {text}, although the configuration or the file calls them so")


def _steps(table: MeasurementTable) -> tuple[F64, npt.NDArray[np.int64]]:
    """Change of conductance over every pulse between two good successive reads of a cell, siemens, and the row of the later one."""
    good = (table.flag == 0) & (table.op != Op.PULSE)
    same = np.zeros(len(table), bool)
    same[1:] = (
        good[1:]
        & good[:-1]
        & (table.sequence[1:] == table.sequence[:-1])
        & (table.cell_row[1:] == table.cell_row[:-1])
        & (table.cell_col[1:] == table.cell_col[:-1])
        & (table.n_pulses[1:] > 0)
    )
    at = np.flatnonzero(same)
    g = table.conductance()
    return g[at] - g[at - 1], at


def _against(steps: F64) -> bool | None:
    """Whether steps, positive where they go the way they are called, go the other way; None when that cannot be told.

    Most of them must (sign test), and their mean must not go the right way: a rare large step outweighs many small ones.
    """
    steps = steps[steps != 0]
    n = len(steps)
    if n < FEWEST_STEPS:
        return None
    excess = float((steps < 0).sum() - (steps > 0).sum()) / np.sqrt(n)
    error = float(steps.std(ddof=1)) / np.sqrt(n)
    mean = float(steps.mean()) / error if error > 0 else np.sign(float(steps.mean())) * np.inf
    limit = min(CLEAR_SHARE, np.sqrt(n))
    if excess >= limit - 1e-9 and mean < CLEAR_MEAN:
        return True
    return False if excess <= 0 or mean > CLEAR_MEAN else None


def check_both_directions(distributions: Sequence[StepDistribution]) -> None:
    """Refuse devices of which some have one direction only while others have the other. Raises MeasurementError."""
    up, down = ({d.device for d in distributions if d.direction == side} for side in (1, -1))
    single = up ^ down
    if not (up and down and single):
        return
    source = next(d.source for d in distributions if d.device in single)
    both = f"only {len(up & down)} of {len(up | down)}" if up & down else "none"
    raise MeasurementError(
        f"{source}: {both} of the devices has both directions ({len(up - down)} have up only, {len(down - up)} down only): a direction that"
        " was not measured would be a mirror image. Give the files of one device one label (device: ...), or name the devices by their"
        " folders (devices_are: folders)"
    )
