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
from devices.measurements.fit.history.fit import excess, fit_history
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


def test_what_a_reversal_leaves() -> None:
    """One pulse a read, then three in one, against the definition."""
    kept = np.exp(-1.0 / np.array([2.0, 4.0]))  # down, up
    direction = np.array([0, 1, 1, -1, 1], np.int8)
    traces = Traces(
        np.zeros(5),
        np.array([0, 1, 3, 1, 1]),
        direction,
        np.array([0, 5]),
        *(np.zeros(1) for _ in range(4)),  # type: ignore[arg-type]
    )
    q, expected = 0.0, [0.0]
    for sign, number in zip(direction[1:], traces.pulses[1:], strict=True):
        seen = []
        for _ in range(number):
            e = 1.0 - q if sign > 0 else q
            seen.append(e)
            q = 1.0 - kept[1] * e if sign > 0 else kept[0] * e
        expected.append(float(np.mean(seen)))
    np.testing.assert_allclose(excess(traces, (2.0, 4.0)), expected, rtol=1e-12)


@pytest.mark.jit
@pytest.mark.parametrize("factor", [4.0, 0.3])
def test_a_history_is_found_at_its_size(factor: float) -> None:
    """Factors and numbers of pulses within twice their 95 % intervals (four of them, chance 4 * 1e-4)."""
    truth = true_card(factor)
    assert truth.pulse is not None
    found = fit_history(simulated(factor, 3), tables_of(truth.pulse, WINDOW), ReadNoise(0.05e-6), None)
    assert found is not None
    wanted = {"up": (factor, 3.0), "down": (1.0 + (factor - 1.0) / 2.0, 5.0)}
    for k, side in enumerate(("down", "up")):
        for estimate, value in zip((found.factor[k], found.pulses[k]), wanted[side], strict=True):
            middle, half = 0.5 * (estimate.high + estimate.low), 0.5 * (estimate.high - estimate.low)
            assert abs(value - middle) <= 2.0 * half, (side, estimate)
        assert found.scale[k] == pytest.approx(1.0, abs=0.1), "the law was that of long runs"


@pytest.mark.jit
def test_none_is_invented() -> None:
    """60 draws without a history: one alarm at most (chance 0.002 at a rate of 0.1 %)."""
    truth = true_card(1.0)
    assert truth.pulse is not None
    law = tables_of(truth.pulse, WINDOW)
    found = [fit_history(simulated(1.0, 40 + k), law, ReadNoise(0.05e-6), None) for k in range(60)]
    assert sum(one is not None for one in found) <= 1


def fitted(made: Lab, folder: Path) -> FitResult:
    reader = write_csv(folder / "lab.csv", made)
    config = {
        "name": "again",
        "measurements": [reader],
        "window": {"g_min": "2 uS", "g_max": "40 uS"},
        "pulse": {"laws": ["soft_bounds"], "tables": "one", "read_noise": "keep"},
        "held_out": {"by": "none"},
    }
    return fit_measurements(validate(config, MeasurementConfig), folder / "out")


@pytest.mark.jit
def test_the_card_has_it(tmp_path: Path) -> None:
    """From a file to a card of tables, and to one of the law: history within 20 %, steps of long runs within 10 %."""
    result = fitted(lab(4.0, 3), tmp_path)
    truth = true_card(4.0)
    assert any(note.startswith("history: the first depression step after a reversal is") for note in result.notes)
    assert result.files.law_card is not None
    for path in (result.card, result.files.law_card):
        card = load_card(path)
        assert card.pulse is not None
        assert card.pulse.history is not None
        assert card.pulse.history.up.factor == pytest.approx(4.0, rel=0.2)
        assert card.pulse.history.down.factor == pytest.approx(2.5, rel=0.2)
        for up in (True, False):
            np.testing.assert_allclose(card.step_mean(0.4, up), truth.step_mean(0.4, up), rtol=0.1)
