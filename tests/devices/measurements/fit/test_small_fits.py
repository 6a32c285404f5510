"""Traces, splits, stuck cells, spread, programming error and histories: known answers from synthetic data."""

from dataclasses import replace

import numpy as np
import pytest

from devices.measurements.data.histories import Histories, histories_of
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import split
from devices.measurements.data.stop_rule import stop_rule
from devices.measurements.data.traces import Condition, Traces, conditions, has_condition, traces_of
from devices.measurements.fit.ageing.fit import path_memory
from devices.measurements.fit.noise.fit import NoiseFit, fit_noise, fit_spectrum, variance_growth
from devices.measurements.fit.noise.series import Series
from devices.measurements.fit.programming.fit import fit_programming
from devices.measurements.fit.pulse.spread import device_gains
from devices.measurements.fit.pulse.statespace import StepTables
from devices.measurements.fit.pulse.stuck import find_stuck
from devices.measurements.table.table import Flag, MeasurementTable, Op, TableBuilder
from devices.measurements.text.problems import MeasurementError, ReadLog
from devices.window import Window

WINDOW = Window(1e-6, 101e-6)


def table_of(rows: list[tuple[int, int, int, float, int]]) -> MeasurementTable:
    """Rows (sequence, op, direction, microsiemens, flag)."""
    builder = TableBuilder()
    sequence, op, direction, g, flag = map(np.array, zip(*rows, strict=True))
    builder.append(
        len(rows),
        {
            "sequence": sequence,
            "cell_row": sequence,
            "op": op,
            "direction": direction,
            "n_pulses": (op != Op.READ).astype(int),
            "v_read_V": 1.0,
            "i_A": 1e-6 * g,
            "flag": flag,
            "v_V": 1.0,
        },
    )
    return builder.table()


def test_traces_are_cut_at_flags_and_carry_pulses_without_reads() -> None:
    bad = Flag.COMPLIANCE.value
    rows = [
        (0, 1, 0, 1.0, 0),
        (0, 3, 1, 2.0, 0),
        (0, 2, 1, np.nan, 0),
        (0, 3, 1, 4.0, 0),
        (0, 3, 1, 9.0, bad),
        (0, 3, 1, 5.0, 0),
    ]
    rows += [(0, 3, 1, 6.0, 0), (1, 3, -1, 7.0, 0)]
    log = ReadLog()
    traces = traces_of(table_of(rows), log)
    assert len(traces) == 2
    np.testing.assert_allclose(traces.g, 1e-6 * np.array([1, 2, 4, 5, 6]))
    assert traces.pulses[traces.inside()].tolist() == [1, 2, 1]
    assert traces.steps == 3
    notes = " ".join(log.notes)
    assert "1 trace(s) cut" in notes
    assert "1 trace(s) of a single read" in notes


def test_an_unknown_direction_is_that_of_the_sequence() -> None:
    rows = [(0, 3, 0, 1.0, 0), (0, 3, 0, 2.0, 0), (1, 3, 0, 5.0, 0), (1, 3, 0, 3.0, 0)]
    log = ReadLog()
    traces = traces_of(table_of(rows), log)
    assert traces.direction.tolist() == [1, 1, -1, -1]
    assert "2 sequence(s) state no pulse direction" in log.notes[0]


def test_kinds_of_pulses() -> None:
    table = table_of([(0, 3, 1, 1.0, 0), (0, 3, 1, 2.0, 0), (0, 3, -1, 1.0, 0)])
    table.v_V[:] = [1.0, 1.5, -1.2]
    assert conditions(table) == {
        (1, Condition(1.0, None)): 1,
        (1, Condition(1.5, None)): 1,
        (-1, Condition(1.2, None)): 1,
    }
    assert has_condition(table, 1, Condition(1.5, None)).tolist() == [False, True, False]
    assert has_condition(table, -1, Condition(1.2, None)).tolist() == [False, False, True]


