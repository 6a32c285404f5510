"""What calibration is worth: `python tests/physics_aware_study.py --out DIR`; its table stands in docs/results/twins.md.

One network learns MNIST (20,000 images once) in place on five chips whose pulses are not those of the believed card: by backpropagation
through transposed reads of the chip, and forward on the chip, backward on a calibrated and on an uncalibrated twin. A seed's value is the
mean over the five chips.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
dataset: {name: mnist, flatten: true, train_limit: 20000}
network: {layers: [{kind: linear, units: 64}, relu, {kind: linear, units: 48}, relu, {kind: linear, units: 10}]}
rule: backprop
device: ecram
chip: {kind: twin, folder: hidden}
tile: {writing: mixed_precision, compensation: none, mapping: {kind: differential, sides: two}}
learning_rate: 0.1
batch: 32
epochs: 1
evaluate_every: 2000
twin: null
"""
LAST = 3
"""Evaluations at the end whose mean is the accuracy of a run."""
MOVES = "variation.symmetry=moves"
HIDDEN: dict[str, tuple[list[str], float]] = {
    "seven times coarser steps": (["pulse.states=100"], 0.0),
    "coarser steps, up more than down": (["pulse.states=200", "pulse.asymmetry=0.2", MOVES], 0.0),
    "coarser steps, up far more than down": (["pulse.states=200", "pulse.asymmetry=0.5", MOVES], 0.0),
    "coarser steps, cells differ": (["pulse.states=200", "variation.step=50 %", MOVES], 0.0),
    "all of it": (
        ["pulse.states=200", "pulse.asymmetry=0.2", MOVES, "read_noise.fraction=1 %", "programming.fraction=3 %"],
        0.08,
    ),
}
"""Chip -> how its card differs from the believed one; share of stuck cells."""
RULES = ("backpropagation through the chip", "calibrated twin", "uncalibrated twin")
Accuracies = dict[str, npt.NDArray[np.float64]]


def hidden(folder: Path, number: int) -> None:
    """A chip, as a twin's file that the calibration does not open."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / TWIN, **save_measured(MeasuredChip(load_card("ecram").compile()))
    )  # to tell which arrays there are
    experiment = load_experiment(folder.parent / "experiment.yaml")
    changes, stuck = list(HIDDEN.values())[number]
    cell, rng, arrays = load_card("ecram", overrides=changes).compile(), np.random.default_rng([4, number]), {}
    for each in wanted_arrays(experiment):
        shape = (2, each.rows, each.cols)
        values = rng.uniform(cell.g_min, cell.g_max, shape)
        arrays[each.full] = MeasuredArray(np.where(rng.random(shape) < stuck, values, np.nan).astype(np.float32))
    np.savez(folder / TWIN, **save_measured(MeasuredChip(cell, arrays)))


def experiment_text(changes: list[str]) -> str:
    """The experiment with other top-level keys, KEY=VALUE."""
    lines = {line.partition(":")[0]: line for line in EXPERIMENT.strip().splitlines()}
    for change in changes:
        key, _, value = change.partition("=")
        lines[key] = f"{key}: {value}"
    return "\n".join(lines.values()) + "\n"


def calibrated(out: Path, number: int, changes: list[str]) -> dict[str, Any]:
    """Make a hidden chip in a folder of its own and calibrate it; what is compared, by name."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "experiment.yaml").write_text(experiment_text(changes), encoding="utf-8")
    (out / "calibrate.yaml").write_text("schema: calibrate/1\nexperiment: experiment.yaml\n", encoding="utf-8")
    hidden(out / "hidden", number)
    config = load_config(out / "calibrate.yaml", CalibrateConfig)
    run = RunDirectory.create(out / "calibrated", config, name="calibrated", seed=0, own=["calibrated.yaml"])
    calibrate(config, open_chip(config), run, print)
    rules = ("backprop", {"kind": "physics_aware", "twin": str(out / "calibrated")}, {"kind": "physics_aware"})
    return dict(zip(RULES, rules, strict=True))


def study(out: Path, seeds: range, changes: list[str]) -> Accuracies:
    """Accuracy in % of every rule: (seeds, chips). Also in out/results.json."""
    found = {name: np.full((len(seeds), len(HIDDEN)), np.nan) for name in RULES}
    for number, chip in enumerate(HIDDEN):
        folder = out / f"chip{number}"
        rules = calibrated(folder, number, changes)
        for row, seed in enumerate(seeds):
            one = (
                len(HIDDEN) * seed + number
            )  # no two runs share first weights, order of the data or noise, but those compared
            for name, rule in rules.items():
                text = f"rule={json.dumps(rule)}"
                experiment = load_config(folder / "experiment.yaml", TrainExperiment, overrides=[text])
                data = training_data(experiment.dataset, experiment.validation)
                rows = Trainer(experiment, data, one, folder / name.replace(" ", "_") / str(seed)).run()
                found[name][row, number] = np.mean([100.0 * float(r["accuracy"] or 0.0) for r in rows[-LAST:]])
                print(chip, seed, name, f"{found[name][row, number]:.2f}", flush=True)
            (out / "results.json").write_text(json.dumps({k: v.tolist() for k, v in found.items()}) + "\n")
    return found


def interval(values: npt.NDArray[np.float64]) -> str:
    """Mean and 95 % Student-t interval."""
    half = stats.t.ppf(0.975, values.size - 1) * values.std(ddof=1) / values.size**0.5
    return f"{values.mean():+.2f} +- {half:.2f}"


def tell(found: Accuracies) -> None:
    """Print the tables of the page."""
    for number, chip in enumerate(HIDDEN):
        means = [f"{found[name][:, number].mean():.2f}" for name in RULES]
        gaps = found[RULES[1]][:, number] - found[RULES[2]][:, number]
        print(f"| {chip} | {' | '.join(means)} | {', '.join(f'{gap:+.2f}' for gap in gaps)} |")
    for other in (RULES[0], RULES[2]):
        gap = found[RULES[1]] - found[other]
        seeds = gap.mean(axis=1)
        print(f"calibrated twin minus {other}, by seed: {', '.join(f'{g:+.2f}' for g in seeds)}")
        print(f"  {interval(seeds)} ({len(seeds)} seeds); {interval(gap.ravel())} ({gap.size} pairs)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another top-level key of the experiment"
    )
    options = parser.parse_args()
    tell(study(options.out, range(options.first, options.first + options.seeds), options.set))
