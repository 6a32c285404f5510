"""Wires from YAML: estimates and on-chip learning see them, say so, and stay exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimate_helpers import SMALL

from analog_sim.cells.cell_model import ReadNoiseModel
from analog_sim.chip.clock import Clock
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.wires import effective_matrix
from analog_sim.writing.proposal import OuterProduct
from devices.card import load_card
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.estimation.run import estimate
from learning.experiments.training.run import train

pytestmark = pytest.mark.jit
WIRES = {"word_line": "20 ohm", "bit_line": "20 ohm", "driver": "100 ohm"}
SAID = "per segment of a word line 20 ohm, of a bit line 20 ohm, driver 100 ohm"


def test_an_estimate_sees_wires_and_says_so(tmp_path: Path) -> None:
    found = {}
    for name, wires in {"none": None, "zero": {"word_line": "0 ohm", "bit_line": "0 ohm"}, "some": WIRES}.items():
        lines: list[str] = []
        tile = {**SMALL["tile"], "wires": wires}
        dataset = {"name": "digits", "train_limit": 60, "test_limit": 40}
        change = {"tile": tile, "chips": 2, "times": ["1 s", "1 day"], "dataset": dataset, "calibration": 10}
        run = estimate(validate(SMALL | change, Experiment), out=tmp_path / name, say=lines.append, progress=False)
        assert (len(run.results.drops) > 0) == (name == "some")
        for drop in run.results.drops:
            assert 0.1 < np.abs(drop.shares).min() < np.abs(drop.shares).max() < 1.0
        found[name] = [{key: row[key] for key in row if "seconds" not in key} for row in run.results.rows]
        said = "\n".join(lines)
        assert ("no IR drop" in said) == (name != "some")
        assert (SAID in said) == (name == "some")
        assert ("programming and reads of single cells do not" in said) == (name == "some")
        assert ("correlated through the wires is left out" in said) == (name == "some")
    assert found["none"] == found["zero"]
    assert found["none"] != found["some"]


def test_cells_that_are_not_ohmic_with_a_selector_are_refused(tmp_path: Path) -> None:
    card = load_card("pcm").model_copy(update={"iv_alpha": 1.0})
    experiment = validate(SMALL | {"device": card, "tile": {"wires": WIRES | {"selector": "100 ohm"}}}, Experiment)
    with pytest.raises(UserError, match=r"tile\.wires\.selector: .*iv_alpha = 1 "):
        estimate(experiment, out=tmp_path / "run", say=lambda line: None, progress=False)


@pytest.mark.parametrize("update", ["exact", "tracked", "first_order"])
def test_products_of_every_step_of_learning(update: str) -> None:
    """Against exact solves of the cells of each step: within 5 % of what the wires change, in every step."""
    cell = replace(load_card("reram_soft_bounds").compile(), read=ReadNoiseModel())
    wires = {**WIRES, "update": update, "tolerance": 1e-6}
    tile = Tile(validate({"wires": wires}, TileSpec), cell, (20, 30), Streams(3), Clock())
    random = np.random.default_rng(4)
    tile.program((0.3 * random.standard_normal((20, 30))).astype(np.float32))
    [array] = tile.arrays
    assert array.inside is not None
    spec = tile.spec.wires
    assert spec is not None
    for _ in range(8):
        v = (0.1 * random.uniform(-1.0, 1.0, (16, 30))).astype(np.float32)
        d = (0.1 * random.uniform(-1.0, 1.0, (16, 20))).astype(np.float32)
        g = array.inside.conductance_now().astype(float)
        plus, minus = (effective_matrix(a, spec.forward(), 1e-9).matrix for a in g)
        back = [effective_matrix(np.ascontiguousarray(a.T), spec.backward(), 1e-9).matrix for a in g]
        for volts, exact, plain, transpose in (
            (v, plus - minus, g[0] - g[1], False),
            (d, back[0] - back[1], (g[0] - g[1]).T, True),
        ):
            drop = np.abs(volts @ (exact - plain)).max()
            error = np.abs(array.mvm(volts, transpose=transpose) - volts @ exact).max()
            assert error < 0.05 * drop
        tile.update(OuterProduct(v, d), 1.0)
        assert np.abs(array.inside.conductance_now() - g).max() > 0.0, "weights have changed"
    statistics = tile.writing_statistics()
    assert (statistics["wires_corrected"] > 0) == (update != "exact")
    assert statistics["wires_error"] <= (0.02 if update == "first_order" else 1e-6)
    assert (0.0 < statistics["wires_drop_error"] <= 0.02) == (update == "first_order")


def test_training_on_chip_with_wires(tmp_path: Path) -> None:
    setup = {
        "schema": "train/1",
        "dataset": {"name": "digits", "train_limit": 64, "test_limit": 20},
        "network": {"layers": ["flatten", {"kind": "linear", "units": 6}, "relu", {"kind": "linear", "units": 10}]},
        "learning_rate": 0.002,
        "batch": 16,
        "device": "reram_soft_bounds",
        "tile": {"wires": WIRES},
        "parallel": {"kind": "loky", "jobs": 1},
    }
    lines: list[str] = []
    train(validate(setup, TrainExperiment), out=tmp_path / "run", say=lines.append)
    said = "\n".join(lines)
    assert SAID in said
    assert "no IR drop" not in said
    assert "pulses reach every cell with their full voltage" in said, "the card says nothing of amplitudes"
