"""A chip that nobody knows is measured over the socket, and its twin is what it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.clock import Clock
from analog_sim.chip.periphery import LineAmplifiers
from analog_sim.chip.sealed import SealedCrossbar, SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.chip.twin import MeasuredArray, MeasuredChip, TwinFabric, load_measured
from analog_sim.config import UserError, load_config
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.calibration.arrays import load_experiment, wanted_arrays
from learning.experiments.calibration.electronics import common_gain, electronics
from learning.experiments.calibration.run import Calibration, Opened, calibrate, open_chip
from learning.experiments.configs.calibrate import CalibrateConfig
from learning.experiments.runs.run_folder import RunDirectory

EXPERIMENT = """
schema: train/1
dataset: {name: digits, flatten: true, train_limit: 64, test_limit: 20}
network: {layers: [{kind: linear, units: 10}]}
rule: activity_node_perturbation
device: ecram
tile: {writing: stochastic_pulse, compensation: none}
learning_rate: 0.1
batch: 16
twin: null
"""
CALIBRATION = """
schema: calibrate/1
name: measured
experiment: experiment.yaml
spend: {pulses: 200000}
pulses: {cells: 24, cycles: 1, reads: 200}
retention: [1 s, 100 s, 10000 s]
"""
HIDDEN = (
    "programming.fraction=4 %",
    "read_noise.fraction=1 %",
    "pulse.states=300",
    'drift={"kind": "power_law", "mean": {"level": 0.05}, "std": {"level": 0.01}, "t_ref": "1 s"}',
)
NAME = '["linear1", "block", 0, "slice", 0]'


def hidden() -> TwinFabric:
    cell = load_card("ecram", overrides=HIDDEN).compile()
    rng = np.random.default_rng(3)
    stuck = np.where(rng.random((2, 64, 10)) < 0.05, rng.uniform(1e-6, 11e-6, (2, 64, 10)), np.nan)
    gain = rng.normal(1.0, 0.1, 10).astype(np.float32)
    array = MeasuredArray(stuck.astype(np.float32), LineAmplifiers(gain, np.full(10, 2e-7, np.float32)))
    return TwinFabric(cell, MeasuredChip(cell, {NAME: array}), Streams(5).child("hidden"), Clock())


def files(folder: Path) -> Path:
    (folder / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "calibrate.yaml").write_text(CALIBRATION, encoding="utf-8")
    return folder / "calibrate.yaml"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Calibration, TwinFabric, list[str], Path]:
    folder = tmp_path_factory.mktemp("calibrate")
    chip, said = hidden(), []
    with running(ServedChip(SealedFabric(chip))) as port:
        config = load_config(files(folder), CalibrateConfig)
        config = config.model_copy(update={"chip": Scpi(address=f"scpi://127.0.0.1:{port}", timeout=120.0)})
        opened = open_chip(config)
        run = RunDirectory.create(folder / "run", config, name="measured", seed=0, own=["measured.yaml"])
        calibrate(config, opened, run, lambda text: None)
        again = calibrate(config, opened, run, said.append)  # all stages are there
        opened.fabric.link.close()  # type: ignore[attr-defined]
    return again, chip, said, folder / "run"


@pytest.mark.jit
def test_a_twin_is_what_the_chip_is(done: tuple[Calibration, TwinFabric, list[str], Path]) -> None:
    """Bounds are five standard errors or more of what the calibration measures with; the seed is fixed."""
    found, chip, _, folder = done
    truth = chip.measured
    twin = load_measured(folder)
    was, now = truth.arrays[NAME], twin.arrays[NAME]
    np.testing.assert_array_equal(np.isfinite(was.stuck), np.isfinite(now.stuck))
    both = np.isfinite(was.stuck)
    np.testing.assert_allclose(was.stuck[both], now.stuck[both], atol=2e-7)
    assert was.amplifiers is not None
    assert now.amplifiers is not None
    np.testing.assert_allclose(now.amplifiers.gain, was.amplifiers.gain, atol=0.02)
    np.testing.assert_allclose(now.amplifiers.offset, was.amplifiers.offset, atol=2e-8)
    assert twin.wires is None
    card, nominal = load_card(found.card), load_card("ecram", overrides=HIDDEN)
    u = np.linspace(0.1, 0.9, 5)
    g = nominal.window.conductance(u)
    for up in (True, False):
        np.testing.assert_allclose(card.step_mean(u, up), nominal.step_mean(u, up), rtol=0.15)
    np.testing.assert_allclose(card.read_std(g, 0.0), nominal.read_std(g, 0.0), rtol=0.1)
    np.testing.assert_allclose(card.program_std(g), nominal.program_std(g), rtol=0.2)
    np.testing.assert_allclose(card.aged_mean(u, 1e4), nominal.aged_mean(u, 1e4), rtol=0.03)
    assert card.cost.t_pulse == pytest.approx(nominal.cost.t_pulse)
    assert card.cost.t_read == pytest.approx(nominal.cost.t_read)


@pytest.mark.jit
def test_what_was_measured_before_is_not_measured_again(
    done: tuple[Calibration, TwinFabric, list[str], Path],
) -> None:
    found, _, said, _ = done
    assert [line for line in said if line.endswith("measured before")] == said[:3]
    assert found.spent["pulse"] <= found.opened.plan.pulses <= 200_000


@pytest.mark.jit
def test_an_interrupted_calibration_goes_on_with_the_same_chip_alone(tmp_path: Path) -> None:
    config = load_config(files(tmp_path), CalibrateConfig)

    def opened(port: int) -> Opened:
        return open_chip(config.model_copy(update={"chip": Scpi(address=f"scpi://127.0.0.1:{port}", timeout=120.0)}))

    class Stopped(Exception):
        pass

    def say(text: str) -> None:
        if text.startswith("writing, reading"):
            raise Stopped

    run = RunDirectory.create(tmp_path / "run", config, name="measured", seed=0, own=["measured.yaml"])
    with running(ServedChip(SealedFabric(hidden()))) as port:
        first = opened(port)
        with pytest.raises(Stopped):
            calibrate(config, first, run, say)
        first.fabric.link.close()  # type: ignore[attr-defined]
        second = opened(port)
        found = calibrate(config, second, run, lambda text: None)
        second.fabric.link.close()  # type: ignore[attr-defined]
    nominal = load_card("ecram")
    assert load_card(found.card).cost.t_pulse == pytest.approx(nominal.cost.t_pulse), "pulsed in the first start"
    assert found.spent["pulse"] > 1000
    with running(ServedChip(SealedFabric(hidden()))) as port:
        other = opened(port)
        with pytest.raises(UserError, match=r"holds stages of another chip, or the chip at .* was started anew"):
            calibrate(config, other, run, say)
        other.fabric.link.close()  # type: ignore[attr-defined]


def test_the_plan_comes_first_and_a_budget_too_small_is_refused(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[4]
    config = files(tmp_path)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "scripts" / "calibrate.py"), str(config), "--dry-run", *more]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))

    planned = run()
    assert planned.returncode == 0, planned.stderr
    assert "1 with 1280 cells" in planned.stdout
    assert not (tmp_path / "runs").exists()
    refused = run("--set", "spend.pulses=100")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "spend.pulses: 24 cells x 2 ramps leave 2 pulses for a ramp, 64 are needed (got 100)"
    )
    assert run("--set", "experiment=calibrate.yaml").stderr.count("\n") == 1


def test_the_arrays_of_a_run_are_those_that_it_asks_for(tmp_path: Path) -> None:
    files(tmp_path)
    (only,) = wanted_arrays(load_experiment(tmp_path / "experiment.yaml"))
    assert (only.full, only.rows, only.cols, only.pair) == (NAME, 64, 10, True)


class Misread(SealedCrossbar):
    """An array whose reads are a factor off, or that is not programmed."""

    factor = 1.0
    programs = True

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> np.ndarray:
        return np.float32(self.factor) * super().read_conductance(rows, cols)

    def program(self, target: np.ndarray, mask: np.ndarray | None = None) -> None:
        if self.programs:
            super().program(target, mask)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("factor", "programs", "said"),
    [
        (-1.0, True, "it does not answer to programming"),
        (0.0, True, "it does not answer to programming"),
        (1.0, False, "it does not answer to programming"),
        (1e6, True, r"which the chip says is 1e-06 to 1\.1e-05 S: check the units of its reads"),
    ],
)
def test_cells_that_cannot_be_cells_are_refused_before_a_pulse_is_spent(
    tmp_path: Path, factor: float, programs: bool, said: str
) -> None:
    config = load_config(files(tmp_path), CalibrateConfig)
    opened = open_chip(config)
    bad = Misread(opened.arrays[0])
    bad.factor, bad.programs = factor, programs
    run = RunDirectory.create(tmp_path / "run", config, name="measured", seed=0, own=["measured.yaml"])
    with pytest.raises(UserError, match=said) as refused:
        calibrate(config, replace(opened, arrays=[bad]), run, lambda text: None)
    assert NAME in str(refused.value)
    assert bad.log.units("pulse") == 0


def test_currents_are_compared_with_the_cells() -> None:
    rng = np.random.default_rng(1)
    cells = rng.uniform(1e-6, 11e-6, (2, 8, 5))
    found = {"cells": cells, "offset": np.full(5, 1e-8), "volts": np.array([0.1])}
    for gain in (1.2, 0.0, -1.0):
        found["currents"] = gain * 0.1 * (cells[0] - cells[1]) + 1e-8
        assert common_gain(found) == pytest.approx(gain, abs=1e-9)


def test_a_twin_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"was measured as \(2, 64, 10\), \(2, 3, 3\) was asked for"):
        hidden().at("linear1").crossbar(("block", 0, "slice", 0), 3, 3, pair=True)


def test_wires_show_and_have_their_resistance() -> None:
    """Reads of single lines through 5 ohm a segment; with ideal wires and amplifiers nothing shows."""
    from analog_sim.reads.wired import WiredReads
    from analog_sim.wires import WiresSpec

    rng = np.random.default_rng(2)
    g = rng.uniform(1e-5, 1e-4, (2, 48, 24))
    noise = 1e-7 * rng.standard_normal((48, 24))
    for ohms in (5.0, 0.0):
        net = g[0] - g[1]
        if ohms:
            spec = WiresSpec(word_line=ohms, bit_line=ohms)
            net = WiredReads(spec, True).matrix(g.astype(np.float32)).astype(np.float64)
        reads = {
            "cells": g,
            "currents": 0.1 * (net + noise),
            "offset": np.zeros(24),
            "offset_error": np.full(24, 1e-9),
            "volts": np.array([0.1]),
        }
        found = electronics(reads)
        assert found.ohms == pytest.approx(ohms, rel=0.1)
        assert not found.shows
