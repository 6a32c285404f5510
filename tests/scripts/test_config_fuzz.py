"""Mutated configurations of every schema: each is refused, a line a mistake, or means what it says. No traceback, hang or silent nonsense.

Nonsense is a file that `scripts/check_config.py` calls OK although

1. a value was changed and what is loaded is what it was before: a key that is swallowed;
2. a number that was loaded is not finite;
3. the chip of the experiment, or cells of the card, cannot be made, programmed, left alone for a day, read and written;
4. what these give is not finite, or a conductance is outside 0 to 1 S;

and a refusal that names no place, has more lines than mistakes, or a line of more than 1500 characters.

What cannot be seen is not nonsense: another number within its bounds, a missing line that has a default, another name.
`ANALOG_HIL_FUZZ=300` tries 300 files, seeds 0 to 299; the suite tries the first 48. `ANALOG_HIL_FUZZ_FIRST=5000` begins
with seed 5000. A hang is a minute of processor time.
"""

import importlib
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from config_mutations import MODELS, Base, bases, extreme, holder, mutated
from fuzz_helpers import fuzz_seeds
from hang_helpers import no_hang
from pydantic import BaseModel

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import Problem, UserError, load_config, validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import OuterProduct
from devices.card import DeviceCard
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.studies import variants
from learning.experiments.training.chip import build
from learning.experiments.training.data import training_data
from learning.experiments.training.load import load_training
from learning.experiments.training.run import plan

LONGEST = 60
LONGEST_LINE = 1500
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[Base]:
    return bases(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return importlib.import_module("learning.experiments.commands.check")


def checked(script: ModuleType, path: Path) -> str:
    """What check_config.py says of a file: "" when it is OK, else its lines. Rules of refusals."""
    problems: tuple[Problem, ...] = ()
    told = ""
    try:
        script.main([str(path)])
    except UserError as error:
        told, problems = str(error), getattr(error, "problems", ())
    lines = told.splitlines()
    assert len(lines) == len(problems), f"names no place, or says more than it found: {told}"
    assert all(problem.where.source and problem.message for problem in problems)
    assert all(len(line) <= LONGEST_LINE for line in lines)
    return told


def numbers(value: Any) -> Iterator[float]:
    """All numbers of a model."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float):
        yield float(value)


def cells_work(cell: CellModel) -> None:
    """Rules 3 and 4 for the cells of a card."""
    array = EmulatedCrossbar(cell, 4, 4, pair=False, streams=Streams(1), clock=Clock())
    g = np.linspace(cell.g_min, cell.g_max, 16, dtype=np.float32).reshape(1, 4, 4)
    array.program(g)
    array.wait(86400.0)
    read = array.mvm(np.full((1, 4), 0.1 * cell.cost.v_read, np.float32))
    assert np.isfinite(read).all()
    now = array.conductance_now()
    assert np.isfinite(now).all()
    assert ((now >= 0) & (now <= 1)).all()


def tile_works(spec: TileSpec, cell: CellModel) -> None:
    """Rules 3 and 4 for a tile."""
    tile = Tile(spec.model_copy(update={"fault_map": None}), cell, (3, 5), Streams(2))
    x = np.linspace(-1.0, 1.0, 10, dtype=np.float32).reshape(2, 5)
    tile.program(np.linspace(-0.5, 0.5, 15, dtype=np.float32).reshape(3, 5))
    tile.calibrate(x)
    tile.wait(86400.0)
    tile.compensate()
    assert np.isfinite(tile.forward(x)).all()
    assert np.isfinite(tile.backward(np.ones((2, 3), np.float32))).all()


def works(experiment: Any, path: Path) -> None:
    """Rules 3 and 4 for what was loaded."""
    if isinstance(experiment, DeviceCard):
        cells_work(experiment.compile())
    elif isinstance(experiment, Experiment):
        for variant in variants(experiment):
            tile_works(variant.hardware.tile, variant.hardware.cell)
    elif isinstance(experiment, TrainExperiment):
        arms = plan(load_training(path)[0]).arms
        data = training_data(experiment.dataset, experiment.validation)
        for setup in list(arms.values())[-2:]:
            network = build(setup, data, 0).network
            for _, tile in network.tiles():
                if not setup.calibrates:
                    tile.calibrate(np.zeros((1, tile.shape[1]), np.float32))
                x = np.full((2, tile.shape[1]), 0.1, np.float32)
                tile.update(
                    OuterProduct(x, np.full((2, tile.shape[0]), 0.01, np.float32)), min(setup.learning_rate, 1.0)
                )
                assert np.isfinite(tile.forward(x)).all()


def swallowed(base: Base, done: str, tree: dict[str, Any], loaded: BaseModel) -> bool:
    """Rule 1: whether one value was replaced by another and nothing came of it."""
    how, _, place = done.partition(" ")
    if ", " in done or how not in ("replaced", "moved") or place.startswith("sweep"):
        return False
    path = tuple(int(part) if part.isdecimal() else part for part in place.split("."))
    try:
        old, new = holder(base.tree, path)[path[-1]], holder(tree, path)[path[-1]]
    except (KeyError, IndexError, TypeError):
        return False  # a key with dots
    before = {key: value for key, value in base.tree.items() if key != "sweep"}
    same = old == new or repr(old) == repr(new) or (nought(old) and nought(new)) or shorter(old, new)
    return not same and new is not None and loaded == validate(before, MODELS[base.schema])


def shorter(old: Any, new: Any) -> bool:
    """Whether a section gave way to a shorter way of writing its defaults: nothing at all, or its kind alone."""
    return isinstance(old, dict) and new in ({}, old.get("kind"))


def nought(value: Any) -> bool:
    """Whether a value is zero, of whatever unit."""
    return re.fullmatch(r"0(\.0*)?( .*)?", str(value)) is not None


def test_the_sound_files_are_ok(script: ModuleType, sound: list[Base], tmp_path: Path) -> None:
    for number, base in enumerate(sound):
        if base.schema == "card/1" and number % 4:
            continue
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(base.tree, sort_keys=False))
        assert checked(script, path) == ""
        works(load_config(path, MODELS[base.schema]), path)


@pytest.mark.parametrize("seed", fuzz_seeds(48))
def test_a_mutated_configuration(
    seed: int, script: ModuleType, sound: list[Base], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base, done, data, tree = mutated(seed, sound)
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with no_hang(LONGEST), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if checked(script, path):
            return
        found, model = script.schema_of(path, [])
        loaded = load_config(path, model)
        assert all(map(math.isfinite, numbers(loaded))), f"rule 2: {done}"
        works(loaded, path)
    if tree is not None and found == base.schema:
        assert not swallowed(base, done, tree, loaded), f"rule 1: {done}"


@pytest.mark.parametrize("seed", fuzz_seeds(48))
def test_an_extreme_number(
    seed: int, script: ModuleType, sound: list[Base], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, or the chip and its cells work with it: rules 2 to 4."""
    monkeypatch.chdir(tmp_path)
    _, done, tree = extreme(seed, sound)
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    with no_hang(LONGEST), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if checked(script, path):
            return
        loaded = load_config(path, script.schema_of(path, [])[1])
        assert all(map(math.isfinite, numbers(loaded))), f"rule 2: {done}"
        works(loaded, path)
