"""The measurements of a calibration, through the protocol alone. Each returns plain arrays and begins by writing what it needs.

It never fits and never keeps a file. All conductances are siemens, all times seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.chip.crossbar import Crossbar
from analog_sim.pulses.plans import PulseCounts
from learning.experiments.calibration.arrays import WantedArray
from learning.experiments.calibration.budget import CalibrationPlan
from learning.experiments.configs.calibrate import CalibrateConfig

F32 = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[np.generic]]

UNRESPONSIVE = 0.25
"""A cell that moves by less than this share of the median cell between the ends of the window, twice, is stuck."""
SATURATED = 0.01
"""A ramp ends when the mean cell moved by less than this share of its way so far over the last tenth of the pulses."""


@dataclass(frozen=True)
class MeasuredSite:
    """A chip that is measured.

    Attributes:
        wanted, arrays: what is measured, and the arrays themselves. config, plan: how.
    """

    wanted: Sequence[WantedArray]
    arrays: Sequence[Crossbar]
    config: CalibrateConfig
    plan: CalibrationPlan

    def mean_read(self, array: Crossbar, rows: slice | None = None) -> npt.NDArray[np.float64]:
        """Mean of `averaged` reads (planes, rows, cols)."""
        return np.mean([array.read_conductance(rows).astype(np.float64) for _ in range(self.config.averaged)], axis=0)

    def drawn(self, stage: int) -> np.random.Generator:
        """Random numbers of a stage: the same when it is done again."""
        return np.random.default_rng([self.config.seed, stage])


def ends(chip: MeasuredSite) -> Arrays:
    """Both ends of the window of every cell and what does not answer: `low`, `high`, `stuck` of each array.

    Cells that seem stuck are driven and read once more; where the array cannot be programmed, only what the cells hold is read.
    """
    found: Arrays = {}
    for k, array in enumerate(chip.arrays):
        shape = (array.info.planes, array.info.rows, array.info.cols)
        if not array.info.programmable:
            g = chip.mean_read(array)
            found |= {f"{k}/low": g, f"{k}/high": g, f"{k}/stuck": np.full(shape, np.nan)}
            continue
        low, high = _driven(chip, array, None)
        response = high - low
        limit = UNRESPONSIVE * float(np.median(response))
        doubted = response < limit
        if doubted.any():
            again = np.subtract(*_driven(chip, array, doubted)[::-1])
            doubted &= again < limit
        stuck = np.where(doubted, 0.5 * (low + high), np.nan)
        found |= {f"{k}/low": low, f"{k}/high": high, f"{k}/stuck": stuck}
    return found


def _driven(
    chip: MeasuredSite, array: Crossbar, mask: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Reads at both ends of the window."""
    shape = (array.info.planes, array.info.rows, array.info.cols)
    reads = []
    for target in (array.info.g_min, array.info.g_max):
        array.program(np.full(shape, target, np.float32), mask)
        reads.append(chip.mean_read(array))
    return reads[0], reads[1]


