"""What a record costs: training steps on a sealed chip that is recorded against the same steps on one that is not.

MNIST, 784-256-10, backpropagation by stochastic pulses, batches of 64, as in `train_epoch`. `--threads one --clock cpu` times the training
thread, which is what a step takes where a core is left for the thread that compresses; `all_threads` is the processor time of both
together, for a machine whose cores are all at work.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from analog_sim.chip.backend import RECORD
from analog_sim.chip.backends.sealed import Sealed
from learning.experiments.commands.benchmark_cases._case import Case
from learning.experiments.commands.benchmark_cases.train_epoch import (
    BATCH,
    SEED,
    STOCHASTIC,
    mnist_data,
    training_experiment,
)
from learning.experiments.training.trainer import Trainer

BATCHES = 30
AFTER = 130
"""Steps before the first that counts: converters are calibrated often at the start, and trains are short."""


def cases() -> Iterator[Case]:
    """Yield one case."""
    data, folder = mnist_data(), Path(tempfile.mkdtemp())
    trainers = []
    for name, record in (("recorded", True), ("plain", False)):
        experiment = training_experiment("reram_soft_bounds", STOCHASTIC).model_copy(
            update={"chip": Sealed(record=record)}
        )
        (folder / name).mkdir()
        trainers.append(Trainer(experiment, data, SEED, folder / name))
    recorded, plain = trainers

    def steps(trainer: Trainer, count: int = BATCHES) -> None:
        for _ in range(count):
            trainer.step()

    for trainer in trainers:
        steps(trainer, AFTER)
    ratios, file = [], folder / "recorded" / RECORD
    assert recorded.record is not None
    before, taken = file.stat().st_size, {}
    for _ in range(3):
        for trainer in trainers:
            start = time.process_time()
            steps(trainer)
            recorded.record.sync()
            taken[trainer] = time.process_time() - start
        ratios.append(taken[recorded] / taken[plain])
    facts = {"kB_per_step": (file.stat().st_size - before) / (3e3 * BATCHES), "all_threads": sorted(ratios)[1]}
    yield Case(
        "record/784-256-10",
        data.x.shape[1],
        BATCH,
        ours=lambda: steps(recorded),
        reference=lambda: steps(plain),
        reference_name="the same sealed chip without a record",
        per_call={"step": BATCHES},
        facts=facts,
        threads=("one",),
    )
    recorded.close()
    shutil.rmtree(folder)
