"""A network in torch computes what the network on tiles computes, and autograd gives what its backpropagation proposes."""

from typing import Any

import numpy as np
import pytest
import torch
from learning_helpers import CONV, DENSE, make_network
from torch_alignment import alignment, layer_gradients

from analog_sim.random.streams import Streams
from learning.losses.cross_entropy import CrossEntropy
from learning.network.network import Network
from learning.rules.backprop import Backprop
from learning.torch_bridge.digital.torch_network import digital_layer, torch_copy

DECORRELATION: dict[str, Any] = {
    "none": None,
    "natural": {"method": {"kind": "natural"}, "where": "digital"},
    "bypass": {"method": {"kind": "natural"}, "where": "digital", "identity": "bypass"},
    "centre": {"method": {"kind": "centre"}},
}
EVERY_LAYER = (
    "identity",
    {"kind": "conv2d", "channels": 4, "kernel": 3, "stride": 2, "padding": 1},
    "sigmoid",
    "gelu",
    {"kind": "avg_pool", "size": 2, "stride": 1},
    {"kind": "conv2d", "channels": 3, "kernel": 1},
    {"kind": "leaky_relu", "leak": 0.3},
    {"kind": "max_pool", "size": 2, "stride": 1},
    "flatten",
    {"kind": "linear", "units": 5},
    "tanh",
    {"kind": "linear", "units": 3},
)


def scrambled(network: Network) -> Network:
    """Biases, means, gains and matrices away from their first values, so that a forgotten one shows."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.bias is not None:
            layer.bias[:] = rng.normal(size=layer.bias.shape)
        if layer.bias_line is not None:
            w = layer.tile.read_weights(exact=True)
            w[:, -1] = rng.normal(size=len(w))
            layer.tile.program(w)
        if layer.decorrelator is not None:
            matrix = layer.decorrelator.matrix
            if not layer.decorrelator.spec.method.stands_still:
                matrix.tile.program(
                    (np.eye(matrix.size) + 0.2 * rng.normal(size=(matrix.size,) * 2)).astype(np.float32)
                )
                matrix.gain[:] = rng.uniform(0.5, 2.0, matrix.size)
            layer.decorrelator.mean[:] = rng.normal(size=matrix.size)
    return network


CASES = [
    pytest.param(
        layers, shape, spec, DECORRELATION[decorrelation], id=f"{name}-{'-'.join(spec.values())}-{decorrelation}"
    )
    for name, layers, shape in (("dense", DENSE, (5,)), ("conv", CONV, (2, 6, 6)), ("every", EVERY_LAYER, (2, 9, 8)))
    for spec in ({"bias": "digital"}, {"bias": "chip"}, {"bias": "none"})
    for decorrelation in DECORRELATION
]


@pytest.mark.parametrize(("layers", "shape", "spec", "decorrelation"), CASES)
def test_outputs_and_gradients(layers: Any, shape: Any, spec: dict[str, Any], decorrelation: Any) -> None:
    network = scrambled(make_network(layers, shape, decorrelation=decorrelation, **spec))
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, *shape)).astype(np.float32)
    y = np.array([0, 1, 2, 2, 1, 0])
    copy = torch_copy(network)
    np.testing.assert_allclose(copy(torch.tensor(x)).detach(), network.output(x), rtol=1e-4, atol=1e-5)

    rule = Backprop()
    proposed = rule.propose(network, CrossEntropy(), x, y, rule.init(network, Streams(0))).layers
    assert proposed is not None
    gradients = layer_gradients(copy, x, y)
    assert list(gradients) == [layer.name for layer in network.layers]
    for layer, mine in zip(network.layers, proposed, strict=True):
        dense = mine.weights.dense()[:, : layer.inputs]
        np.testing.assert_allclose(dense, gradients[layer.name], rtol=1e-3, atol=1e-5)
        assert alignment({"a": -dense}, {"a": gradients[layer.name]})["a"] == pytest.approx(1.0, abs=1e-5)


def test_the_copy_has_weights_of_its_own() -> None:
    network = make_network()
    copy = torch_copy(network)
    before = network.layers[0].tile.read_weights(exact=True)
    with torch.no_grad():
        copy.get_submodule(network.layers[0].name).weight += 1.0
    assert np.array_equal(network.layers[0].tile.read_weights(exact=True), before)


def test_a_layer_that_torch_has_none_of_runs_by_its_own_arithmetic() -> None:
    from learning.network.layers.activations import Tanh
    from learning.torch_bridge.digital.own_layer import OwnLayer

    class Other(Tanh):
        pass

    made = digital_layer(Other())
    assert isinstance(made, OwnLayer)
    x = torch.linspace(-3.0, 3.0, 12).reshape(3, 4).requires_grad_()
    other = x.detach().clone().requires_grad_()
    y, expected = made(x), torch.tanh(other)
    torch.testing.assert_close(y, expected)
    (y * torch.arange(4.0)).sum().backward()
    (expected * torch.arange(4.0)).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