def ramps(chip: MeasuredSite, stuck: Sequence[npt.NDArray[np.bool_]]) -> Arrays:
    """Ramps of some healthy cells of the largest array, up and down: columns `cell`, `sequence`, `n`, `up`, `g` of all reads.

    stuck: masks of each array.
    """
    k = int(np.argmax([array.info.cells for array in chip.arrays]))
    array, plan = chip.arrays[k], chip.plan
    info = array.info
    healthy = np.argwhere(~stuck[k][0])
    chosen = healthy[: plan.sample]
    lines = slice(int(chosen[0, 0]), int(chosen[-1, 0]) + 1)
    mask = np.zeros((info.planes, info.rows, info.cols), np.bool_)
    mask[0, chosen[:, 0], chosen[:, 1]] = True
    if info.programmable:
        array.program(np.full(mask.shape, info.g_min, np.float32), mask)
    reads: list[tuple[int, int, npt.NDArray[np.float64]]] = []

    def read() -> npt.NDArray[np.float64]:
        g = array.read_conductance(lines)[0].astype(np.float64)
        return g[chosen[:, 0] - lines.start, chosen[:, 1]]

    for number in range(plan.ramps):
        up = number % 2 == 0
        g = read()
        reads.append((number, 0, g))
        means = [g.mean()]
        for _ in range(plan.ramp // plan.every):
            array.pulse(PulseCounts((plan.every if up else -plan.every) * mask.astype(np.int16)))
            g = read()
            reads.append((number, plan.every, g))
            means.append(g.mean())
            if _still(np.array(means)):
                break
    sequence, n, g = (np.array(part) for part in zip(*reads, strict=True))
    cells = len(chosen)
    return {
        "cell": np.tile(np.arange(cells), len(n)),
        "sequence": np.repeat(sequence, cells),
        "n": np.repeat(n, cells),
        "up": np.repeat(sequence % 2 == 0, cells),
        "g": g.ravel(),
        "place": np.array([k]),
        "chosen": chosen,
    }


def _still(means: npt.NDArray[np.float64]) -> bool:
    """Whether a ramp has come to its end."""
    last = max(20, len(means) // 10)
    if len(means) < 3 * last:
        return False
    moved = abs(means[-last // 2 :].mean() - means[-last : -last // 2].mean()) * 2.0
    return bool(moved < SATURATED * abs(means[-last:].mean() - means[0]))


def rest(chip: MeasuredSite) -> Arrays:
    """Cells written to random targets: what they hold, their noise, and how they age.

    `target`, `written` (mean reads) of all cells for the last of the writes and of each before; `noise` (cells, reads) of a patch;
    `t` (T,), `aged` (T, cells), `aged_target` of the cells that are followed; what `_periphery` reads of each array.
    """
    draw = chip.drawn(2)
    found: Arrays = {}
    for write in range(chip.config.writes):
        for k, array in enumerate(chip.arrays):
            info = array.info
            if not info.programmable:
                continue
            shape = (info.planes, info.rows, info.cols)
            target = draw.uniform(info.g_min, info.g_max, shape).astype(np.float32)
            array.program(target)
            found[f"{write}/{k}/target"] = target
            found[f"{write}/{k}/written"] = chip.mean_read(array)
    k = int(np.argmax([array.info.cells for array in chip.arrays]))
    array = chip.arrays[k]
    patch = slice(0, min(array.info.rows, max(1, 400 // array.info.cols)))
    before = array.time
    noise = np.stack([array.read_conductance(patch)[0].ravel() for _ in range(chip.config.noise_reads)])
    taken = (array.time - before) / len(noise)
    found |= {"noise": noise.T, "noise_rate": np.array([1.0 / taken if taken > 0.0 else 1.0])}
    for each in range(len(chip.arrays)):
        found |= {f"{each}/{name}": values for name, values in _periphery(chip, each).items()}
    return found | _aged(chip, k, draw)


def _aged(chip: MeasuredSite, k: int, draw: np.random.Generator) -> Arrays:
    """Cells of one array that are followed: written anew, read at once and at the times of the plan."""
    array, times = chip.arrays[k], chip.plan.times
    info = array.info
    if not times or not info.programmable:
        return {}
    rows = slice(0, min(info.rows, -(-chip.config.cells // (info.cols * info.planes))))
    shape = (info.planes, info.rows, info.cols)
    target = draw.uniform(info.g_min, info.g_max, shape).astype(np.float32)
    mask = np.zeros(shape, np.bool_)
    mask[:, rows] = True
    array.program(target, mask)
    born = array.time
    ages, reads = [0.0], [chip.mean_read(array, rows)]
    for age in times:
        left = age - (array.time - born)
        if left > 0.0:
            array.wait(left)
        begun = array.time - born
        reads.append(chip.mean_read(array, rows))
        ages.append(0.5 * (begun + array.time - born))
    aged = np.stack([g.reshape(-1) for g in reads])
    return {
        "t": np.array(ages),
        "aged": aged,
        "aged_target": target[:, rows].reshape(-1),
        "aged_place": np.array([k, rows.stop]),
    }


def _periphery(chip: MeasuredSite, k: int) -> Arrays:
    """Currents of one line after the other and of none, beside the cells read one by one: `cells`, `currents`, `offset`, `volts`.

    Reads of single lines, so that wires show only by what they take from each cell.
    """
    array, repeats = chip.arrays[k], chip.config.averaged
    info = array.info
    v = np.float32(0.8 * info.v_max)
    lines = (v * np.eye(info.rows, dtype=np.float32)).astype(np.float32)
    currents = np.mean([array.mvm(lines).astype(np.float64) for _ in range(repeats)], axis=0)
    nothing = array.mvm(np.zeros((repeats, info.rows), np.float32)).astype(np.float64)
    g = chip.mean_read(array)
    return {
        "cells": g,
        "currents": currents,
        "offset": nothing.mean(axis=0),
        "offset_error": nothing.std(axis=0, ddof=1) / repeats**0.5 if repeats > 1 else np.zeros(info.cols),
        "volts": np.array([v]),
    }


KINDS = ("mvm", "read_conductance", "program", "pulse")
"""Operations that a calibration counts."""


def work(arrays: Sequence[Crossbar]) -> npt.NDArray[np.float64]:
    """What was done so far, (kinds, 3): units; calls, those that write times the rows of their array; chip seconds."""
    found = np.zeros((len(KINDS), 3))
    for array in arrays:
        for kind, total in array.log.totals.items():
            if kind in KINDS:
                calls = total.calls * (array.info.rows if kind == "program" else 1)
                found[KINDS.index(kind)] += total.units, calls, total.seconds
    return found


def durations(done: npt.NDArray[np.float64], ramps: Arrays | None, plan: CalibrationPlan) -> Mapping[str, float]:
    """Seconds of a read, a programmed row and a pulse slot of a row, by what was done (`work`); what it does not say is left out."""
    found: dict[str, float] = {}
    read, _, program, pulse = done
    lines = 0 if ramps is None else len(np.unique(ramps["chosen"][:, 0]))  # pulsed one after the other
    units = (
        ("t_read", read, read[0]),
        ("t_program", program, program[1]),
        ("t_pulse", pulse, pulse[1] * plan.every * lines),
    )
    for name, (_, _, seconds), count in units:
        if seconds > 0.0 and count > 0.0:
            found[name] = float(f"{seconds / count:.9g}")  # of sums that depend on the time of day of the chip's clock
    return found
