"""The measured parts of a card: what they claim, what emulated cells do, scaling with the window, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import MEASURED, TABLES
from statistics_helpers import TEST_ALPHA, assert_mean, assert_std, bonferroni

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import ConfigError, validate
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import DeviceCard
from devices.measurements.fit.pulse.quantiles import scores
from devices.tables_file import save_tables
from devices.window import Window

CELLS = 60
POWER_LAW = str(MEASURED / "power_law_tables.npz")
BURSTS = str(MEASURED / "burst_tables.npz")


def card(**fields: Any) -> DeviceCard:
    return validate({"name": "measured", "g_min": 2.0, "g_max": 40.0, **fields}, DeviceCard)


def measured(key: str, file: str = TABLES, **fields: Any) -> DeviceCard:
    return card(**{key: {"kind": "measured", "file": file}}, **fields)


def chip(device: DeviceCard, u: float, seed: int = 1) -> EmulatedCrossbar:
    crossbar = EmulatedCrossbar(device.compile(), CELLS, CELLS, pair=False, streams=Streams(seed))
    crossbar.add_ideal(np.full((CELLS, CELLS), u * device.window.width, np.float32))
    return crossbar


def test_one_pulse_does_what_the_table_says() -> None:
    device = measured("pulse")
    alpha = bonferroni(TEST_ALPHA, 12)
    for u in (0.3, 0.5, 0.6):
        for up in (True, False):
            crossbar = chip(device, u)
            before = crossbar.conductance_now().astype(float)
            crossbar.pulse(PulseCounts(np.full((1, CELLS, CELLS), 1 if up else -1, np.int16)))
            step = crossbar.conductance_now().astype(float) - before
            std = float(device.step_std(u, up))
            assert_mean(step, float(device.step_mean(u, up)), alpha, std=std, slack=3e-3 * std, what=f"u={u} up={up}")
            assert_std(step, std, alpha, slack=5e-3 * std, what=f"u={u} up={up}")


def test_claims_are_those_of_the_file() -> None:
    with np.load(TABLES) as arrays:
        up, std = arrays["pulse.up"].astype(float), arrays["programming.std"].astype(float)
        white, flicker = arrays["read_noise.white"].astype(float), arrays["read_noise.flicker"].astype(float)
        relax = {name: arrays[f"drift.{name}"].astype(float) for name in ("mean", "std", "initial_std")}
    device = measured("pulse")
    z = scores(up.shape[2])
    middle = int(np.argmin(np.abs(z)))
    np.testing.assert_allclose(device.step_mean(np.linspace(0, 1, 5), True), up[0, :, middle], rtol=1e-6)
    g = device.window.grid(3)
    np.testing.assert_allclose(measured("programming").program_std(g), std, rtol=1e-6)
    noise = measured("read_noise")
    np.testing.assert_allclose(noise.read_std(g, 0.0), white, rtol=1e-6)
    growth = np.log((1.0 + 1e-6) / 2e-6)
    np.testing.assert_allclose(noise.read_std(g, 1.0), np.sqrt(white**2 + flicker**2 * growth), rtol=1e-6)
    ageing = measured("drift")
    far = 0.5 * (10**2 - 1)  # two decades of log10(1 + t / t_0) at t_0 = 0.5 s
    np.testing.assert_allclose(ageing.aged_mean(1.0, far), 40e-6 + 2 * relax["mean"][2], rtol=1e-5)
    np.testing.assert_allclose(ageing.aged_std(1.0, far), np.sqrt(2) * relax["std"][2], rtol=1e-5)
    np.testing.assert_allclose(ageing.program_std(g), relax["initial_std"], rtol=1e-6)


@pytest.mark.parametrize("file", [TABLES, BURSTS, POWER_LAW])
@pytest.mark.parametrize("u", [0.4, 0.9])
def test_ageing_of_emulated_cells(file: str, u: float) -> None:
    device = measured("drift", file)
    crossbar = chip(device, u)
    start = crossbar.conductance_now().astype(float)
    np.testing.assert_allclose(start, device.window.conductance(u), rtol=1e-6)
    crossbar.wait(1e4 - crossbar.time)
    now = crossbar.conductance_now().astype(float)
    std = float(device.aged_std(u, 1e4))
    alpha = bonferroni(TEST_ALPHA, 12)
    assert_mean(now, float(device.aged_mean(u, 1e4)), alpha, std=std, slack=5e-3 * std)
    assert_std(now, std, alpha, slack=5e-3 * std)
    median = start.flat[0] * float(device.drift_factor(u, 1e4))
    assert abs(np.median(now) - median) < 6 * 1.25 * std / CELLS + 5e-3 * std


def test_programming_and_reads_of_emulated_cells() -> None:
    alpha = bonferroni(TEST_ALPHA, 2)
    device = measured("programming")
    crossbar = chip(device, 0.0)
    crossbar.program(np.full((1, CELLS, CELLS), 21e-6, np.float32))
    assert_std(crossbar.conductance_now(), 0.5e-6, alpha, slack=2e-9)
    noisy = measured("read_noise")
    crossbar = chip(noisy, 1.0)
    crossbar.wait(1.0)
    expected = float(noisy.read_std(40e-6, crossbar.time))
    assert_std(crossbar.read_conductance(), expected, alpha, slack=5e-3 * expected)


def test_a_card_of_another_window_is_the_same_device_scaled() -> None:
    twice = {"g_min": 4.0, "g_max": 80.0}
    u, g = np.linspace(0, 1, 7), np.linspace(4e-6, 80e-6, 7)
    np.testing.assert_allclose(
        measured("pulse", **twice).step_mean(u, True), 2 * measured("pulse").step_mean(u, True), rtol=1e-6
    )
    for key, claim in (("programming", "program_std"),):
        np.testing.assert_allclose(
            getattr(measured(key, **twice), claim)(g), 2 * getattr(measured(key), claim)(g / 2), rtol=1e-6
        )
    relaxed, leaping, drifted = (measured("drift", file, **twice) for file in (TABLES, BURSTS, POWER_LAW))
    np.testing.assert_allclose(relaxed.aged_std(u, 1e3), 2 * measured("drift").aged_std(u, 1e3), rtol=1e-5)
    np.testing.assert_allclose(leaping.aged_std(u, 1e3), 2 * measured("drift", BURSTS).aged_std(u, 1e3), rtol=1e-5)
    np.testing.assert_allclose(
        drifted.drift_factor(u, 1e3), measured("drift", POWER_LAW).drift_factor(u, 1e3), rtol=1e-6
    )


def test_each_measured_device_has_its_table_and_window(tmp_path: Path) -> None:
    z = scores(5)
    up = np.array([1e-6, 3e-6])[:, None, None] * np.ones((1, 4, 1)) + 0.0 * z
    windows = 1e-6 * np.array([[2.0, 30.0], [5.0, 40.0]])
    file = tmp_path / "two.npz"
    save_tables(file, Window(2e-6, 40e-6), {"pulse.up": up, "pulse.down": -up, "pulse.windows": windows})
    device = measured("pulse", str(file))
    cell = device.compile()
    assert cell.windows is not None
    np.testing.assert_allclose(cell.windows, windows, rtol=1e-6)
    crossbar = EmulatedCrossbar(cell, CELLS, CELLS, pair=False, streams=Streams(3))
    before = crossbar.conductance_now().astype(float)
    crossbar.pulse(PulseCounts(np.full((1, CELLS, CELLS), 1, np.int16)))
    step = crossbar.conductance_now().astype(float) - before
    low = np.abs(before - 2e-6) < 1e-8
    np.testing.assert_allclose(step[low], 1e-6, rtol=1e-2)
    np.testing.assert_allclose(step[~low], 3e-6, rtol=1e-2)
    assert 0.4 < low.mean() < 0.6
    assert float(device.step_mean(0.5, True)) == pytest.approx(2e-6, rel=1e-6)
    assert float(device.step_std(0.5, True)) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"no array 'pulse\.up'; it has no tables"),
        (
            {"pulse.up": np.zeros((1, 3, 5)), "pulse.down": np.zeros((1, 4, 5))},
            r"'pulse\.down' has shape \(1, 4, 5\): axis K must be 3",
        ),
        ({"pulse.up": np.zeros((3, 5)), "pulse.down": np.zeros((3, 5))}, r"must have 3 axes \(TKZ\)"),
        ({"pulse.up": np.full((1, 3, 5), np.nan), "pulse.down": np.zeros((1, 3, 5))}, r"'pulse\.up' is not finite"),
    ],
)
def test_wrong_tables_are_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    file = tmp_path / "tables.npz"
    save_tables(file, Window(2e-6, 40e-6), arrays)
    with pytest.raises(ConfigError, match=r"pulse\.file: .*" + message):
        measured("pulse", str(file))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"drift.tail": [1.0, -0.1, 1.0]}, r"drift\.tail must not be below 0 \(got -0\.1\)"),
        ({"drift.tail": [1.0, 1.0, 1.0], "drift.skew": [0.0, 0.5, 1.0]}, r"drift\.skew within -1 and 1 \(got 0 to 1\)"),
        ({"drift.tail": [1.0, 1.0]}, r"'drift\.tail' has shape \(2,\): axis K must be 3"),
    ],
)
def test_impossible_tails_are_refused(shape: dict[str, list[float]], message: str, tmp_path: Path) -> None:
    file = tmp_path / "tables.npz"
    with np.load(TABLES) as arrays:
        plain = {name: arrays[name] for name in arrays.files if name.startswith("drift.")}
    save_tables(file, Window(2e-6, 40e-6), plain | {name: np.array(values) for name, values in shape.items()})
    with pytest.raises(ConfigError, match=r"drift\.file: .*" + message):
        measured("drift", str(file))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        measured("pulse", str(tmp_path / "nothing.npz"))
    (tmp_path / "text.npz").write_text("hello", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a NumPy archive of plain arrays"):
        measured("pulse", str(tmp_path / "text.npz"))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for key in ("pulse", "drift", "read_noise", "programming"):
        with pytest.raises(ConfigError, match="not a tables file"):
            measured(key, str(tmp_path / "other.npz"))
    np.savez(tmp_path / "window.npz", format="analog-hil tables/1", window=np.array([2.0, 1.0]))
    with pytest.raises(ConfigError, match="needs window"):
        measured("pulse", str(tmp_path / "window.npz"))
