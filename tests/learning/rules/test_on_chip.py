"""Learning on emulated crossbars: on the ideal card it is the arithmetic of digital tiles and of torch, on a real one it still learns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_helpers import CONV, DENSE, F32, accuracy, batch, make_network, make_rule, rings, train

from analog_sim.cells.cell_model import VariationModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.twin import MeasuredChip, save_measured
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
from learning.common.mirrored_tile import MirroredTile
from learning.common.weight_tile import TileMaker, WeightTile
from learning.network.network import Network


def on(card: str, full: float = 4.0, **spec: Any) -> TileMaker:
    """Tiles of a packaged card that share a clock; `full`: weight at the edge of the window."""
    cell, clock, streams = load_card(card).compile(), Clock(), Streams(11)
    spec.setdefault("mapping", {"weight_max": full})

    def make(name: str, weights: F32, role: str = "weights") -> WeightTile:
        tile = Tile(validate(spec, TileSpec), cell, (weights.shape[0], weights.shape[1]), streams.child(name), clock)
        tile.program(weights)
        return tile

    return make


DECORRELATION = {
    "none": None,
    "natural": {"method": {"kind": "natural", "rate": 1e-2}},
    "bypass": {"method": {"kind": "natural", "rate": 1e-2}, "identity": "bypass"},
    "off_diagonal": {"method": {"kind": "off_diagonal", "rate": 1e-2}},
    "probes": {"method": {"kind": "off_diagonal", "rate": 1e-2, "diagonal": "probes"}},
    "lateral": {"method": {"kind": "lateral", "rate": 1e-2}},
}


@pytest.mark.parametrize("decorrelation", DECORRELATION)
@pytest.mark.parametrize("kind", ["backprop", "feedback_alignment", "activity_node_perturbation"])
def test_the_ideal_card_learns_as_digital_tiles_do(kind: str, decorrelation: str) -> None:
    """Same seeds, 20 updates: weights, biases and matrices agree to float32 rounding, matrices on chip included."""
    fields = {"sigma": 0.1} if "perturbation" in kind else {}
    networks = []
    for maker in (on("ideal", writing="ideal"), None):
        extra = {} if maker is None else {"make_tile": maker}
        network = make_network(DENSE, decorrelation=DECORRELATION[decorrelation], **extra)
        x, target = batch((5,), n=64)
        train(network, make_rule(kind, **fields), x, target, rate=0.1, steps=20)
        networks.append(network)
    for chip, digital in zip(networks[0].layers, networks[1].layers, strict=True):
        exact = chip.tile.read_weights(exact=True)
        np.testing.assert_allclose(exact, digital.tile.read_weights(), rtol=1e-3, atol=1e-4)
        assert chip.bias is not None
        assert digital.bias is not None
        np.testing.assert_allclose(chip.bias, digital.bias, rtol=1e-3, atol=1e-4)
        if chip.decorrelator is not None and digital.decorrelator is not None:
            assert chip.decorrelator.tile.on_chip
            np.testing.assert_allclose(
                chip.decorrelator.matrix.effective(), digital.decorrelator.matrix.effective(), rtol=1e-3, atol=1e-4
            )


def torch_twin(network: Network, layers: tuple[Any, ...]) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    weighted = iter(network.layers)
    for spec in layers:
        kind = spec if isinstance(spec, str) else spec["kind"]
        if kind in ("linear", "conv2d"):
            layer = next(weighted)
            if kind == "linear":
                made: torch.nn.Linear | torch.nn.Conv2d = torch.nn.Linear(layer.inputs, spec["units"])
            else:
                made = torch.nn.Conv2d(layer.shape[0], spec["channels"], spec["kernel"], padding=spec.get("padding", 0))
            with torch.no_grad():
                made.weight.copy_(torch.tensor(layer.tile.read_weights(exact=True)).reshape(made.weight.shape))
                assert made.bias is not None
                made.bias.zero_()
            modules.append(made)
        else:
            modules.append(
                {
                    "tanh": torch.nn.Tanh(),
                    "relu": torch.nn.ReLU(),
                    "leaky_relu": torch.nn.LeakyReLU(),
                    "max_pool": torch.nn.MaxPool2d(2),
                    "flatten": torch.nn.Flatten(),
                }[kind]
            )
    return torch.nn.Sequential(*modules)


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_backprop_on_the_ideal_card_equals_torch_step_by_step(name: str) -> None:
    layers, shape = (DENSE, (5,)) if name == "dense" else (CONV, (2, 6, 6))
    network = make_network(layers, shape, make_tile=on("ideal", writing="ideal"))
    twin = torch_twin(network, layers)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for step in range(10):
        x, target = batch(shape, seed=step)
        train(network, make_rule("backprop"), x, target, rate=0.1, steps=1, size=len(x), seed=step)
        chosen = np.random.default_rng(step).integers(0, len(x), len(x))  # the rows that `train` drew
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(twin(torch.tensor(x[chosen])), torch.tensor(target[chosen])).backward()
        optimizer.step()
        theirs = [m for m in twin if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
        for layer, module in zip(network.layers, theirs, strict=True):
            w, b = (p.detach().numpy() for p in (module.weight, module.bias))  # type: ignore[union-attr]
            mine = layer.tile.read_weights(exact=True)
            np.testing.assert_allclose(mine, w.reshape(mine.shape), rtol=1e-3, atol=2e-5)
            assert layer.bias is not None
            np.testing.assert_allclose(layer.bias, b, rtol=1e-3, atol=2e-5)


@pytest.mark.jit
@pytest.mark.parametrize("card", ["ecram", "reram_soft_bounds"])
@pytest.mark.parametrize("kind", ["backprop", "activity_node_perturbation"])
def test_pulsed_cells_learn_with_decorrelation_on_the_same_cells(card: str, kind: str) -> None:
    """Rings on noisy, asymmetric, spread cells: 50 % is what a linear classifier reaches."""
    x, target = rings()
    layers = ({"kind": "linear", "units": 32}, "relu", {"kind": "linear", "units": 3})
    decorrelation = {"method": {"kind": "natural", "rate": 1e-3}, "identity": "bypass", "full_scale": 0.25}
    make = on(card, 3.0, writing="mixed_precision")
    network = make_network(layers, (4,), decorrelation=decorrelation, make_tile=make)
    fields = {"sigma": 0.2, "perturbations": 8} if "perturbation" in kind else {}
    train(network, make_rule(kind, **fields), x, target, rate=0.1, steps=400)
    assert accuracy(network, x, target) > 0.75
    assert all(tile.costs().pulses > 0 for _, tile in network.tiles())


@pytest.mark.jit
def test_decorrelation_on_a_noisy_card_starts_from_its_programming_error() -> None:
    """R0 = I + error as the card leaves it; learning by pulses on the card brings the correlation down."""
    from learning.decorrelation.metrics import correlation_loss

    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.standard_normal((6, 6)))[0] * np.geomspace(0.5, 2.0, 6)
    x = (rng.standard_normal((2000, 6)) @ mixing @ rng.standard_normal((6, 6))).astype(np.float32)
    x /= x.std()
    decorrelation = {"method": {"kind": "natural", "rate": 3e-3}}
    maker = on("reram_soft_bounds", 1.5, writing="mixed_precision")
    network = make_network(({"kind": "linear", "units": 3},), (6,), decorrelation=decorrelation, make_tile=maker)
    decorrelator = network.layers[0].decorrelator
    assert decorrelator is not None
    start = decorrelator.matrix.effective()
    assert np.abs(start - np.eye(6)).max() > 1e-3  # programming error
    before = correlation_loss(decorrelator.forward(x).y)
    for step in range(600):
        decorrelator.learn(decorrelator.forward(x[rng.integers(0, 2000, 64)]))
        if step == 0:
            decorrelator.mean[:] = x.mean(axis=0)
    assert correlation_loss(decorrelator.forward(x).y) < before / 4


@pytest.mark.jit
def test_a_twin_gets_the_pulses_that_the_chip_gets(tmp_path: Path) -> None:
    """Physics-aware training on cells without any spread or noise: the twin stays the chip, whatever its seed; calibrated or not."""
    quiet = ("programming.fraction=0", "read_noise.fraction=0", "pulse.noise=0")
    cell = load_card("ecram", overrides=quiet).compile()
    cell = replace(cell, variation=VariationModel())
    np.savez(tmp_path / "twin.npz", **save_measured(MeasuredChip(cell)))

    def maker() -> TileMaker:
        clock, streams = Clock(), Streams(0).child("chip")

        def make(name: str, weights: F32, role: str = "weights") -> WeightTile:
            spec = validate({"mapping": {"weight_max": 3.0}, "writing": "stochastic_pulse"}, TileSpec)
            tile = Tile(spec, EmulatedFabric(cell, streams.child(name), clock), weights.shape, streams.child(name))
            tile.program(weights)
            return tile

        return make

    for rule in (make_rule("physics_aware"), make_rule("physics_aware", twin=tmp_path)):
        network = make_network(make_tile=maker())
        x, target = batch((5,), n=64)
        before = network.layers[1].tile.read_weights()
        train(network, rule, x, target, rate=0.1, steps=20)
        mirrored = network.layers[1].tile
        assert isinstance(mirrored, MirroredTile)
        assert np.abs(mirrored.read_weights() - before).max() > 1e-3
        np.testing.assert_allclose(mirrored.twin.read_weights(), mirrored.chip.read_weights(), atol=1e-5)
        assert mirrored.twin.costs().pulses == mirrored.chip.costs().pulses > 0
        assert mirrored.costs() == mirrored.chip.costs()
