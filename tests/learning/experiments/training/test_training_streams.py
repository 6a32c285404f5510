"""Every tile, rule and matrix of a run draws from streams of its own, and a resumed run goes on where each of them stood."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stream_helpers import names, positions

from analog_sim.config import validate
from devices.card import load_card
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.training.chip import build
from learning.experiments.training.data import Order, training_data
from learning.experiments.training.trainer import Trainer

SMALL: dict[str, Any] = {
    "schema": "train/1",
    "dataset": {"name": "digits", "train_limit": 64, "test_limit": 50},
    "network": {"layers": ["flatten", {"kind": "linear", "units": 10}, "relu", {"kind": "linear", "units": 10}]},
    "rule": {"kind": "activity_node_perturbation", "sigma": 0.01},
    "decorrelation": {"method": {"kind": "natural", "rate": 1e-3}, "where": "chip", "samples": 6},
    "tile": {"writing": "tiki_taka_chopped", "adc": {"bits": 9, "noise": 0.01}, "compensation": "global"},
    "learning_rate": 0.05,
    "batch": 8,
    "epochs": 1,
    "compensate_every": 3,
    "calibrate_every": 2,
}


def experiment(card: str, **changes: Any) -> TrainExperiment:
    return validate({**SMALL, **changes}, TrainExperiment).model_copy(update={"device": load_card(card)})


def test_no_two_tiles_of_a_chip_share_a_stream() -> None:
    """Two layers of one shape: with one stream for all, they would be the same cells and the same errors."""
    layers = ["flatten", *({"kind": "linear", "units": 64},) * 3, {"kind": "linear", "units": 10}]
    setup = experiment("reram_soft_bounds", network={"layers": layers})
    network = build(setup, training_data(setup.dataset, 0), 0).network
    found = positions(network)  # says which two are the same
    assert len(found) > 3 * 6
    windows = [tile.blocks[0].crossbar.cells.hi.tobytes() for _, tile in network.tiles() if tile.shape == (64, 64)]
    assert len(windows) > 2
    assert len(set(windows)) == len(windows)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("card", "writing"),
    [("reram_soft_bounds", "tiki_taka_chopped"), ("pcm_accumulate", {"kind": "mixed_precision", "pair": "one_sided"})],
)
def test_a_resumed_run_forgets_no_stream_and_no_reference(card: str, writing: Any, tmp_path: Path) -> None:
    setup = experiment(card, tile=SMALL["tile"] | {"writing": writing}, idle_per_batch="1 h", evaluate_every=32)
    data = training_data(setup.dataset, 0)
    first = Trainer(setup, data, 0, tmp_path)
    first.run()
    resumed = Trainer(setup, data, 0, tmp_path)
    assert resumed.done == first.total
    drawn = positions([first.network, first.memory, first.optimizer])
    kept = positions([resumed.network, resumed.memory, resumed.optimizer])
    assert {key: kept.get(key) for key in drawn} == drawn, names(first)
    for (name, one), (_, other) in zip(first.network.tiles(), resumed.network.tiles(), strict=True):
        for tile in (one, other):
            tile.wait(1e6)
            tile.compensate()
        np.testing.assert_array_equal(one.gain, other.gain, err_msg=name)
        if card == "pcm_accumulate":
            assert one.gain.mean() > 1.02, name


def test_the_order_of_the_data_is_that_of_the_epoch_wherever_one_begins() -> None:
    from analog_sim.random.streams import Streams

    whole, cut = (Order(Streams(3), 64, 8) for _ in range(2))
    batches = [whole[k] for k in range(24)]
    np.testing.assert_array_equal(cut[19], batches[19])
    epochs = [np.concatenate(batches[8 * k : 8 * k + 8]) for k in range(3)]
    assert all(sorted(epoch) == list(range(64)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
