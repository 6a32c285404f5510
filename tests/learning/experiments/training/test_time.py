"""Time while learning: waiting changes what is learned, and learning makes up for what time does to the cells."""

from pathlib import Path
from typing import Any

import pytest

from analog_sim.config import UserError, validate
from learning.experiments.configs.train import TrainExperiment, twin_of
from learning.experiments.training.chip import check
from learning.experiments.training.data import training_data
from learning.experiments.training.trainer import Trainer

RELAXATION = {"kind": "relaxation", "std": ["0.5 uS"], "reference_g_max": "11 uS", "t_0": "1 s"}
DIGITS: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits"},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 32}, "relu", {"kind": "linear", "units": 10}]},
    "rule": "backprop",
    "learning_rate": 0.1,
    "batch": 16,
    "epochs": 4,
    "tile": {"writing": {"kind": "mixed_precision", "threshold": 8}},
    "device": {"base": "ecram", "drift": RELAXATION},
}


def experiment(**changes: Any) -> TrainExperiment:
    return validate({**DIGITS, **changes}, TrainExperiment)


def end(folder: Path, **changes: Any) -> dict[str, float]:
    """The last row of a short training on cells that relax after every write."""
    setup = experiment(**changes)
    last = Trainer(setup, training_data(setup.dataset, 0), 0, folder).run()[-1]
    return {name: float(last[name] or 0) for name in ("accuracy", "chip_time_s", "pulses")}


@pytest.mark.jit
def test_learning_makes_up_for_relaxation(tmp_path: Path) -> None:
    """A network that learns on relaxing cells beats one that learned at once and was left alone for as long."""
    at_once = end(tmp_path / "0")
    learned = end(tmp_path / "1", idle_per_batch="100 s")
    left_alone = end(tmp_path / "2", idle_per_batch="100 s", idle_at_end=True)
    assert left_alone["chip_time_s"] == pytest.approx(learned["chip_time_s"], rel=1e-6)
    assert left_alone["pulses"] == at_once["pulses"]
    assert learned["pulses"] > at_once["pulses"]
    assert at_once["accuracy"] > learned["accuracy"] + 0.05
    assert learned["accuracy"] > left_alone["accuracy"] + 0.2


def test_the_twin_has_no_chip_to_wait_for() -> None:
    assert twin_of(experiment(idle_per_batch="1 s", idle_at_end=True)) == twin_of(experiment(device=None))


def test_more_idle_time_than_a_clock_can_run_is_refused_before_a_chip_is_made() -> None:
    """1,201 samples in batches of 16, four epochs: 300 batches, each of which may wait so long."""
    setup = experiment(idle_per_batch="1e11 s", idle_at_end=True)
    with pytest.raises(
        UserError, match=r"^idle_per_batch: 1e\+11 s after every batch are 3e\+13 s in all; allowed: up to 1e\+12 s$"
    ):
        check(setup, training_data(setup.dataset, 0))
