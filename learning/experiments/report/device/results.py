"""What a device physicist would measure first, measured on emulated cells of a card. It never draws and never writes a file.

The cells come from the emulator, with their spread from device to device; the claims of the card (closed forms, no spread) are put beside
them by `device_claims`, so that a figure shows both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import DeviceCard
from devices.faults import Faults
from devices.programming.none import NoProgrammingError
from devices.variation import Variation

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

DAY, YEAR = 86400.0, 365.25 * 86400.0
AGEING_TIMES = np.logspace(0.0, np.log10(10 * YEAR), 46)
READ_TIMES = np.array([1.0, DAY, YEAR])
READ_AGES = np.logspace(-4, np.log10(10 * YEAR), 46)
READ_AGES_MEASURED = READ_AGES[::3]
READ_REPEATS = 4
RAMP_CELLS = 400
MOST_PULSES = 2000
"""A ramp is no longer than this, even where a cell has not saturated."""


@dataclass(frozen=True)
class Ramps:
    """Two cycles of identical pulses up and down, every read kept.

    Attributes:
        up, down: pulses of one half cycle. g: (N, P) siemens as read; P = 1 + 2 (up + down), the first before any pulse.
    """

    up: int
    down: int
    g: F64

    @property
    def turns(self) -> tuple[int, int, int]:
        """Pulse numbers at which the direction changes."""
        return self.up, self.up + self.down, 2 * self.up + self.down


@dataclass(frozen=True)
class DeviceResults:
    """Emulated measurements of one card; u: state, siemens, seconds. Cells vary along the last axis.

    Attributes:
        ramps: None for cells without pulses.
        step_states: (K,) states of the grid; steps: (2, K, N) changes by one pulse up, down; None without pulses.
        targets: (T,) siemens; errors: (T, N) programmed minus target.
        ageing_states: (S,); ageing_times: (A,); aged: (S, A, N) siemens; None when nothing ages.
        read_states: (R,); read_times: (3,); read_std: (R, 3) siemens, over cells and repetitions; read_growth: (S, 16) siemens at
            `ageing_states` and READ_AGES_MEASURED; None without read noise.
    """

    ramps: Ramps | None
    step_states: F64
    steps: F64 | None
    targets: F64
    errors: F64
    ageing_states: F64
    ageing_times: F64
    aged: F64 | None
    read_states: F64
    read_times: F64
    read_std: F64 | None
    read_growth: F64 | None


@dataclass(frozen=True)
class DeviceClaims:
    """The same quantities in closed form, for one cell of nominal step size and bounds.

    Attributes:
        name: of the card. g_min, g_max: siemens. u: (M,) states.
        path: (P,) siemens, mean ramp through the pulses of `Ramps`; None without pulses, as the next three.
        step_mean, step_std: (2, M) siemens, up and down, of one cell from cycle to cycle.
        step_spread: (2, M) siemens, standard deviation over cycles and cells: ``std**2 (1 + s**2) + (mean s)**2`` is its square, s
            the relative spread of the step from cell to cell.
        program_std: (M,) siemens.
        median: (S, A) siemens at `DeviceResults.ageing_states` and times; spread: (S, A) siemens, standard deviation over cells.
        read_std: (M, 3) siemens at the read times; read_growth: (S, B) siemens at the ageing states and READ_AGES; both of the
            median cell, whose conductance has drifted by then.
    """

    name: str
    g_min: float
    g_max: float
    u: F64
    path: F64 | None
    step_mean: F64 | None
    step_std: F64 | None
    step_spread: F64 | None
    program_std: F64
    median: F64
    spread: F64
    read_std: F64
    read_growth: F64

    @property
    def g(self) -> F64:
        """(M,) siemens at the states u."""
        return self.g_min + (self.g_max - self.g_min) * self.u


def measure(card: DeviceCard, *, cells: int = 2000, seed: int = 0) -> DeviceResults:
    """Fabricate cells and measure them; faulty cells are left out.

    Args:
        card: any card. cells: cells of every point; of the ramps, RAMP_CELLS at most. seed: of the chip.
    """
    bench = _Bench(card, cells, Streams(seed).child("characterise"))
    silent = card.compile().read.silent
    states = np.array([0.05, 0.25, 0.5, 0.75, 1.0])
    step_states = np.linspace(0.0, 1.0, 21)
    read_states = np.linspace(0.0, 1.0, 17)
    targets = _targets(card)
    return DeviceResults(
        ramps=None if card.pulse is None else bench.ramps(*_ramp_lengths(card)),
        step_states=step_states,
        steps=None if card.pulse is None else bench.steps(step_states),
        targets=targets,
        errors=bench.errors(targets),
        ageing_states=states,
        ageing_times=AGEING_TIMES,
        aged=bench.aged(states) if card.compile().ages else None,
        read_states=read_states,
        read_times=READ_TIMES,
        read_std=None if silent else bench.read_std(read_states, READ_TIMES),
        read_growth=None if silent else bench.read_std(states, READ_AGES_MEASURED),
    )


def device_claims(card: DeviceCard, results: DeviceResults) -> DeviceClaims:
    """Return the claims of a card at the points of a measurement, of this card or of another."""
    u = np.linspace(0.0, 1.0, 401)
    g = card.window.conductance(u)
    states = results.ageing_states[:, None]
    pulsed = card.pulse is not None
    step_mean = step_std = step_spread = None
    if pulsed:
        step_mean = np.stack([card.step_mean(u, up) for up in (True, False)])
        step_std = np.stack([card.step_std(u, up) for up in (True, False)])
        cells = np.array([[card.variation.gain_std(up)] for up in (True, False)])
        step_spread = np.sqrt(step_std**2 * (1.0 + cells**2) + (step_mean * cells) ** 2)
    return DeviceClaims(
        name=card.name,
        g_min=card.g_min,
        g_max=card.g_max,
        u=u,
        path=_mean_path(card, results.ramps) if pulsed and results.ramps is not None else None,
        step_mean=step_mean,
        step_std=step_std,
        step_spread=step_spread,
        program_std=card.program_std(g),
        median=card.window.conductance(states) * card.drift_factor(states, results.ageing_times),
        spread=card.aged_std(states, results.ageing_times),
        read_std=_read_std(card, u[:, None], results.read_times),
        read_growth=_read_std(card, states, READ_AGES),
    )


class _Bench:
    """Fabricates a fresh crossbar for every measurement: one row per point, one column per cell."""

    def __init__(self, card: DeviceCard, cells: int, streams: Streams) -> None:
        self.card = card
        self.cells = cells
        self.streams = streams

    def ramps(self, up: int, down: int) -> Ramps:
        cells = min(self.cells, RAMP_CELLS)
        crossbar = self._crossbar(self.card, 1, cells, "ramps")
        half = [1] * up + [-1] * down
        g = np.empty((cells, 1 + 2 * len(half)))
        g[:, 0] = crossbar.read_conductance()[0, 0]
        for k, sign in enumerate(half + half, 1):
            crossbar.pulse(PulseCounts(np.full((1, 1, cells), sign, np.int16)))
            g[:, k] = crossbar.read_conductance()[0, 0]
        return Ramps(up, down, g)

    def steps(self, states: F64) -> F64:
        found = []
        for sign, name in ((1, "step up"), (-1, "step down")):
            crossbar = self._written(states, name, keep_spread=True)
            before = crossbar.conductance_now().astype(float)
            crossbar.pulse(PulseCounts(np.full((1, states.size, self.cells), sign, np.int16)))
            found.append((crossbar.conductance_now() - before)[0])
        return np.stack(found)

    def errors(self, targets: F64) -> F64:
        card = self.card.model_copy(update={"variation": Variation()})
        crossbar = self._crossbar(card, targets.size, self.cells, "programming")
        wanted = np.repeat(targets[:, None], self.cells, axis=1).astype(np.float32)
        crossbar.program(wanted[None])
        return (crossbar.conductance_now()[0] - wanted).astype(float)

    def aged(self, states: F64) -> F64:
        crossbar = self._written(states, "ageing")
        found = []
        for time in AGEING_TIMES:
            crossbar.wait(time - crossbar.time)
            found.append(crossbar.conductance_now()[0].astype(float))
        return np.stack(found, axis=1)

    def read_std(self, states: F64, times: F64) -> F64:
        crossbar = self._written(states, "reading")
        found = []
        for time in times:
            crossbar.wait(max(time - crossbar.time, 0.0))
            noise = [crossbar.read_conductance() - crossbar.conductance_now() for _ in range(READ_REPEATS)]
            found.append(np.sqrt(np.square(noise).mean(axis=(0, 1, 3))))
        return np.stack(found, axis=1).astype(float)

    def _written(self, states: F64, name: str, *, keep_spread: bool = False) -> EmulatedCrossbar:
        """Cells at the given states (of their own windows), exactly, just now."""
        exact = {"programming": NoProgrammingError(), "levels": None}
        card = self.card.model_copy(update=exact if keep_spread else exact | {"variation": Variation()})
        crossbar = self._crossbar(card, states.size, self.cells, name)
        low, high = (np.broadcast_to(b, crossbar.cells.g.shape) for b in crossbar.cells.bounds(crossbar.cell))
        wanted = low + (high - low) * states[None, :, None].astype(np.float32)
        crossbar.add_ideal((wanted - crossbar.conductance_now())[0])
        return crossbar

    def _crossbar(self, card: DeviceCard, rows: int, cols: int, name: str) -> EmulatedCrossbar:
        cell: CellModel = card.model_copy(update={"faults": Faults()}).compile()
        return EmulatedCrossbar(cell, rows, cols, pair=False, streams=self.streams.child(name))


def _read_std(card: DeviceCard, u: F64, times: F64) -> F64:
    """Read noise in siemens of the median cell, written to state u, at times broadcast against u."""
    g = card.window.conductance(u)
    return card.read_std(g * card.drift_factor(u, times), times, g)


def _targets(card: DeviceCard) -> F64:
    if card.levels is None:
        return card.window.grid(33)
    levels = card.levels.compile(card.window).astype(float)
    return levels[np.unique(np.linspace(0, levels.size - 1, min(levels.size, 33)).round().astype(int))]


def _ramp_lengths(card: DeviceCard) -> tuple[int, int]:
    """Pulses after which the mean path has gone 95 % of its way, up from g_min and down from there."""
    up = _half_path(card, card.g_min, up=True)
    first = _pulses_to(up)
    down = _half_path(card, float(up[first]), up=False)
    return first, _pulses_to(down)


def _pulses_to(path: F64) -> int:
    way = np.abs(path - path[0])
    return int(np.clip(np.argmax(way >= 0.95 * way[-1]), 5, MOST_PULSES - 1))


def _half_path(card: DeviceCard, g: float, *, up: bool) -> F64:
    path = np.empty(MOST_PULSES)
    for k in range(MOST_PULSES):
        path[k] = g
        g = float(np.clip(g + card.step_mean(card.window.state(g), up), card.g_min, card.g_max))
    return path


def _mean_path(card: DeviceCard, ramps: Ramps) -> F64:
    """Path of a cell whose every step is the mean one."""
    g, path = card.g_min, [card.g_min]
    for pulses, up in ((ramps.up, True), (ramps.down, False)) * 2:
        for _ in range(pulses):
            g = float(np.clip(g + card.step_mean(card.window.state(g), up), card.g_min, card.g_max))
            path.append(g)
    return np.array(path)