def ramps(
    cells: int, length: int, *, seed: int = 0, gain: np.ndarray | None = None, stuck: tuple[int, ...] = ()
) -> Traces:
    """Constant steps of 1 uS up and 1 uS down with spread and read noise, one ramp each way per cell."""
    rng = np.random.default_rng(seed)
    g, direction = [], []
    for c in range(cells):
        size = 1.0 if gain is None else gain[c]
        for side in (1, -1):
            steps = side * size * (1.0 + 0.3 * rng.normal(size=length))
            path = (20.0 if side > 0 else 60.0) + np.concatenate(([0], np.cumsum(steps)))
            if c in stuck:
                path[:] = 30.0
            g.append(path + 0.1 * rng.normal(size=length + 1))
            direction.append(np.full(length + 1, side))
    n = 2 * cells
    pulses = np.ones((n, length + 1), np.int64)
    pulses[:, 0] = 0
    nothing = np.full(n, np.nan)
    cell = np.repeat(np.arange(cells), 2)
    return Traces(
        1e-6 * np.concatenate(g),
        pulses.ravel(),
        np.concatenate(direction).astype(np.int8),
        np.arange(n + 1) * (length + 1),
        cell,
        np.arange(n),
        nothing,
        nothing,
    )


LAW = StepTables(1e-6 * np.array([[-1.0, -1.0], [1.0, 1.0]]), np.full((2, 2), 0.3e-6), WINDOW.g_min, WINDOW.g_max)


def test_stuck_cells_are_found_and_slow_ones_are_not() -> None:
    gain = np.ones(20)
    gain[3] = 0.3
    report = find_stuck(ramps(20, 30, gain=gain, stuck=(5, 11)), WINDOW)
    assert report.cells == (5, 11)
    assert report.tested == 20
    assert (report.low, report.high, report.elsewhere) == (0, 0, 2)
    np.testing.assert_allclose(report.levels, 30e-6, rtol=0.01)
    assert report.interval[0] < 0.1 < report.interval[1]
    assert find_stuck(ramps(3, 30, stuck=(1,)), WINDOW).cells == (), "three cells are too few to call one stuck"


def test_spread_of_devices_is_not_the_scatter_of_estimates() -> None:
    rng = np.random.default_rng(7)
    gain = 1.0 + 0.2 * rng.normal(size=60)
    found = device_gains(ramps(60, 40, seed=8, gain=gain), LAW, ReadNoise(0.1e-6))
    assert found is not None
    for side in (0, 1):
        error = found.gain[:, side] - gain / gain.mean()  # relative to the mean: what is common is the law's
        assert np.abs(error / found.std[:, side]).mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.3)
    assert found.common.low <= 0.2 <= found.common.high
    assert found.up.low <= 0.03
    assert found.down.low <= 0.03
    equal = device_gains(ramps(60, 40, seed=9), LAW, ReadNoise(0.1e-6))
    assert equal is not None
    assert equal.common.value < 0.02
    assert equal.gain.std() > 0.03, "estimates scatter although all devices are alike"
    assert device_gains(ramps(2, 40), LAW, ReadNoise(0.1e-6)) is None


@pytest.mark.parametrize(("cells", "by"), [(20, "device"), (2, "stretch")])
def test_split_holds_no_step_in_both_parts(cells: int, by: str) -> None:
    traces = ramps(cells, 80)
    parts = split(traces)
    assert parts.by == by
    assert parts.held_out is not None
    assert parts.fit.steps + parts.held_out.steps == traces.steps
    changes = [np.sort(part.changes()[0]) for part in (parts.fit, parts.held_out)]
    np.testing.assert_array_equal(np.sort(np.concatenate(changes)), np.sort(traces.changes()[0]))
    again = split(traces)
    np.testing.assert_array_equal(again.fit.g, parts.fit.g)
    if by == "stretch":
        assert len(parts.fit) < 10 * len(traces) - len(parts.held_out), "neighbours that are fitted stay one"


def test_split_by_ramps_keeps_both_directions() -> None:
    one_device = ramps(10, 20)
    traces = Traces(
        *[
            getattr(one_device, name) if name != "cell" else one_device.cell * 0
            for name in one_device.__dataclass_fields__
        ]
    )
    parts = split(traces)
    assert parts.by == "trace"
    assert parts.held_out is not None
    for part in (parts.fit, parts.held_out):
        assert set(part.direction[part.inside()].tolist()) == {1, -1}


