"""What calibration is worth: `python tests/physics_aware_study.py --out DIR`; its table stands in docs/results/twins.md.

One network learns MNIST (20,000 images) in place on a chip whose pulses are not those of the believed card, with stuck cells: by
backpropagation through transposed reads of the chip, and forward on the chip, backward on a calibrated and on an uncalibrated twin.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from analog_sim.chip.twin import TWIN, MeasuredArray, MeasuredChip, save_measured
from analog_sim.config import load_config
from devices.card import load_card
from learning.experiments.calibration.arrays import load_experiment, wanted_arrays
from learning.experiments.calibration.run import calibrate, open_chip
from learning.experiments.configs.calibrate import CalibrateConfig
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.runs.run_folder import RunDirectory
from learning.experiments.training.data import training_data
from learning.experiments.training.trainer import Trainer

EXPERIMENT = """
schema: train/1
name: physics_aware
dataset: {name: mnist, flatten: true, train_limit: 20000, test_limit: 5000}
network: {layers: [{kind: linear, units: 64}, relu, {kind: linear, units: 48}, relu, {kind: linear, units: 10}]}
rule: backprop
device: ecram
chip: {kind: twin, folder: hidden}
tile: {writing: mixed_precision, compensation: none, mapping: {kind: differential, sides: two}}
learning_rate: 0.1
batch: 32
epochs: 1
twin: null
"""
HIDDEN = (
    "pulse.states=200",
    "pulse.asymmetry=0.2",
    "variation.symmetry=moves",
    "read_noise.fraction=1 %",
    "programming.fraction=3 %",
)
STUCK = 0.08


def hidden(folder: Path) -> None:
    """The chip, as a twin's file that the calibration does not open."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / TWIN, **save_measured(MeasuredChip(load_card("ecram").compile())))
    experiment = load_experiment(folder.parent / "experiment.yaml")
    cell, rng, arrays = load_card("ecram", overrides=HIDDEN).compile(), np.random.default_rng(4), {}
    for each in wanted_arrays(experiment):
        shape = (2, each.rows, each.cols)
        values = rng.uniform(cell.g_min, cell.g_max, shape)
        arrays[each.full] = MeasuredArray(np.where(rng.random(shape) < STUCK, values, np.nan).astype(np.float32))
    np.savez(folder / TWIN, **save_measured(MeasuredChip(cell, arrays)))


def experiment_text(changes: list[str]) -> str:
    """The experiment with other top-level keys, KEY=VALUE."""
    lines = {line.partition(":")[0]: line for line in EXPERIMENT.strip().splitlines()}
    for change in changes:
        key, _, value = change.partition("=")
        lines[key] = f"{key}: {value}"
    return "\n".join(lines.values()) + "\n"


def study(out: Path, seeds: range, changes: list[str]) -> dict[str, list[float]]:
    """Accuracy at the end, of every rule and seed."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "experiment.yaml").write_text(experiment_text(changes), encoding="utf-8")
    (out / "calibrate.yaml").write_text("schema: calibrate/1\nexperiment: experiment.yaml\n", encoding="utf-8")
    hidden(out / "hidden")
    config = load_config(out / "calibrate.yaml", CalibrateConfig)
    run = RunDirectory.create(out / "calibrated", config, name="calibrated", seed=0, own=["calibrated.yaml"])
    calibrate(config, open_chip(config), run, print)
    rules: dict[str, Any] = {
        "backpropagation through the chip": "backprop",
        "calibrated twin": {"kind": "physics_aware", "twin": str(out / "calibrated")},
        "uncalibrated twin": {"kind": "physics_aware"},
        "feedback alignment": "feedback_alignment",
    }
    found: dict[str, list[float]] = {}
    for seed in seeds:  # outside, so that a study that is cut short compares all rules on the seeds it has done
        for name, rule in rules.items():
            text = f"rule={json.dumps(rule)}"
            experiment = load_config(out / "experiment.yaml", TrainExperiment, overrides=[text])
            data = training_data(experiment.dataset, experiment.validation)
            rows = Trainer(experiment, data, seed, out / name.replace(" ", "_") / str(seed)).run()
            found.setdefault(name, []).append(float(rows[-1]["accuracy"] or 0.0))
            print(name, seed, found[name][-1], flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another top-level key of the experiment"
    )
    options = parser.parse_args()
    found = study(options.out, range(options.first, options.first + options.seeds), options.set)
    first = np.array(found["calibrated twin"])
    for name, values in found.items():
        gap = 100.0 * (first - np.array(values))
        t = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5
        print(
            f"{name}: {100 * np.mean(values):.2f} %; calibrated twin minus this {gap.mean():+.2f} points (95 % interval +-{t:.2f})"
        )
