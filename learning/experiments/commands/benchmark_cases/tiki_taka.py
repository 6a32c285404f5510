"""Tiki-Taka and its successors at work: batches of configs/mnist_tiki_taka.yaml, whole training steps without evaluation.

A call trains on the next `BATCHES` batches of 64 images. `ns_per_sample` times 20,000 is a pass over the images of that file; for
IBM's aihwkit beside it see `tests/tiki_taka_peer.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from analog_sim.config import load_config
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.configs.train import TrainExperiment, arms_of
from learning.experiments.training.data import training_data
from learning.experiments.training.trainer import Trainer

BATCHES = 50
CONFIG = Path(__file__).parents[2] / "configs" / "mnist_tiki_taka.yaml"


def cases() -> Iterator[Case]:
    """Yield one case for each arm of the file, on its first seed."""
    experiment = load_config(CONFIG, TrainExperiment)
    data = training_data(experiment.dataset, 0)
    for name, arm in arms_of(experiment.model_copy(update={"epochs": 1000.0})).items():
        with tempfile.TemporaryDirectory() as folder:  # only an evaluation would write there
            trainer = Trainer(arm, data, experiment.seeds[0], Path(folder))

        def ours(trainer: Trainer = trainer) -> None:
            for _ in range(BATCHES):
                trainer.step()

        ours()
        sample = {"sample": float(BATCHES * arm.batch)}
        yield Case(
            f"tiki_taka/{name}", data.x.shape[-1] ** 2, arm.batch, ours, None, "none", per_call=sample, threads=("one",)
        )