def test_too_little_to_hold_out() -> None:
    parts = split(ramps(1, 10))
    assert parts.held_out is None
    assert "not proven" in parts.text


def test_ramps_of_different_length_were_stopped_by_a_level() -> None:
    same = stop_rule(ramps(3, 10))
    assert np.isnan(same.level).all()
    traces = ramps(3, 10)
    shorter = traces.take(np.array([0, 1, 2, 3, 4]))
    cut = Traces(
        np.delete(shorter.g, 10),
        np.delete(shorter.pulses, 10),
        np.delete(shorter.direction, 10),
        np.concatenate(([0], shorter.start[1:] - 1)),
        shorter.cell,
        shorter.sequence,
        shorter.amplitude,
        shorter.width,
    )
    rule = stop_rule(cut)
    assert np.isfinite(rule.level[[0, 2, 4]]).all()
    assert np.isnan(rule.level[[1, 3]]).all()
    assert np.isnan(stop_rule(ends_anywhere(cut)).level).all()


def ends_anywhere(traces: Traces) -> Traces:
    """The same traces with ends that differ by more than a step and a half."""
    g = traces.g.copy()
    height = np.abs(g[traces.start[1:] - 1] - g[traces.start[:-1]])
    g[traces.start[1:] - 1] += height * np.resize([0.6, -0.6, 0.0], len(traces))
    return replace(traces, g=g)


def test_programming_error_and_cells_that_missed() -> None:
    rng = np.random.default_rng(10)
    target = rng.uniform(5e-6, 95e-6, 3000)
    result = target + (0.5e-6 + 0.02 * target) * rng.normal(size=3000)
    result[:7] = 50e-6
    target[:7] = 5e-6
    fit = fit_programming(target, result, WINDOW)
    assert fit is not None
    assert fit.stuck.tolist() == list(range(7))
    truth = 0.5e-6 + 0.02 * fit.centres
    assert ((fit.low <= 1.03 * truth) & (0.97 * truth <= fit.high)).mean() >= 0.8
    np.testing.assert_allclose(fit.excess, 0.0, atol=1.2)
    uniform = fit_programming(target, target + rng.uniform(-1e-6, 1e-6, 3000), WINDOW)
    assert uniform is not None
    assert np.median(uniform.excess) == pytest.approx(-1.2, abs=0.2)
    assert fit_programming(target[:2], result[:2], WINDOW) is None


def test_histories_group_times_and_count_what_is_left_out() -> None:
    builder = TableBuilder()
    rows = [(0, 0.0, 1.0), (0, 0.9, 2.0), (0, 100.0, 3.0), (1, 0.0, 4.0), (1, 1.1, 5.0), (1, 1.2, 9.0), (2, 100.0, 6.0)]
    sequence, t, g = map(np.array, zip(*rows, strict=True))
    builder.append(len(rows), {"sequence": sequence, "t_s": t, "v_read_V": 1.0, "i_A": 1e-6 * g})
    log = ReadLog()
    found = histories_of(builder.table(), log)
    assert found.nominal[0] == 0.0
    assert found.nominal[1] == pytest.approx(1.0, rel=0.1)
    np.testing.assert_allclose(found.g, 1e-6 * np.array([[1, 2, 3], [4, 5, np.nan]]))
    assert any("1 retention read(s) at a time at which their cell had one already" in note for note in log.notes)
    assert any("1 of 3 cells" in note for note in log.notes)


