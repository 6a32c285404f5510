"""The learning curve over the socket is that of the same sealed chip in this process, to the bit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.backend import RECORD
from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.record.frames import read_frames
from analog_sim.chip.record.operations import Request
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import estimate
from learning.experiments.training.data import training_data
from learning.experiments.training.run import train
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
        there.clock.link.close()  # type: ignore[attr-defined]
    again = trainer({"kind": "replay", "record": str(tmp_path / "there")}, "again")
    assert again.run() == rows
    here = trainer({"kind": "sealed", "record": False}, "here")
    assert [row["accuracy"] for row in here.run()] == [row["accuracy"] for row in rows]


@pytest.mark.jit
@pytest.mark.parametrize(("where", "lost"), [("between", 0), ("within", 0), ("within", 1), ("within", 20)])
def test_a_served_run_that_was_killed_goes_on(tmp_path: Path, where: str, lost: int) -> None:
    """Killed after its first checkpoint, between batches or within an update of two arrays, with the last operations not yet written."""

    def trainer(port: int, folder: str) -> Trainer:
        section = {"kind": "scpi", "address": f"scpi://127.0.0.1:{port}", "record": True, "timeout": 600.0}
        setup = validate({**BASE, "chip": section}, TrainExperiment)
        return Trainer(setup, training_data(setup.dataset, setup.validation), 0, tmp_path / folder)

    def end(it: Trainer) -> tuple[list[dict[str, Any]], float, list[np.ndarray]]:
        found = it.run(), it.clock.now, [layer.tile.read_weights() for layer in it.network.layers]
        it.close()
        it.clock.link.close()  # type: ignore[attr-defined]
        return found

    def served() -> ServedChip:
        cells = EmulatedFabric(load_card("ecram").compile(), Streams(0).child("chip"), Clock())
        chip = ServedChip(SealedFabric(cells))
        other = chip.define("before", 1, 1, False, 0)  # the chip is not new
        chip.do(other, Request("before", "wait", {"seconds": 0.125}))
        return chip

    with running(served()) as port:
        whole = end(trainer(port, "whole"))
    chip = served()
    with running(chip) as port:
        it = trainer(port, "killed")
        tile, count = it.network.layers[1].tile, 0
        update = tile.update

        def killed(*arguments: Any) -> None:
            nonlocal count
            count += 1
            if count == 8:
                raise KeyboardInterrupt
            update(*arguments)

        if where == "within":
            tile.update = killed  # type: ignore[method-assign]
        with contextlib.suppress(KeyboardInterrupt):
            while it.done < 7:
                if it.done in (0, 5):
                    it._evaluate()
                it.step()
        it.close()
        it.clock.link.close()  # type: ignore[attr-defined]
        record = tmp_path / "killed" / RECORD
        ends = [place for _, _, place in read_frames(record)]
        with record.open("r+b") as file:
            file.truncate(ends[-1 - lost])
        again = trainer(port, "killed")
        assert again.done == 5
        rows, now, weights = end(again)
    assert rows == whole[0]
    assert now == whole[1]
    for mine, its in zip(weights, whole[2], strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_run_does_not_go_on_with_another_chip_or_after_others(tmp_path: Path) -> None:
    cell, path = load_card("ecram").compile(), tmp_path

    def work(chip: ServedChip, times: int) -> None:
        with running(chip) as port:
            backend = Scpi(address=f"scpi://127.0.0.1:{port}", record=True)
            fabric = backend.fabric(cell, Streams(0), Clock(), path)
            array = fabric.crossbar(("w",), 2, 2, pair=True)
            try:
                for k in range(times):
                    array.mvm(np.full((1, 2), 0.01 * k, np.float32))
            finally:
                assert fabric.record is not None
                fabric.record.close()
                fabric.clock.link.close()  # type: ignore[attr-defined]

    chip = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(0), Clock())))
    work(chip, 3)
    work(chip, 4)
    with running(chip) as port:
        fabric = Scpi(address=f"scpi://127.0.0.1:{port}", record=True).fabric(cell, Streams(0), Clock(), path)
        with pytest.raises(UserError, match="asked: wait on 'w'"):
            fabric.crossbar(("w",), 2, 2, pair=True).wait(1.0)
        fabric.record.close()  # type: ignore[union-attr]
        fabric.clock.link.close()  # type: ignore[attr-defined]
    chip.do(chip.arrays['["w"]'], Request('["w"]', "wait", {"seconds": 1.0}))
    with pytest.raises(UserError, match=r"operation 4 was another one: wait on"):
        work(chip, 5)
    anew = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(0), Clock())))
    with pytest.raises(UserError, match="started anew without its journal"):
        work(anew, 4)


@pytest.mark.jit
def test_all_arms_and_chips_of_a_run_use_a_served_chip_one_after_the_other(tmp_path: Path) -> None:
    """Each ends its connection, or the next would not get the writer's place; and none runs in a worker beside another."""
    served = ServedChip(SealedFabric(EmulatedFabric(load_card("ecram").compile(), Streams(0).child("chip"), Clock())))
    with running(served) as port:
        chip = {"kind": "scpi", "address": f"scpi://127.0.0.1:{port}"}
        arms = [{"name": name, "set": {"learning_rate": rate}} for name, rate in (("slow", 0.01), ("fast", 0.05))]
        plain = {"decorrelation": None, "matrix_tile": None, "arms": arms, "parallel": {"kind": "loky", "jobs": 2}}
        outcome = train(validate({**BASE, **plain, "chip": chip}, TrainExperiment), out=tmp_path / "arms", say=print)
        assert len([row for row in outcome.results.curves if row["samples"] == 160]) == 2
        network = {"layers": [{"kind": "linear", "units": 10}]}
        data = {"name": "digits", "flatten": True, "train_limit": 160, "test_limit": 100}
        fields = {
            "dataset": data,
            "network": network,
            "training": {"epochs": 2},
            "device": "ecram",
            "chip": chip,
            "chips": 2,
        }
        found = estimate(
            validate({**fields, "times": [0.0], "parallel": {"jobs": 2}}, Experiment), out=tmp_path / "estimate"
        )
        assert len(found.results.rows) == 2


def test_a_chip_that_does_not_answer_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    """Before, the digital twin was trained first."""
    said: list[str] = []
    chip = {"kind": "scpi", "address": "scpi://127.0.0.1:1"}
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1"):
        train(validate({**BASE, "twin": {}, "chip": chip}, TrainExperiment), out=tmp_path / "run", say=said.append)
    assert said == []
