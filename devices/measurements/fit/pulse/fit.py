"""The whole fit of a pulse measurement: laws, read noise, device spread, stuck cells, quantile tables. Never a card or a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import Split
from devices.measurements.data.traces import Traces
from devices.measurements.fit.history.fit import HistoryFit, LongRuns, fit_history
from devices.measurements.fit.pulse.comparison_of_laws import (
    CLEAR_CORRELATED,
    NoiseEvidence,
    correlation_within_devices,
    fit_laws,
    tables_on,
    with_errors,
    with_gains,
    without_correlation,
)
from devices.measurements.fit.pulse.device_speeds import device_speeds
from devices.measurements.fit.pulse.families import LawFamily, Start
from devices.measurements.fit.pulse.history import history_note
from devices.measurements.fit.pulse.laws import LawFit, fit_law
from devices.measurements.fit.pulse.moments import first_look
from devices.measurements.fit.pulse.noise_model import NoiseModel
from devices.measurements.fit.pulse.noise_notes import noise_notes
from devices.measurements.fit.pulse.scatter import Scatter, pulse_scatter
from devices.measurements.fit.pulse.spread import FEWEST_DEVICES, Gains
from devices.measurements.fit.pulse.statespace import StepTables, run_filter
from devices.measurements.fit.pulse.stuck import StuckReport, find_stuck
from devices.measurements.fit.pulse.tables import (
    MOST_TABLES,
    PulseTables,
    enough_for_several,
    range_of,
    tables_of_groups,
    window_span_note,
)
from devices.window import Window


@dataclass(frozen=True)
class PulseFit:
    """A fitted pulse measurement.

    Attributes:
        window: nominal, in siemens. tables: for the card. start: moments. laws: every fitted law, the best first.
        noise: of the reads, taken out of the steps. evidence: by how much AIC prefers it.
        scatter: of pulses that slow read noise hides, with its interval; None without correlated noise.
        gains: device-to-device spread, None with too few devices or when every device has its own table.
        stuck: cells that do not move. devices: cells fitted. notes: for the report. measured: directions (down, up) with data.
        history: what the pulses before do to a step, None where held-out reads do not ask for it; laws and tables are of long runs.
    """

    window: Window
    tables: PulseTables
    start: Start | None
    laws: tuple[LawFit, ...]
    noise: ReadNoise
    evidence: NoiseEvidence
    scatter: Scatter | None
    gains: Gains | None
    stuck: StuckReport | None
    devices: int
    notes: tuple[str, ...]
    measured: tuple[bool, bool]
    history: HistoryFit | None = None

    @property
    def read_std(self) -> float:
        """Standard deviation of one read, siemens; 0 when the data show no read noise."""
        return self.noise.total


def fit_pulses(
    parts: Split,
    *,
    window: Window | None,
    laws: Mapping[str, Sequence[LawFamily]],
    read_noise: NoiseModel,
    tables_per_device: bool | None,
    history: bool = True,
    intervals: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> PulseFit:
    """Fit traces.

    Args:
        parts: fitted and held-out traces.
        window: given by the user, or None: the range of the states.
        laws: kinds to try, with their variants.
        read_noise: the richest noise that may be taken out of the steps, when the data show it.
        tables_per_device: one table per device; None: when there are several devices with enough steps each.
        history: whether a memory of the direction of the last pulses is looked for.
        intervals: of the laws' parameters, too. say: told what is going on.
    """
    data, held = _prepared(parts.fit, window, tables_per_device), parts.held_out
    found = _steps_of(data, held, laws, read_noise, window is None, say)
    memory = None
    if history:
        data, held, found, memory = _with_history(data, held, found, laws, read_noise, window is None, say)
    traces, start, notes = data.traces, data.start, list(data.notes)
    fits, evidence, own, law, gains, gain = found
    span = window_span_note(traces.g, own)
    if intervals:
        say("finding the intervals of the parameters")
        fits = with_errors(fits, traces, start, gains, gain)
    noise = fits[0].noise
    scatter = pulse_scatter(traces, law, noise) if evidence.model == "correlated" else None
    law = law if scatter is None else scatter.put_on(law, traces)
    told = history_note(traces, law, noise) if memory is None else memory.note()
    notes = [*noise_notes(noise, evidence, scatter, law), *notes, *(note for note in (span, told) if note)]
    say("making tables of quantiles")
    groups = [traces]
    if data.several:
        groups = [traces.take(np.flatnonzero(traces.cell == cell)) for cell in data.devices[:MOST_TABLES]]
    if data.several and len(data.devices) > MOST_TABLES:
        notes.append(f"{len(data.devices)} devices: the card holds the tables of the first {MOST_TABLES}")
    tables = tables_of_groups(groups, law, noise, own, data.several and window is None, gain, notes)
    return PulseFit(
        window=tables.window,
        tables=tables,
        start=start,
        laws=fits,
        noise=noise,
        evidence=evidence,
        scatter=scatter,
        gains=gains,
        stuck=data.stuck,
        devices=len(data.devices),
        notes=tuple(notes),
        measured=start.measured,
        history=memory,
    )


class _StepsOf(NamedTuple):
    """Laws, the best first, and what they are stated for.

    Attributes:
        laws: with the noise of the reads. evidence: of that noise. window: of the states. law: tables of the best.
        gains: spread of the devices; gain: (R, 2) that of each trace: None without.
    """

    laws: tuple[LawFit, ...]
    evidence: NoiseEvidence
    window: Window
    law: StepTables
    gains: Gains | None
    gain: npt.NDArray[np.float64] | None


def _steps_of(
    data: "_Prepared",
    held: Traces | None,
    laws: Mapping[str, Sequence[LawFamily]],
    most: NoiseModel,
    free_window: bool,
    say: Callable[[str], None],
) -> _StepsOf:
    """Laws, noise and gains of devices; the window is that of the states where it is free."""
    traces, start = data.traces, data.start
    fits, evidence = _laws_with_noise(data, held, laws, most, say)
    own = data.window
    law = tables_on(fits[0], own, start.hard)
    if evidence.model != "none" and free_window:  # reads overshoot the states by their noise
        own = range_of(run_filter(traces, law, fits[0].noise).filtered)
        law = tables_on(fits[0], own, start.hard)
    gains, gain = None, None
    if data.first_gains is not None:
        say(f"fitting the step sizes of {len(data.devices)} devices and the laws in turn")
        fits, gains, gain = with_gains(fits, held, traces, start, own, evidence.model, data.first_gains)
        law = tables_on(fits[0], own, start.hard)
    return _StepsOf(fits, evidence, own, law, gains, gain)


def _with_history(
    data: "_Prepared",
    held: Traces | None,
    found: _StepsOf,
    laws: Mapping[str, Sequence[LawFamily]],
    most: NoiseModel,
    free_window: bool,
    say: Callable[[str], None],
) -> tuple["_Prepared", Traces | None, _StepsOf, HistoryFit | None]:
    """Traces, laws and noise given the history, which a law without it can take for correlated noise: first white noise is tried."""
    plain: NoiseModel = "none" if most == "none" else "white"
    memory = _history_of(data, found, plain, say)
    if memory is None:
        return data, held, found, None
    say("fitting the laws to steps without their history")

    def given(one: HistoryFit) -> tuple["_Prepared", Traces | None, _StepsOf]:
        free = replace(data, traces=one.put_on(data.traces))
        others = None if held is None else one.put_on(held)
        # A history that is left in the steps looks like correlated noise; taken out, it does not bring such noise about.
        richest = most if found.evidence.model == "correlated" else plain
        return free, others, _steps_of(free, others, laws, richest, free_window, say)

    result = given(memory)
    if result[2].evidence.model == "correlated":
        again = _history_of(data, found, "correlated", say)
        if again is None:
            return data, held, found, None
        memory, result = again, given(again)
    return *result, memory


def _history_of(data: "_Prepared", found: _StepsOf, noise: NoiseModel, say: Callable[[str], None]) -> HistoryFit | None:
    """The history that the steps ask for, the best law fitted again in turn with it."""
    best = found.laws[0]
    own: LawFit | None = (
        None  # at first not from `best`: a kind of noise that steps of all memories hid would stay hidden
    )

    def refit(traces: Traces) -> LongRuns:
        nonlocal own
        say("fitting law and history of the pulses in turn")
        own = fit_law(best.family, traces, data.start, None, noise=noise, begin=own, gain=found.gain, intervals=False)
        return LongRuns(tables_on(own, found.window, data.start.hard), own.noise, found.gain)

    return fit_history(data.traces, LongRuns(found.law, best.noise, found.gain), refit)


@dataclass(frozen=True)
class _Prepared:
    """Traces as they are fitted.

    Attributes:
        traces: of cells that move. window: given, or the range of the reads. stuck: the other cells. start: moments.
        devices: numbers of the cells. several: whether each has tables of its own.
        first_gains: (R, 2) where devices share a law and have a gain each, else None. notes: for the report.
    """

    traces: Traces
    window: Window
    stuck: StuckReport
    start: Start
    devices: npt.NDArray[np.int64]
    several: bool
    first_gains: npt.NDArray[np.float64] | None
    notes: tuple[str, ...]


def _prepared(traces: Traces, window: Window | None, tables_per_device: bool | None) -> _Prepared:
    """Set stuck cells apart and decide what devices share."""
    notes: list[str] = []
    own = window if window is not None else range_of(traces.g)
    stuck = find_stuck(traces, own)
    if stuck.cells:
        traces = traces.take(np.flatnonzero(~np.isin(traces.cell, stuck.cells)))
        notes.append(
            f"{len(stuck.cells)} of {stuck.tested} cells do not move when pulsed: left out of the fit, reported as stuck"
        )
        own = window if window is not None else range_of(traces.g)
    start = first_look(traces, own, hard=window is not None)
    for k, side in enumerate(("depression", "potentiation")):
        if not start.measured[k]:
            notes.append(f"no {side} was measured: the card's {side} is the mirror image of the other direction")
    devices = np.unique(traces.cell)
    several = (
        enough_for_several(traces, devices, start.measured)
        if tables_per_device is None
        else tables_per_device and len(devices) > 1
    )
    differ = not several and len(devices) >= FEWEST_DEVICES  # one law for all, a gain for each
    first_gains = device_speeds(traces).of_traces(traces) if differ else None
    return _Prepared(traces, own, stuck, start, devices, several, first_gains, tuple(notes))


def _laws_with_noise(
    data: _Prepared,
    held: Traces | None,
    laws: Mapping[str, Sequence[LawFamily]],
    most: NoiseModel,
    say: Callable[[str], None],
) -> tuple[tuple[LawFit, ...], NoiseEvidence]:
    """Every law with the noise that the data ask for; correlated noise only where differences of devices do not explain it."""
    fits, evidence = fit_laws(held, data.traces, data.start, laws, most, data.first_gains, say)
    if evidence.model == "correlated" and len(data.devices) > 1:
        within = correlation_within_devices(fits[0], data.traces, data.start, data.window, data.several)
        evidence = replace(evidence, correlated_gain=within)
        if within <= CLEAR_CORRELATED:
            evidence = replace(evidence, model="white")
            fits = without_correlation(fits, held, data.traces, data.start)
    return fits, evidence


def adequacy_notes(laws: Sequence[LawFit]) -> tuple[str, ...]:
    """A sentence when none of the compared laws describes the cell, else nothing."""
    if not laws or any(law.score.adequate for law in laws):
        return ()
    return (
        "no pulse law fits: even the best is off by more than a quarter of the mean step somewhere; use the tables",
    )
