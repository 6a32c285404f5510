"""The learning curve over the socket is that of the same sealed chip in this process, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.data import training_data
from learning.experiments.training.trainer import Trainer

BASE: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "flatten": True, "train_limit": 160, "test_limit": 100},
    "network": {"layers": [{"kind": "linear", "units": 16}, "relu", {"kind": "linear", "units": 10}]},
    "rule": {"kind": "activity_node_perturbation", "sigma": 0.1, "perturbations": 2},
    "decorrelation": {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip"},
    "device": "ecram",
    "tile": {"writing": "stochastic_pulse", "compensation": "none"},
    "matrix_tile": {"writing": "stochastic_pulse", "compensation": "none"},
    "learning_rate": 0.05,
    "batch": 16,
    "epochs": 1.0,
    "evaluate_every": 80,
    "twin": None,
}


@pytest.mark.jit
@pytest.mark.parametrize(
    "fields",
    [{}, {"rule": "backprop", "decorrelation": None, "tile": {"writing": "write_verify", "compensation": "none"}}],
    ids=["node_perturbation", "backprop_write_verify"],
)
def test_training_over_the_socket_gives_the_same_bits(tmp_path: Path, fields: dict[str, Any]) -> None:
    def trainer(chip: dict[str, Any], folder: str) -> Trainer:
        setup = validate({**BASE, **fields, "chip": chip}, TrainExperiment)
        return Trainer(setup, training_data(setup.dataset, setup.validation), 0, tmp_path / folder)

    here = trainer({"kind": "sealed", "record": False}, "here")
    rows = here.run()
    served = ServedChip(SealedFabric(EmulatedFabric(load_card("ecram").compile(), Streams(0).child("chip"), Clock())))
    with running(served) as port:
        there = trainer({"kind": "scpi", "address": f"scpi://127.0.0.1:{port}"}, "there")
        assert there.run() == rows
        assert there.clock.now == here.clock.now
        for mine, its in zip(here.network.layers, there.network.layers, strict=True):
            np.testing.assert_array_equal(mine.tile.read_weights(), its.tile.read_weights())
        there.clock._link.close()  # type: ignore[attr-defined]


@pytest.mark.jit
def test_the_record_of_a_served_run_replays_to_the_same_bits(tmp_path: Path) -> None:
    def trainer(chip: dict[str, Any], folder: str) -> Trainer:
        setup = validate({**BASE, "decorrelation": None, "matrix_tile": None, "chip": chip}, TrainExperiment)
        return Trainer(setup, training_data(setup.dataset, setup.validation), 0, tmp_path / folder)

    served = ServedChip(SealedFabric(EmulatedFabric(load_card("ecram").compile(), Streams(0).child("chip"), Clock())))
    with running(served) as port:
        section = {"kind": "scpi", "address": f"scpi://127.0.0.1:{port}", "record": True}
        there = trainer(section, "there")
        rows = there.run()
        there.close()
        there.clock._link.close()  # type: ignore[attr-defined]
        with pytest.raises(UserError, match="holds a session with a served chip"):
            trainer(section, "there")
    again = trainer({"kind": "replay", "record": str(tmp_path / "there")}, "again")
    assert again.run() == rows
    here = trainer({"kind": "sealed", "record": False}, "here")
    assert [row["accuracy"] for row in here.run()] == [row["accuracy"] for row in rows]