def coloured(
    n: int, rate: float, *, white: float, flicker: float, telegraph: float = 0.0, corner: float = 1.0, seed: int = 12
) -> Series:
    """Noise of a known spectrum: shaped normal noise, plus a telegraph signal drawn in time."""
    rng = np.random.default_rng(seed)
    f = np.fft.rfftfreq(2 * n, 1.0 / rate)
    density = np.full(len(f), white)
    density[1:] += flicker / f[1:]
    spectrum = np.sqrt(density * rate * n / 2.0) * (rng.normal(size=len(f)) + 1j * rng.normal(size=len(f)))
    spectrum[0] = 0.0
    g = np.fft.irfft(spectrum, 2 * n)[:n]
    if telegraph:
        flips = rng.random(n) < 0.5 * (1.0 - np.exp(-2.0 * np.pi * corner / rate))
        g = g + telegraph * np.where(np.cumsum(flips) % 2 == 0, 1.0, -1.0)
    return Series(50e-6 + g, 1.0 / rate, 0)


def test_spectrum_of_white_noise() -> None:
    found = fit_spectrum(coloured(20_000, 100.0, white=1e-16, flicker=0.0))
    assert found is not None
    assert found.parts == ("white",)
    assert found.white == pytest.approx(1e-16, rel=0.1, abs=0)
    assert found.white_std == pytest.approx(np.sqrt(1e-16 * 50.0), rel=0.05)


def test_spectrum_of_flicker_noise() -> None:
    found = fit_spectrum(coloured(50_000, 100.0, white=1e-16, flicker=3e-15))
    assert found is not None
    assert "flicker" in found.parts
    assert found.flicker == pytest.approx(3e-15, rel=0.2, abs=0)
    assert abs(found.exponent - 1.0) < 4 * found.exponent_error
    assert found.misfit < 0.05


def test_spectrum_of_a_telegraph_signal() -> None:
    found = fit_spectrum(coloured(50_000, 100.0, white=1e-16, flicker=1e-17, telegraph=2e-7, corner=3.0))
    assert found is not None
    assert "telegraph" in found.parts
    assert found.corner == pytest.approx(3.0, rel=0.25)
    assert found.telegraph_std == pytest.approx(2e-7, rel=0.15)
    assert found.dwell == pytest.approx(1.0 / (np.pi * 3.0), rel=0.25)


def test_the_card_spreads_as_the_reads_did() -> None:
    series = coloured(65_536, 100.0, white=2e-16, flicker=3e-15)
    spans, variances, white, flicker = variance_growth(series)
    law = white**2 + flicker**2 * np.log((spans + 0.01) / 0.02)
    np.testing.assert_allclose(np.sqrt(law), np.sqrt(variances), rtol=0.12)
    assert flicker**2 == pytest.approx(3e-15, rel=0.3, abs=0)


def test_noise_tables_follow_the_state() -> None:
    quiet, loud = (
        coloured(8000, 100.0, white=1e-16, flicker=0.0),
        coloured(8000, 100.0, white=9e-16, flicker=0.0, seed=13),
    )
    fit: NoiseFit = fit_noise([quiet, Series(loud.g + 40e-6, loud.interval, 1)], WINDOW)
    assert fit.white[0] == pytest.approx(np.sqrt(1e-16 * 50), rel=0.1)
    assert fit.white[-1] == pytest.approx(3 * np.sqrt(1e-16 * 50), rel=0.1)
    assert fit.t_read == pytest.approx(0.01)
    with pytest.raises(MeasurementError, match=r"needs 256 reads \(longest: 100\)"):
        fit_noise([Series(quiet.g[:100], 0.01, 0)], WINDOW)


def test_a_constant_series_is_silent() -> None:
    found = fit_spectrum(Series(np.full(1000, 5e-6), 0.01, 0))
    assert found is not None
    assert (found.white, found.flicker, found.telegraph) == (0.0, 0.0, 0.0)
    assert found.card_white == 0.0


def test_rank_correlation_of_cells_that_return() -> None:
    rng = np.random.default_rng(14)
    n = 400
    wander = rng.normal(size=(n, 3)) * 1e-6
    returning = Histories(
        50e-6 + wander, np.tile([0.0, 1, 100], (n, 1)), np.array([0.0, 1, 100]), np.full(n, np.nan), np.arange(n)
    )
    memory = path_memory(returning)
    assert memory is not None
    assert memory < -0.3
    assert path_memory(returning.take(np.arange(10))) is None
