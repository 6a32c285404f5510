"""How well calibrated twins predict hidden chips: `python tests/twin_study.py --out DIR`; its table stands in docs/results/twins.md.

Five chips are served over the socket. The calibration sees neither their cards nor their faults. What is compared is the accuracy of one
network on MNIST, programmed onto each chip by a loop that believes the nominal card, an hour after writing: the chip's own (mean over
writings), that of its twin (mean over fabrications), and that of the nominal card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.backends.emulated import Emulated
from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.backends.twin import TwinBackend
from analog_sim.chip.client.remote import RemoteClock
from analog_sim.chip.clock import Clock
from analog_sim.chip.periphery import LineAmplifiers
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.chip.twin import MeasuredArray, MeasuredChip, TwinFabric
from analog_sim.config import load_config
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.calibration.arrays import WantedArray, load_experiment, wanted_arrays
from learning.experiments.calibration.page import write_calibration_report
from learning.experiments.calibration.run import calibrate, open_chip
from learning.experiments.configs.calibrate import CalibrateConfig
from learning.experiments.estimation.chip import Chip
from learning.experiments.estimation.prepared import Prepared, check, prepare_estimate
from learning.experiments.estimation.studies import variants
from learning.experiments.runs.run_folder import RunDirectory

CARD = "ecram"
AGE = 3600.0
EXPERIMENT = f"""
schema: estimate/1
name: hidden
dataset: {{name: mnist, test_limit: 2000}}
network: {{kind: mlp, hidden: [64]}}
training: {{epochs: 5, batch: 64, rate: 1e-3}}
device: {CARD}
tile: {{dac: {{bits: 8}}, adc: {{bits: 9, range: calibrated}}, compensation: none}}
chips: 1
times: [1 h]
batch: 500
"""
CALIBRATION = """
schema: calibrate/1
name: measured
experiment: experiment.yaml
"""
HIDDEN: dict[str, dict[str, Any]] = {
    "noisy writing": {"card": ["programming.fraction=7 %", "read_noise.fraction=1.5 %"]},
    "stuck cells": {"card": ["programming.fraction=2 %"], "stuck": 0.05},
    "drift": {
        "card": [
            "programming.fraction=3 %",
            'drift={"kind": "power_law", "mean": {"level": 0.03}, "std": {"level": 0.01}, "t_ref": "1 s"}',
        ]
    },
    "narrow, amplifiers": {"card": ["g_max=9 uS", "programming.fraction=5 %"], "gain": 0.1, "stuck": 0.01},
    "all of it": {
        "card": ["programming.fraction=4 %", "read_noise.fraction=2 %", "variation.g_max=6 %", "pulse.states=300"],
        "gain": 0.06,
        "stuck": 0.04,
    },
}


def hidden_chip(number: int, arrays: list[WantedArray]) -> TwinFabric:
    """One of the chips: cells of a card that the calibration does not know, stuck cells, amplifiers."""
    settings = list(HIDDEN.values())[number]
    rng = np.random.default_rng([77, number])
    cell = load_card(CARD, overrides=settings["card"]).compile()
    found = {}
    for each in arrays:
        shape = (2, each.rows, each.cols)
        broken = rng.random(shape) < settings.get("stuck", 0.0)
        ends = np.where(rng.random(shape) < 0.5, cell.g_min, rng.uniform(cell.g_min, cell.g_max, shape))
        spread = settings.get("gain", 0.0)
        gain = rng.normal(1.0, spread, each.cols).astype(np.float32)
        offset = rng.normal(0.0, spread * cell.cost.v_read * (cell.g_max - cell.g_min), each.cols).astype(np.float32)
        amplifiers = LineAmplifiers(gain, offset) if spread else None
        found[each.full] = MeasuredArray(np.where(broken, ends, np.nan).astype(np.float32), amplifiers)
    streams = Streams(9000 + number).child("hidden")
    return TwinFabric(cell, MeasuredChip(cell, found), streams, Clock())


def accuracies(prepared: Prepared, experiment: Any, backend: ChipBackend, seeds: range) -> list[float]:
    """Accuracy of the network at `AGE`, written anew for every seed."""
    found = []
    for seed in seeds:
        chip = Chip(replace(prepared, chip=backend, seed=seed), variants(experiment)[0], 0)
        chip.wait_until(AGE)
        found.append(chip.evaluate()["accuracy"])
        if isinstance(chip.clock, RemoteClock):  # the next writing needs the writer's place
            chip.clock._link.command("SYST:LOCK:REL")
            chip.clock._link.close()
    return found


def study(out: Path, chips: range, writings: int) -> list[dict[str, Any]]:
    """Calibrate and predict; a row for each chip, also in out/results.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (out / "calibrate.yaml").write_text(CALIBRATION, encoding="utf-8")
    experiment = load_experiment(out / "experiment.yaml")
    prepared = prepare_estimate(experiment, check(experiment), print)
    arrays = wanted_arrays(experiment)
    nominal_card = accuracies(prepared, experiment, Emulated(), range(500, 500 + writings))
    rows = []
    for number in chips:
        with running(ServedChip(SealedFabric(hidden_chip(number, arrays)))) as port:
            address = f"scpi://127.0.0.1:{port}"
            override = f'chip={{"kind": "scpi", "address": "{address}", "timeout": 120.0}}'
            config = load_config(out / "calibrate.yaml", CalibrateConfig, overrides=[override])
            opened = open_chip(config)
            run = RunDirectory.create(out / f"chip{number}", config, name="twin", seed=0, own=["measured.yaml"])
            found = calibrate(config, opened, run, print)
            write_calibration_report(run, found)
            opened.fabric.link.close()
            own = accuracies(prepared, experiment, Scpi(address=address, timeout=120.0), range(writings))
        twin = accuracies(prepared, experiment, TwinBackend(folder=run.path), range(100, 100 + writings))
        rows.append(
            {
                "chip": list(HIDDEN)[number],
                "digital": prepared.digital["accuracy"],
                "own": float(np.mean(own)),
                "own_std": float(np.std(own, ddof=1)),
                "twin": float(np.mean(twin)),
                "twin_std": float(np.std(twin, ddof=1)),
                "nominal": float(np.mean(nominal_card)),
                "pulses": found.spent["pulse"],
                "programmed": found.spent["program"],
                "seconds": found.spent["seconds"],
            }
        )
        print(rows[-1], flush=True)
        (out / "results.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chips", type=int, nargs="*", default=list(range(len(HIDDEN))))
    parser.add_argument("--writings", type=int, default=40)
    options = parser.parse_args()
    found = study(options.out, options.chips, options.writings)
    for name in ("twin", "nominal"):
        errors = [100 * abs(row[name] - row["own"]) for row in found]
        print(f"{name}: mean absolute error {np.mean(errors):.2f} points ({', '.join(f'{e:.2f}' for e in errors)})")
