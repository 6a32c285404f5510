"""A lab's own instrument, described in YAML alone, is trained; its outputs go to zero when anything fails."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from analog_sim.chip.backends.replay import Replay
from analog_sim.chip.backends.visa import VisaBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fixed_arrays import FixedArrays
from analog_sim.config import UserError, load_config, validate
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.card import load_card
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.data import training_data
from learning.experiments.training.trainer import Trainer

from .foreign import SECTION, ForeignChip, foreign

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def section(port: int) -> dict[str, object]:
    return {"kind": "visa", **SECTION, "address": f"TCPIP::127.0.0.1::{port}::SOCKET"}


@pytest.fixture(autouse=True)
def _visa() -> None:
    pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed (pip install analog-hil[instruments])")


def pulses_of(chip: ForeignChip) -> int:
    """Commands that pulsed a cell."""
    return sum(":PULSE " in command for command in chip.said)


@pytest.mark.jit
def test_it_is_trained_through_yaml_alone(tmp_path: Path) -> None:
    chip = ForeignChip()
    with foreign(chip) as port:
        described = {
            "schema": "train/1",
            "dataset": {"name": "digits", "flatten": True, "train_limit": 48, "test_limit": 20},
            "network": {"layers": [{"kind": "linear", "units": 10}]},
            "rule": {"kind": "activity_node_perturbation", "sigma": 0.1},
            "device": "ecram",
            "chip": {**section(port), "record": True, "arrays": {**SECTION["arrays"], "rows": 64, "cols": 10}},
            "tile": {"writing": {"kind": "mixed_precision"}, "compensation": "none"},
            "learning_rate": 0.1,
            "batch": 16,
            "twin": None,
        }
        path = tmp_path / "lab.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(yaml.dump(_plain(described)))), encoding="utf-8")
        chip.cells = {name: np.full((64, 10), 1e-6) for name in chip.cells}
        setup = load_config(path, TrainExperiment)
        trainer = Trainer(setup, training_data(setup.dataset, setup.validation), 0, tmp_path / "run")
        before = {name: g.copy() for name, g in chip.cells.items()}
        rows = trainer.run()
        trainer.close()
        after, sent = {name: g.copy() for name, g in chip.cells.items()}, pulses_of(chip)
        again = Trainer(setup, training_data(setup.dataset, setup.validation), 0, tmp_path / "run")
        assert again.run() == rows
        again.close()
    assert pulses_of(chip) == sent, "a run that goes on sends nothing twice"
    assert all((chip.cells[name] == after[name]).all() for name in after)
    played = setup.model_copy(update={"chip": Replay(record=tmp_path / "run")})
    repeated = Trainer(played, training_data(setup.dataset, setup.validation), 0, tmp_path / "replay")
    assert repeated.run() == rows
    assert rows[-1]["pulses"]
    assert any((chip.cells[name] != before[name]).any() for name in before)
    assert any(command.startswith("CELL:SET:PULSE") for command in chip.said)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_what_fails_puts_the_outputs_to_zero_and_is_one_line() -> None:
    chip = ForeignChip()
    with foreign(chip) as port:
        backend = VisaBackend.model_validate(section(port))
        fabric = backend.fabric(load_card("ecram").compile(), Streams(0), Clock(), None)
        assert isinstance(fabric, FixedArrays)
        array = fabric.crossbar(("a",), 8, 8, pair=False)
        chip.fault = "OVERHEATED"
        with pytest.raises(UserError, match=r"OVERHEATED$"):
            array.pulse(PulseCounts(np.ones((1, 8, 8), np.int16)))
        until = time.monotonic() + 30.0
        while chip.said[-1] != "OUTPUT:ZERO" and time.monotonic() < until:
            time.sleep(0.01)  # it is told, and not asked
        assert chip.said[-1] == "OUTPUT:ZERO"
        sent = len(chip.said)
        with pytest.raises(ValueError, match=r"within \+-0.2 V"):
            array.mvm(np.ones((1, 8), np.float32))
        assert len(chip.said) == sent, "limits are kept before anything is sent"


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ({"read": "R? {row},{cell}"}, r"\{cell\} means nothing here"),
        ({"read": "R? {row"}, "braces do not match"),
        ({"read": "R?", "up": "UP"}, "give up and down"),
    ],
)
def test_a_map_that_cannot_be_is_refused(commands: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({**section(1), "commands": commands}, VisaBackend)


def test_commands_without_arrays_are_refused() -> None:
    with pytest.raises(UserError, match="give both"):
        VisaBackend(address="x", arrays=VisaBackend.model_validate(section(1)).arrays).check()
