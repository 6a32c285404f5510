"""Factors of amplitude and width: of known truth they come back, and are not put on a card where the truth has none."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import validate
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.other_pulses import OtherPulses
from devices.measurements.fit.drive.fit import fit_drive, power_below
from devices.measurements.fit.pulse.tables import PulseTables
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.window import Window

VOLTS, WIDTHS = (1.0, 1.25, 1.5, 1.75), (3e-8, 1e-7)
AMPLITUDE = {
    "nominal": "1.5 V",
    "volts": [f"{v} V" for v in VOLTS],
    "up": [0.1, 0.4, 1.0, 1.8],
    "down": [0.05, 0.3, 1.0, 2.5],
}
WIDTH = {"nominal": "100 ns", "seconds": ["30 ns", "100 ns"], "up": [0.5, 1.0], "down": [0.7, 1.0]}


def lab_of(path: Path, seed: int, **pulse: Any) -> Path:
    """Six cells, pulsed up and down in turns of ten, most pulses of the nominal kind, as a CSV file."""
    law = {"kind": "soft_bounds", "states": 60, "noise": 0.3, "noise_additive": 0.1, **pulse}
    true = validate(
        {
            "name": "true",
            "g_min": 2.0,
            "g_max": 40.0,
            "pulse": law,
            "read_noise": {"kind": "constant", "std": "0.05 uS"},
        },
        DeviceCard,
    )
    cells = 6
    chip = EmulatedCrossbar(true.compile(), 1, cells, pair=False, streams=Streams(seed))
    chip.add_ideal(np.full((1, cells), 15e-6, np.float32))
    kinds = [(1.5, 1e-7)] * 3 + [(v, 1e-7) for v in (1.0, 1.25, 1.75)] + [(1.5, 3e-8), (1.75, 3e-8)]
    rows = [[cell, 0.0, 0.0, g] for cell, g in enumerate(chip.read_conductance()[0, 0])]
    for k in range(64):
        volts, width = kinds[k // 2 % len(kinds)]
        sign = 1 if k % 2 == 0 else -1
        for _ in range(10):
            chip.pulse(PulseCounts(np.full((1, 1, cells), sign, np.int16), volts, width))
            rows += [[cell, sign * volts, width, g] for cell, g in enumerate(chip.read_conductance()[0, 0])]
    rows.sort(key=lambda row: row[0])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["cell", "V pulse (V)", "width (s)", "G (S)"], *rows])
    return path


def fitted(path: Path, out: Path) -> FitResult:
    columns = {"cell": "cell", "v": "V pulse", "width": "width", "g": "G"}
    reader = {"kind": "csv", "path": str(path), "role": "pulses", "columns": columns}
    config = validate(
        {
            "name": "again",
            "measurements": [reader],
            "window": {"g_min": "2 uS", "g_max": "40 uS"},
            "pulse": {"laws": ["soft_bounds"], "tables": "one", "read_noise": "keep"},
            "held_out": {"by": "none"},
        },
        MeasurementConfig,
    )
    return fit_measurements(config, out)


@pytest.mark.jit
def test_known_factors_come_back(tmp_path: Path) -> None:
    """Eight factors within 4 of their stated errors and 3 % (of the mean step of the tables); what is extrapolated is said."""
    result = fitted(lab_of(tmp_path / "lab.csv", 5, amplitude=AMPLITUDE, width=WIDTH), tmp_path / "out")
    assert result.pulse is not None
    drives = {drive.what: drive for drive in result.pulse.drives}
    assert set(drives) == {"amplitude", "width"}
    truth = {"amplitude": (VOLTS, AMPLITUDE), "width": (WIDTHS, WIDTH)}
    for what, drive in drives.items():
        assert drive.after < 0.9 * drive.before
        at, factors_of = truth[what]
        for side, factors in (("up", drive.up), ("down", drive.down)):
            assert len(factors) == len(at) - 1, "all but the nominal one"
            for factor in factors:
                wanted = factors_of[side][int(np.argmin(np.abs(np.array(at) - factor.at)))]
                assert abs(factor.value - wanted) <= 4.0 * factor.error + 0.03 * wanted, (what, side, factor)
                assert factor.error < 0.1
    card = load_card(result.card)
    assert card.pulse is not None
    assert card.pulse.amplitude is not None
    assert (card.pulse.amplitude.compile().factors(0.5) < 0.04).all(), "on a line it would be half of that at 1 V"
    assert any("that is extrapolated" in note for note in result.notes)
    assert result.files.law_card is not None
    law = load_card(result.files.law_card)
    assert law.pulse is not None
    assert law.pulse.amplitude == card.pulse.amplitude


def draws(seed: int, factor: float, rows: int = 800) -> tuple[OtherPulses, PulseTables]:
    """Changes of constant mean 0.5 uS that scatter by as much; every second one by a pulse with that factor."""
    rng = np.random.default_rng(seed)
    direction = np.where(np.arange(rows) // 10 % 2, -1, 1).astype(np.int8)
    other = np.arange(rows) // 20 % 2 == 1
    step = 0.5e-6 * direction * np.where(other, factor, 1.0)
    pulses = OtherPulses(
        step + 0.5e-6 * rng.normal(size=rows),
        rng.uniform(5e-6, 35e-6, rows),
        np.ones(rows),
        direction,
        np.where(other, 1.25, 1.5),
        np.full(rows, np.nan),
        np.arange(rows) // 25,
        (1.5, 1.5),
        (float("nan"), float("nan")),
    )
    table = np.full((1, 5, 9), 0.5e-6)
    return pulses, PulseTables(table, -table, None, Window(2e-6, 40e-6))


def test_none_is_invented() -> None:
    """400 draws in which both kinds of pulses do the same: at most 16 alarms, 4 % (chance 0.0002 at a rate of 1.5 %)."""
    found = [fit_drive(*draws(seed, 1.0), "amplitude") for seed in range(400)]
    assert sum(one is not None for one in found) <= 16
    assert fit_drive(*draws(0, 1.0), "width") is None, "none is known"


def test_the_interval_holds_the_truth() -> None:
    """200 draws of two factors of 0.5: 95 % intervals hold it in 363 or more of 400 (chance 0.0005 at 95 %)."""
    held = 0
    for seed in range(200):
        found = fit_drive(*draws(seed, 0.5), "amplitude")
        assert found is not None
        held += sum(abs(f.value - 0.5) <= 1.96 * f.error for f in (*found.up, *found.down))
    assert held >= 363


def test_a_factor_that_depends_on_the_state_is_said() -> None:
    pulses, tables = draws(1, 1.0, rows=4000)
    slope = np.where(pulses.amplitude < 1.5, (pulses.middle - 20e-6) / 15e-6, 0.0)
    bent = replace(pulses, change=pulses.change + 0.5e-6 * pulses.direction * slope)
    found = fit_drive(
        replace(bent, change=bent.change - 0.2e-6 * pulses.direction * (pulses.amplitude < 1.5)), tables, "amplitude"
    )
    assert found is not None
    assert any("depends on the state" in note for note in found.notes)
    plain = fit_drive(*draws(1, 0.6, rows=4000), "amplitude")
    assert plain is not None
    assert not any("depends on the state" in note for note in plain.notes)


def test_the_power_below_what_was_measured() -> None:
    assert power_below([1.0, 2.0], [0.1, 0.8]) == pytest.approx(3.0)
    assert power_below([1.0, 2.0], [0.8, 1.0]) == 1.0, "never flatter than a line to 0 at 0 V"
    assert power_below([1.0, 2.0], [0.0, 1.0]) is None
    assert power_below([1.0], [1.0]) is None
