"""Memory of the direction of pulses: of known truth it comes back, and is not put on a card where the truth has none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_writers import Lab, write_csv

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import validate
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.history.fit import LongRuns, excess, fit_history
from devices.measurements.fit.parameters import Estimate
from devices.measurements.fit.pulse.laws import tables_of
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.window import Window

WINDOW = Window(2e-6, 40e-6)


def true_card(factor: float, **fields: Any) -> DeviceCard:
    history = {"up": {"factor": factor, "pulses": 3.0}, "down": {"factor": 1.0 + (factor - 1.0) / 2.0, "pulses": 5.0}}
    pulse = {"kind": "soft_bounds", "states": 300, "noise": 0.3, "noise_additive": 0.2, "history": history}
    read = {"kind": "constant", "std": "0.05 uS"}
    return validate(
        {"name": "true", "g_min": 2.0, "g_max": 40.0, "pulse": pulse, "read_noise": read, **fields}, DeviceCard
    )


def turns(seed: int) -> list[int]:
    """Directions of 800 pulses in runs of 4 to 40: the same states are reached by early and by late pulses of a run."""
    rng, signs = np.random.default_rng(seed), []
    while len(signs) < 800:
        signs += [_other(signs)] * int(rng.integers(4, 41))
    return signs[:800]


def _other(signs: list[int]) -> int:
    return -signs[-1] if signs else 1


def lab(factor: float, seed: int) -> Lab:
    """Four cells pulsed so and read after every pulse."""
    chip = EmulatedCrossbar(true_card(factor).compile(), 1, 4, pair=False, streams=Streams(seed))
    chip.add_ideal(np.full((1, 4), 15e-6, np.float32))
    reads, signs = [chip.read_conductance()[0, 0]], turns(seed)
    for sign in signs:
        chip.pulse(PulseCounts(np.full((1, 1, 4), sign, np.int16)))
        reads.append(chip.read_conductance()[0, 0])
    return Lab(np.array(reads, np.float64).T, np.array([0, *signs], np.int8))


def simulated(factor: float, seed: int, noise: float = 0.05e-6) -> Traces:
    """The same four cells without the emulator: the definition of the history, step by step, soft bounds of 300 states."""
    rng = np.random.default_rng(seed)
    cells, signs = 4, np.array(turns(seed), np.int8)
    size, kept = WINDOW.width / 300, {1: np.exp(-1.0 / 3.0), -1: np.exp(-1.0 / 5.0)}
    excess_of = {1: factor - 1.0, -1: (factor - 1.0) / 2.0}
    g, q = np.full(cells, 17e-6), np.zeros(cells)  # the first pulses follow a complete reversal
    reads = [g + noise * rng.normal(size=cells)]
    for sign in signs.tolist():
        u = (g - WINDOW.g_min) / WINDOW.width
        mean = sign * size * (1.0 - u if sign > 0 else u)
        step = mean + np.hypot(0.3 * mean, 0.2 * size) * rng.normal(size=cells)
        e = 1.0 - q if sign > 0 else q
        g = np.clip(g + (1.0 + excess_of[sign] * e) * step, WINDOW.g_min, WINDOW.g_max)
        q = 1.0 - kept[sign] * e if sign > 0 else kept[sign] * e
        reads.append(g + noise * rng.normal(size=cells))
    return traces_of(np.array(reads).T, np.concatenate(([0], signs)).astype(np.int8))


def traces_of(g: np.ndarray, direction: np.ndarray) -> Traces:
    cells, reads = g.shape
    return Traces(
        g=g.ravel(),
        pulses=np.tile((direction != 0).astype(np.int64), cells),
        direction=np.tile(direction, cells),
        start=np.arange(cells + 1) * reads,
        cell=np.arange(cells),
        sequence=np.arange(cells),
        amplitude=np.full(cells, np.nan),
        width=np.full(cells, np.nan),
    )


def slow_excess(traces: Traces, kept: tuple[float, float]) -> list[float]:
    """Mean e before every read, pulse by pulse, from the definition; kept: share that a pulse leaves, (down, up)."""
    result = []
    for first, last in zip(traces.start[:-1], traces.start[1:], strict=True):
        q = None
        for k in range(first, last):
            sign, seen = int(traces.direction[k]), []
            for _ in range(int(traces.pulses[k]) if k > first and sign else 0):
                q = (0.0 if sign > 0 else 1.0) if q is None else q  # the first pulse follows a complete reversal
                seen.append(1.0 - q if sign > 0 else q)
                q = 1.0 - kept[1] * seen[-1] if sign > 0 else kept[0] * seen[-1]
            result.append(float(np.mean(seen)) if seen else 0.0)
    return result


def test_what_a_reversal_leaves() -> None:
    rng = np.random.default_rng(2)
    direction = rng.integers(-1, 2, 60).astype(np.int8)
    each = np.zeros(3)
    traces = Traces(
        np.zeros(60),
        np.where(direction == 0, 0, rng.integers(1, 4, 60)),
        direction,
        np.array([0, 5, 30, 60]),
        np.arange(3),
        np.arange(3),
        each,
        each,
    )
    kept = float(np.exp(-1 / 2.0)), float(np.exp(-1 / 4.0))
    np.testing.assert_allclose(excess(traces, (2.0, 4.0)), slow_excess(traces, kept), rtol=1e-12)


def near(estimate: Estimate, value: float) -> bool:
    """Whether a value lies within twice a 95 % interval, on the scale on which it was found: missed by chance once in 10,000."""
    low, high = np.log([estimate.low, estimate.high])
    return bool(abs(np.log(value) - 0.5 * (low + high)) <= high - low)


@pytest.mark.jit
@pytest.mark.parametrize("factor", [4.0, 0.3])
def test_a_history_is_found_at_its_size(factor: float) -> None:
    """Factors and numbers of pulses where the law is known."""
    truth = true_card(factor)
    assert truth.pulse is not None
    found = fit_history(simulated(factor, 3), LongRuns(tables_of(truth.pulse, WINDOW), ReadNoise(0.05e-6)))
    assert found is not None
    for estimate, value in zip(
        (*found.factor, *found.pulses), (1.0 + (factor - 1.0) / 2.0, factor, 5.0, 3.0), strict=True
    ):
        assert near(estimate, value), estimate


@pytest.mark.jit
def test_none_is_invented() -> None:
    """20 draws without a history: none alarms (chance of one: 2 % at a rate of 0.1 %)."""
    truth = true_card(1.0)
    assert truth.pulse is not None
    steps = LongRuns(tables_of(truth.pulse, WINDOW), ReadNoise(0.05e-6))
    assert sum(fit_history(simulated(1.0, 40 + k), steps) is not None for k in range(20)) == 0


def fitted(made: Lab, folder: Path, **pulse: str) -> FitResult:
    reader = write_csv(folder / "lab.csv", made)
    config = {
        "name": "again",
        "measurements": [reader],
        "window": {"g_min": "2 uS", "g_max": "40 uS"},
        "pulse": {"laws": ["soft_bounds"], **pulse},
        "held_out": {"by": "none"},
        "write_by_pulses": {"enabled": False},
    }
    return fit_measurements(validate(config, MeasurementConfig), folder / "out")


@pytest.mark.jit
@pytest.mark.parametrize("factor", [4.0, 10.0])
def test_from_a_file_to_two_cards(factor: float, tmp_path: Path) -> None:
    """Nothing of the truth is known: the history, and steps of long runs within 10 %, in the card of tables and in that of the law."""
    result = fitted(lab(factor, 6), tmp_path)
    truth, down = true_card(factor), 1.0 + (factor - 1.0) / 2.0
    assert result.pulse is not None
    found = result.pulse.fit.history
    assert found is not None
    for estimate, value in zip((*found.factor, *found.pulses), (down, factor, 5.0, 3.0), strict=True):
        assert near(estimate, value), estimate
    assert any(
        note.startswith("history: the first depression step after a complete reversal is") for note in result.notes
    )
    assert result.files.law_card is not None
    for path in (result.card, result.files.law_card):
        card = load_card(path)
        assert card.pulse is not None
        assert card.pulse.history is not None
        assert card.pulse.history.up.factor == pytest.approx(found.factor[1].value, rel=1e-3)
        for up in (True, False):
            np.testing.assert_allclose(card.step_mean(0.5, up), truth.step_mean(0.5, up), rtol=0.1)


@pytest.mark.jit
def test_no_history_where_there_is_none_or_none_is_wanted(tmp_path: Path) -> None:
    for name, factor, pulse in (("flat", 1.0, {}), ("off", 4.0, {"history": "none"})):
        (tmp_path / name).mkdir()
        result = fitted(lab(factor, 6), tmp_path / name, **pulse)
        card = load_card(result.card)
        assert card.pulse is not None
        assert card.pulse.history is None
        assert any(note.startswith("history: the first 5 pulses") for note in result.notes) == (factor != 1.0)
