"""From a network that learned to one that starts: the same function whatever becomes of decorrelating matrices."""

from typing import Any

import numpy as np
import pytest
import torch
from learning_helpers import CONV, DENSE, F32, make_network

from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from learning.common.weight_tile import digital_tile
from learning.decorrelation.decorrelator import DecorrelationSpec
from learning.network.forms.layers import LayerList
from learning.network.learned import LearnedNetwork
from learning.network.network import Network, build_network
from learning.network.starting import learned_from, start_from
from learning.torch_bridge.digital.torch_network import torch_learned

NAMES = ("a", "b", "c")
KINDS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "natural": {"method": {"kind": "natural"}, "where": "digital"},
    "bypass": {"method": {"kind": "natural"}, "where": "digital", "identity": "bypass"},
    "centre": {"method": {"kind": "centre"}},
    "second": {"method": {"kind": "natural"}, "where": "digital", "layers": [1]},
}


def samples(shape: tuple[int, ...], n: int = 20) -> F32:
    return np.random.default_rng(2).normal(0.4, 1.0, (n, *shape)).astype(np.float32)


def learned(layers: Any, shape: tuple[int, ...], kind: str, bias: str = "digital") -> tuple[Network, LearnedNetwork]:
    """A network whose every array is away from its first value, and what it has learned."""
    network = make_network(layers, shape, decorrelation=KINDS[kind], bias=bias)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        w = layer.tile.read_weights(exact=True)
        layer.tile.program(w + rng.normal(size=w.shape).astype(np.float32))
        if layer.bias is not None:
            layer.bias[:] = rng.normal(size=layer.bias.shape)
        if layer.decorrelator is not None:
            matrix = layer.decorrelator.matrix
            layer.decorrelator.mean[:] = rng.normal(size=matrix.size)
            if not layer.decorrelator.spec.method.stands_still:
                matrix.program((np.eye(matrix.size) + 0.2 * rng.normal(size=(matrix.size,) * 2)).astype(np.float32))
                matrix.gain[:] = rng.uniform(0.5, 2.0, matrix.size)
    spec = validate({"layers": list(layers), "bias": bias}, LayerList)
    return network, learned_from(network, spec, shape, NAMES, {})


def started(found: LearnedNetwork, x: F32, kind: str, spec: LayerList | None = None) -> Network:
    decorrelation = None if KINDS[kind] is None else validate(KINDS[kind], DecorrelationSpec)
    start = start_from(found, spec, decorrelation, x, NAMES)
    return build_network(
        start.spec, start.shape, 3, make_tile=digital_tile, streams=Streams(9), decorrelation=decorrelation, start=start
    )


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("of", KINDS)
@pytest.mark.parametrize(("layers", "shape"), [(DENSE, (5,)), (CONV, (2, 6, 6))], ids=["dense", "conv"])
def test_the_function_is_the_same_whatever_becomes_of_the_matrices(layers: Any, shape: Any, of: str, to: str) -> None:
    x = samples(shape)
    network, found = learned(layers, shape, of)
    right = network.output(x)
    np.testing.assert_allclose(started(found, x, to).output(x), right, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(torch_learned(found)(torch.tensor(x)).detach(), right, rtol=2e-4, atol=2e-4)


def test_matrices_gains_and_means_go_on_where_both_have_them() -> None:
    network, found = learned(DENSE, (5,), "natural")
    for mine, its in zip(network.layers, started(found, samples((5,)), "bypass").layers, strict=True):
        assert mine.decorrelator is not None
        assert its.decorrelator is not None
        np.testing.assert_array_equal(mine.decorrelator.mean, its.decorrelator.mean)
        np.testing.assert_array_equal(mine.decorrelator.matrix.gain, its.decorrelator.matrix.gain)
        np.testing.assert_allclose(mine.decorrelator.matrix.read(), its.decorrelator.matrix.read(), atol=1e-6)


def test_a_measured_mean_is_kept_by_the_first_batch() -> None:
    """The running mean starts with its whole memory; else the first batch would replace it and shift every pre-activation."""
    _, found = learned(DENSE, (5,), "none")
    x = samples((5,), 400)
    network = started(found, x, "natural")
    first = network.layers[0].decorrelator
    assert first is not None
    np.testing.assert_allclose(first.mean, x.mean(axis=0), atol=1e-6)
    first.learn(first.forward(x[:1] + 50.0))
    assert np.abs(first.mean - x.mean(axis=0)).max() < 0.6 < 0.02 * 50


@pytest.mark.parametrize("bias", ["digital", "chip"])
def test_biases_change_their_place(bias: str) -> None:
    x = samples((5,))
    network, found = learned(DENSE, (5,), "none", bias)
    other = "chip" if bias == "digital" else "digital"
    spec = validate({"layers": list(DENSE), "bias": other, "bias_line": 2.0}, LayerList)
    np.testing.assert_allclose(started(found, x, "none", spec).output(x), network.output(x), rtol=1e-5, atol=1e-6)


def test_another_network_is_refused_in_one_line() -> None:
    x = samples((5,))
    _, found = learned(DENSE, (5,), "none")

    def refused(match: str, layers: Any = DENSE, data: F32 = x, names: tuple[str, ...] = NAMES, **fields: Any) -> None:
        spec = validate({"layers": list(layers), **fields}, LayerList)
        with pytest.raises(UserError, match=match) as caught:
            start_from(found, spec, None, data, names)
        assert "\n" not in str(caught.value)

    linear = {"kind": "linear", "units": 3}
    refused(
        "'linear1' is linear .units 6., here 'linear1' is linear .units 7.",
        [{"kind": "linear", "units": 7}, "tanh", linear],
    )
    refused("'tanh_1' is tanh, here 'relu_1' is relu", [{"kind": "linear", "units": 6}, "relu", linear])
    refused("it has 3 layers, network has 4", [*DENSE, "tanh"])
    refused("for samples of shape .5,. and 3 outputs, the data have .6,. and 3", data=samples((6,)))
    refused("other classes: output 1 is 'b', here 'x'", names=("a", "x", "c"))
    refused("its layer 'linear1' has biases, network.bias: none has no place", bias="none")


def test_a_mean_without_a_bias_is_refused() -> None:
    _, found = learned(DENSE, (5,), "none", "none")
    natural = validate(KINDS["natural"], DecorrelationSpec)
    with pytest.raises(UserError, match="the mean in front of layer 'linear1' needs a bias there"):
        start_from(found, None, natural, samples((5,)), NAMES)
