"""In-situ training against torch: batches of an MNIST epoch, 784-256-10, on soft-bounds ReRAM against the same network in plain torch.

Every call of either side trains on the next `BATCHES` batches of 64 images, the same images in the same order: a whole training step,
from picking the images to the written weights. On the chip: DAC 8 bits, ADC 9 bits, read noise, pulses, calibration as configured;
no evaluation on either side. `--card NAME` takes another device card.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.data import Order, TrainData, training_data
from learning.experiments.training.trainer import Trainer

BATCH, BATCHES, UNITS = 64, 50, 256
SEED = 0
STOCHASTIC: dict[str, Any] = {"rule": "backprop", "learning_rate": 0.4, "tile.writing": "stochastic_pulse"}
"""Backpropagation through transposed reads, coincidences of bit streams (BL up to 31); reaches 93.6 % after a quarter of an epoch."""
PERTURBED: dict[str, Any] = {
    "rule": {"kind": "activity_node_perturbation", "sigma": 0.1, "perturbations": 4},
    "learning_rate": 0.1,
    "decorrelation": {"method": {"kind": "natural", "rate": 1e-4}, "where": "chip", "identity": "bypass"},
    "tile.writing": "mixed_precision",
}
"""As the arm "ANP decorrelated" on this card there."""
MANY = 32
"""Perturbations of the last case: a tile reads all copies of a batch as rows of a few reads, so they cost less than eight times as much."""
MANY_PERTURBED: dict[str, Any] = {**PERTURBED, "rule": {**PERTURBED["rule"], "perturbations": MANY}}


def cases(card: str | None = None) -> Iterator[Case]:
    """Yield backpropagation with stochastic pulses, then decorrelated node perturbation with mixed precision, then the same with `MANY`."""
    data = mnist_data()
    name = f"train_epoch/{card or 'soft_bounds'}"
    choices = (("", STOCHASTIC), ("_node_perturbation", PERTURBED), (f"_node_perturbation_{MANY}", MANY_PERTURBED))
    for suffix, choice in choices:
        yield _case(name + suffix, training_experiment(card or "reram_soft_bounds", choice), data)


def training_experiment(card: str, choice: dict[str, Any]) -> TrainExperiment:
    """The experiment on a card; choice: keys of it, `tile.` before those of the tile."""
    document: dict[str, Any] = {
        "dataset": {"name": "mnist", "flatten": True},
        "network": {"layers": [{"kind": "linear", "units": UNITS}, "relu", {"kind": "linear", "units": 10}]},
        "batch": BATCH,
        "epochs": 1000,  # the benchmark decides when to stop
        "schedule": "constant",
        "device": card,
        "tile": {
            "dac": {"bits": 8},
            "adc": {"bits": 9},
            **{k.removeprefix("tile."): v for k, v in choice.items() if "." in k},
        },
        "twin": None,
    }
    return validate({**document, **{key: value for key, value in choice.items() if "." not in key}}, TrainExperiment)


def _case(name: str, experiment: TrainExperiment, data: TrainData) -> Case:
    with tempfile.TemporaryDirectory() as folder:  # only an evaluation would write there
        trainer = Trainer(experiment, data, SEED, Path(folder))

    def ours() -> None:
        for _ in range(BATCHES):
            trainer.step()

    ours()
    pulses = [tile.costs().pulses / (tile.shape[0] * tile.shape[1]) for _, tile in trainer.network.tiles()]
    return Case(
        name,
        data.x.shape[1],
        BATCH,
        ours=ours,
        reference=_torch(data, experiment.learning_rate),
        reference_name="torch: the same network, batches and rate; cross_entropy, backward, SGD",
        per_call={"sample": BATCH * BATCHES},
        facts={
            "batches": BATCHES,
            "data": data.note or "MNIST",
            "pulses_per_weight_and_sample": max(pulses) / (BATCH * BATCHES),
        },
    )


def _torch(data: TrainData, rate: float) -> Callable[[], None]:
    """Plain torch on the next `BATCHES` batches at every call."""
    model = torch.nn.Sequential(
        torch.nn.Linear(data.x.shape[1], UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, len(data.classes))
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    order, done = Order(Streams(SEED), len(data.x), BATCH), 0

    def train() -> None:
        nonlocal done
        for number in range(done, done + BATCHES):
            index = torch.from_numpy(order[number])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
        done += BATCHES

    return train


def mnist_data() -> TrainData:
    """MNIST, or made-up images of its shape and sparsity, which is said."""
    try:
        return training_data(training_experiment("ideal", STOCHASTIC).dataset, 0)
    except UserError as error:
        print(f"train_epoch: MNIST is not at hand ({error}); training on made-up images instead", file=sys.stderr)
    stream = Streams(SEED).stream("images")
    x = np.maximum(stream.uniforms((BATCH * BATCHES * 20, 784)) * np.float32(5.0) - np.float32(4.0), np.float32(0.0))
    y = stream.integers(0, 10, len(x))
    return TrainData(x, y, x[:100], y[:100], tuple("0123456789"), "made-up images, not MNIST")
