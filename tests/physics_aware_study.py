"""What calibration is worth: `python tests/physics_aware_study.py --out DIR`; its table stands in docs/results/twins.md.

One network learns MNIST (20,000 images) in place on a chip whose pulses are not those of the believed card, with stuck cells: by
backpropagation through transposed reads of the chip, and forward on the chip, backward on a calibrated and on an uncalibrated twin.
Every way back has a learning rate of its own, chosen on seeds that are not those of the table (`--search`), but the calibrated twin, which
has that of backpropagation.
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
dataset: {name: mnist, flatten: true, train_limit: 20000, test_limit: 10000}
network:
  layers: [{kind: linear, units: 64}, relu, {kind: linear, units: 48}, relu, {kind: linear, units: 32}, relu, {kind: linear, units: 10}]
rule: backprop
device: ecram
chip: {kind: twin, folder: hidden}
tile: {writing: mixed_precision, compensation: none, mapping: {kind: differential, sides: two}}
learning_rate: 0.05
schedule: linear
batch: 32
epochs: 2
evaluate_every: null
twin: null
"""
HIDDEN = (
    "pulse.states=200",
    "pulse.asymmetry=0.2",
    "variation.symmetry=moves",
    "read_noise.fraction=1 %",
    "programming.fraction=3 %",
)
STUCK = 0.15

CHIP, CALIBRATED, UNCALIBRATED, RANDOM = (
    "backpropagation through the chip",
    "calibrated twin",
    "uncalibrated twin",
    "feedback alignment",
)
RATES = {CHIP: 0.05, CALIBRATED: 0.05, UNCALIBRATED: 0.02, RANDOM: 0.05}
SEARCHED, SEARCH_SEEDS = (0.02, 0.03, 0.05, 0.1), range(10, 14)


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


def rules(out: Path) -> dict[str, Any]:
    """Ways back of the error, as a file of a training has them."""
    return {
        CHIP: "backprop",
        CALIBRATED: {"kind": "physics_aware", "twin": str(out / "calibrated")},
        UNCALIBRATED: {"kind": "physics_aware"},
        RANDOM: "feedback_alignment",
    }


def prepare(out: Path) -> None:
    """Make the hidden chip and calibrate it."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (out / "calibrate.yaml").write_text("schema: calibrate/1\nexperiment: experiment.yaml\n", encoding="utf-8")
    hidden(out / "hidden")
    config = load_config(out / "calibrate.yaml", CalibrateConfig)
    run = RunDirectory.create(out / "calibrated", config, name="calibrated", seed=0, own=["calibrated.yaml"])
    calibrate(config, open_chip(config), run, print)


def trained(out: Path, name: str, rate: float, seed: int) -> float:
    """Accuracy at the end."""
    changes = [f"rule={json.dumps(rules(out)[name])}", f"learning_rate={rate}"]
    experiment = load_config(out / "experiment.yaml", TrainExperiment, overrides=changes)
    data = training_data(experiment.dataset, experiment.validation)
    rows = Trainer(experiment, data, seed, out / name.replace(" ", "_") / f"{rate:g}" / str(seed)).run()
    accuracy = float(rows[-1]["accuracy"] or 0.0)
    print(name, rate, seed, accuracy, flush=True)
    return accuracy


def study(out: Path, seeds: range) -> dict[str, list[float]]:
    """Accuracy at the end, of every way back and seed; of the uncalibrated twin also at the rate of the others."""
    found: dict[str, list[float]] = {}
    arms = {
        **{name: (name, rate) for name, rate in RATES.items()},
        f"{UNCALIBRATED}, same rate": (UNCALIBRATED, RATES[CHIP]),
    }
    for seed in seeds:  # outside, so that a study that is cut short compares all on the seeds it has done
        for label, (name, rate) in arms.items():
            found.setdefault(label, []).append(trained(out, name, rate, seed))
    return found


def search(out: Path) -> None:
    """Print what each rate gives on other seeds."""
    for name in (CHIP, UNCALIBRATED, RANDOM):
        for rate in SEARCHED:
            mean = np.mean([trained(out, name, rate, seed) for seed in SEARCH_SEEDS])
            print(f"{name}, rate {rate:g}: {100 * mean:.2f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--search", action="store_true", help="the rates on other seeds, instead of the table")
    options = parser.parse_args()
    prepare(options.out)
    if options.search:
        search(options.out)
        raise SystemExit
    found = study(options.out, range(options.seeds))
    first = np.array(found[CALIBRATED])
    for name, values in found.items():
        gap = 100.0 * (first - np.array(values))
        t = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5
        print(
            f"{name}: {100 * np.mean(values):.2f} %; calibrated twin minus this {gap.mean():+.2f} points (95 % interval +-{t:.2f})"
        )
