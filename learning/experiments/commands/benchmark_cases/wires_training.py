"""On-chip learning under wires, MNIST 784-256-10, against the same learning without wires; and the error of its products.

Every call of either side trains on the next `BATCHES` batches of 64 images; backpropagation, stochastic pulses, soft-bounds ReRAM, 1 ohm
per segment, matrices corrected to first order. `within` is the share of sampled steps in which the products of the first layer, forward
with the images and back with random errors, are off by less than 5 % of the IR drop (rms over the outputs), `error_95` the 95 % quantile
of that error, both against a solve to 1e-9 for every sampled input with the cells of that step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from analog_sim.chip.crossbar import Crossbar
from analog_sim.wires import WiresSpec, currents, factored
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.commands.benchmark_cases.train_epoch import SEED, STOCHASTIC, mnist_data, training_experiment
from learning.experiments.commands.benchmark_cases.wires import Later
from learning.experiments.training.data import TrainData
from learning.experiments.training.trainer import Trainer

BATCHES, SAMPLED, INPUTS = 20, 20, 3
LARGEST_ERROR = 0.05
WIRES = {"word_line": 1.0, "bit_line": 1.0, "update": "first_order"}


def cases() -> Iterator[Case]:
    """Yield learning with `first_order` updates at 1 ohm."""
    data = mnist_data()
    wired, plain = (_trainer(wires, data) for wires in (WIRES, None))
    yield Case(
        "wires_training/first_order",
        data.x.shape[1],
        BATCHES,
        ours=lambda: _train(wired),
        reference=lambda: _train(plain),
        reference_name="the same without wires",
        facts=Later(lambda: _errors(wired, data)),
    )


def _trainer(wires: dict[str, object] | None, data: TrainData) -> Trainer:
    experiment = training_experiment("reram_soft_bounds", {**STOCHASTIC, "tile.wires": wires})
    with tempfile.TemporaryDirectory() as folder:  # only an evaluation would write there
        return Trainer(experiment, data, SEED, Path(folder))


def _train(trainer: Trainer) -> None:
    for _ in range(BATCHES):
        trainer.step()


def _errors(trainer: Trainer, data: TrainData) -> dict[str, object]:
    """Train on for SAMPLED steps and solve some inputs with the cells of each."""
    random, found = np.random.default_rng(1), []
    spec = WiresSpec.model_validate(WIRES)
    tile = next(tile for _, tile in trainer.network.tiles())
    for _ in range(SAMPLED):
        trainer.step()
        images = data.x[random.choice(len(data.x), INPUTS)]
        worst = 0.0
        for block in tile.blocks:
            volts = images[:, block.rows] / np.abs(images).max() * 0.2
            back = random.normal(0.0, 0.05, (INPUTS, block.cols.stop - block.cols.start))
            for array in block.arrays:
                worst = max(
                    worst, _error(array, spec, volts, transpose=False), _error(array, spec, back, transpose=True)
                )
        found.append(worst)
    return {
        "ohm": WIRES["word_line"],
        "error_95": float(np.quantile(found, 0.95)),
        "error_median": float(np.median(found)),
        "within": float(np.mean(np.array(found) < LARGEST_ERROR)),
        "sampled": SAMPLED,
    }


def _error(array: Crossbar, spec: WiresSpec, v: np.ndarray, *, transpose: bool) -> float:
    """Rms error of the currents over the rms of what the wires take of them."""
    assert array.inside is not None
    topology = spec.backward() if transpose else spec.forward()
    planes = [np.ascontiguousarray(g.T if transpose else g, np.float64) for g in array.inside.conductance_now()]
    exact = np.zeros((len(v), planes[0].shape[1]))
    for sign, g in zip((1.0, -1.0), planes, strict=False):
        exact += sign * currents(factored(g, topology), v, 1e-9)
    ideal = v @ (planes[0] - planes[1] if len(planes) == 2 else planes[0])
    wrong = array.inside.currents_now(v.astype(np.float32), transpose=transpose) - exact
    return float(np.sqrt(np.square(wrong).mean() / np.square(exact - ideal).mean()))
