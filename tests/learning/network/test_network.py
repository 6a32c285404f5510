"""The network against torch: forward pass, gradients, decorrelation on the way, noise, replay, biases, copies, checkpoints."""

from typing import Any

import numpy as np
import pytest
import torch
from learning_helpers import CONV, DENSE, F32, batch, make_network, make_rule, train

from analog_sim.config import ConfigError, StrictModel, UserError, validate
from analog_sim.random.streams import Streams
from learning.common.weight_tile import digital_tile
from learning.losses.losses import make_loss
from learning.network.forms.layers import LayerList
from learning.network.network import Network, Shift
from learning.network.spec import AnyNetwork

BYPASS = {"method": {"kind": "natural", "rate": 1e-3}, "where": "digital", "identity": "bypass"}
NATURAL = {"method": {"kind": "natural", "rate": 1e-3}, "where": "digital"}


def randomise(network: Network, seed: int = 5) -> None:
    """Biases, means, gains and decorrelating matrices away from their neutral beginnings."""
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        if layer.bias is not None:
            layer.bias[:] = rng.standard_normal(layer.bias.shape)
        if layer.decorrelator is not None:
            n = layer.decorrelator.matrix.size
            layer.decorrelator.matrix.program(np.eye(n, dtype=np.float32) + 0.2 * rng.standard_normal((n, n)))
            layer.decorrelator.matrix.gain[:] = 1.3
            layer.decorrelator.mean[:] = 0.1 * rng.standard_normal(n)


def torch_forward(network: Network, x: F32, weights: list[torch.Tensor]) -> torch.Tensor:
    """The same network in torch, written as plainly as possible; weights of each layer as leaves."""
    h = torch.tensor(x)
    for layer in network.head:
        assert layer.kind == "flatten"
        h = h.flatten(1)
    for number, layer in enumerate(network.layers):
        kind, r, mean = layer.kind, None, None
        if layer.decorrelator is not None:
            r = torch.tensor(layer.decorrelator.matrix.effective())
            mean = torch.tensor(layer.decorrelator.mean)
        if kind.kind == "conv2d":
            k, s, p = (getattr(kind, name) for name in ("kernel", "stride", "padding"))
            patches = torch.nn.functional.unfold(h, k, padding=p, stride=s).transpose(1, 2)  # (B, P, C k k)
            rows = patches
        else:
            rows = h
        if r is not None:
            rows = (rows - mean) @ r.T
        if layer.bias_line is not None:
            rows = torch.cat([rows, torch.full((*rows.shape[:-1], 1), layer.bias_line)], dim=-1)
        h = rows @ weights[number].T
        if layer.bias is not None:
            h = h + torch.tensor(layer.bias)
        if kind.kind == "conv2d":
            channels, height, width = kind.output_shape(layer.shape)
            h = h.transpose(1, 2).reshape(len(x), channels, height, width)
        for tail in layer.tail:
            match tail.kind:
                case "tanh":
                    h = torch.tanh(h)
                case "relu":
                    h = torch.relu(h)
                case "leaky_relu":
                    h = torch.nn.functional.leaky_relu(h, 0.01)
                case "max_pool":
                    h = torch.nn.functional.max_pool2d(h, 2)
                case "flatten":
                    h = h.flatten(1)
                case other:
                    raise AssertionError(other)
    return h


CASES = [
    pytest.param(
        layers,
        shape,
        bias,
        decorrelation,
        id=f"{name}-{bias}-{(decorrelation or {}).get('identity', 'R' if decorrelation else 'plain')}",
    )
    for name, layers, shape in [("dense", DENSE, (5,)), ("conv", CONV, (2, 6, 6))]
    for bias in ("digital", "chip", "none")
    for decorrelation in (None, NATURAL, BYPASS)
]


@pytest.mark.parametrize(("layers", "shape", "bias", "decorrelation"), CASES)
def test_forward_and_backprop_equal_torch(
    layers: tuple[Any, ...], shape: tuple[int, ...], bias: str, decorrelation: dict[str, Any] | None
) -> None:
    network = make_network(layers, shape, decorrelation=decorrelation, bias=bias, bias_line=0.7)
    randomise(network)
    x, target = batch(shape)
    leaves = [torch.tensor(layer.tile.read_weights(), requires_grad=True) for layer in network.layers]
    expected = torch_forward(network, x, leaves)
    torch.nn.functional.cross_entropy(expected, torch.tensor(target)).backward()
    rule = make_rule("backprop")
    proposed = rule.propose(network, make_loss("cross_entropy"), x, target, rule.init(network, Streams(0)))
    np.testing.assert_allclose(proposed.trace.output, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert proposed.layers is not None
    for leaf, gradient in zip(leaves, proposed.layers, strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(gradient.weights.dense(), leaf.grad.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("bias", ["digital", "chip"])
@pytest.mark.parametrize("name", ["dense", "conv"])
def test_training_with_backprop_equals_torch_step_by_step(name: str, bias: str) -> None:
    """Ten steps of SGD, weights and biases compared after each."""
    layers, shape = (DENSE, (5,)) if name == "dense" else (CONV, (2, 6, 6))
    network = make_network(layers, shape, bias=bias)
    leaves = [torch.tensor(layer.tile.read_weights(), requires_grad=True) for layer in network.layers]
    biases = [torch.zeros(layer.tile.shape[0], requires_grad=True) for layer in network.layers]
    rule, loss, rate = make_rule("backprop"), make_loss("cross_entropy"), 0.1
    for step in range(10):
        x, target = batch(shape, seed=step)
        train(network, rule, x, target, rate=rate, steps=1, size=len(x), seed=step)
        chosen = np.random.default_rng(step).integers(0, len(x), len(x))  # the rows that `train` drew
        output = plain_torch(network, x[chosen], leaves, biases, bias)
        torch.nn.functional.cross_entropy(output, torch.tensor(target[chosen])).backward()
        with torch.no_grad():
            for leaf in [*leaves, *(biases if bias == "digital" else [])]:
                assert leaf.grad is not None
                leaf -= rate * leaf.grad
                leaf.grad = None
        for layer, leaf, b in zip(network.layers, leaves, biases, strict=True):
            np.testing.assert_allclose(layer.tile.read_weights(), leaf.detach().numpy(), rtol=1e-4, atol=2e-6)
            if bias == "digital":
                assert layer.bias is not None
                np.testing.assert_allclose(layer.bias, b.detach().numpy(), rtol=1e-4, atol=2e-6)
    assert loss.per_sample(network.output(x), target).mean() < 10.0


def plain_torch(
    network: Network, x: F32, weights: list[torch.Tensor], biases: list[torch.Tensor], bias: str
) -> torch.Tensor:
    """`torch_forward` with trainable digital biases."""
    if bias == "chip":
        return torch_forward(network, x, weights)
    h = torch.tensor(x)
    for layer, w, b in zip(network.layers, weights, biases, strict=True):
        if layer.kind.kind == "conv2d":
            k, s, p = (getattr(layer.kind, field) for field in ("kernel", "stride", "padding"))
            h = torch.nn.functional.conv2d(h, w.reshape(w.shape[0], -1, k, k), b, stride=s, padding=p)
        else:
            h = torch.nn.functional.linear(h, w, b)
        for tail in layer.tail:
            apply = {
                "tanh": torch.tanh,
                "relu": torch.relu,
                "leaky_relu": torch.nn.functional.leaky_relu,
                "max_pool": lambda v: torch.nn.functional.max_pool2d(v, 2),
                "flatten": lambda v: v.flatten(1),
            }[tail.kind]
            h = apply(h)
    return h


@pytest.mark.parametrize("decorrelation", [None, NATURAL])
def test_noise_is_added_to_the_pre_activations_and_passed_on(decorrelation: dict[str, Any] | None) -> None:
    network = make_network(CONV, (2, 6, 6), decorrelation=decorrelation)
    randomise(network)
    x, _ = batch((2, 6, 6))
    clean = network.forward(x)
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(layer.a.shape).astype(np.float32) for layer in clean.layers]
    noisy = network.forward(x, noise=noise)
    np.testing.assert_allclose(noisy.layers[0].a - clean.layers[0].a, noise[0], rtol=1e-4, atol=1e-5)
    second = network.layers[1]
    h = noisy.layers[0].values[-1]
    driven, _ = second.drive(h)
    np.testing.assert_allclose(noisy.layers[1].a, second.multiply(driven) + noise[1], rtol=1e-4, atol=1e-5)
    # A replay from the first pre-activation is the same pass.
    replayed = network.resume(clean, 0, clean.layers[0].a + noise[0], noise=noise)
    np.testing.assert_array_equal(replayed.output, noisy.output)
    # So is a repetition, which leaves out only what drives the first layer.
    np.testing.assert_array_equal(network.repeat(clean, noise=noise).output, noisy.output)
    # A replay from the last layer does not touch the others.
    last = network.resume(clean, 2, clean.layers[2].a + noise[2])
    assert last.layers[1] is clean.layers[1]
    np.testing.assert_array_equal(last.output, clean.output + noise[2])


def test_a_shift_acts_like_changed_parameters() -> None:
    network = make_network(DENSE)
    x, _ = batch((5,))
    rng = np.random.default_rng(0)
    shifts = [
        Shift(
            rng.standard_normal(layer.tile.shape).astype(np.float32),
            rng.standard_normal(layer.tile.shape[0]).astype(np.float32),
        )
        for layer in network.layers
    ]
    shifted = network.forward(x, shifts=shifts).output
    np.testing.assert_array_equal(network.repeat(network.forward(x), shifts=shifts).output, shifted)
    before = network.forward(x).output
    for layer, shift in zip(network.layers, shifts, strict=True):
        layer.write_shift(shift, 1.0)
    np.testing.assert_allclose(network.forward(x).output, shifted, rtol=1e-4, atol=1e-5)
    for layer, shift in zip(network.layers, shifts, strict=True):
        layer.write_shift(shift, -1.0)
    np.testing.assert_allclose(network.forward(x).output, before, rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_whatever_else_is_configured() -> None:
    plain, decorrelated = make_network(DENSE), make_network(DENSE, decorrelation=NATURAL)
    other = make_network(DENSE, seed=1)
    for a, b, c in zip(plain.layers, decorrelated.layers, other.layers, strict=True):
        np.testing.assert_array_equal(a.tile.read_weights(), b.tile.read_weights())
        assert (a.tile.read_weights() != c.tile.read_weights()).any()


@pytest.mark.parametrize(
    ("init", "variance"),
    [("lecun_uniform", 1 / 3 / 400), ("he_normal", 2 / 400), ("xavier_normal", 2 / 1000), ("zeros", 0.0)],
)
def test_first_weights_have_the_stated_variance(init: str, variance: float) -> None:
    network = make_network([{"kind": "linear", "units": 600}], (400,), 600, init=init, init_scale=2.0)
    w = network.layers[0].tile.read_weights()
    # Relative standard error of a variance over n normals is sqrt(2/n) = 0.3 %: 2 % never fails by chance.
    assert w.var() == pytest.approx(4 * variance, rel=0.02)
    assert abs(w.mean()) <= 5 * (4 * variance / w.size) ** 0.5
    assert network.layers[0].bias is not None
    assert not network.layers[0].bias.any()


@pytest.mark.parametrize("decorrelation", [NATURAL, BYPASS])
def test_a_digital_copy_computes_the_same_and_shares_nothing(decorrelation: dict[str, Any]) -> None:
    network = make_network(CONV, (2, 6, 6), decorrelation=decorrelation)
    randomise(network)
    x, target = batch((2, 6, 6))
    copy = network.digital_copy()
    before = copy.output(x)
    np.testing.assert_array_equal(before, network.output(x))
    train(network, make_rule("backprop"), x, target, rate=0.1, steps=2)
    np.testing.assert_array_equal(copy.output(x), before)
    assert (network.output(x) != before).any()


def test_a_checkpoint_brings_everything_back() -> None:
    def fresh() -> Network:
        return make_network(DENSE, decorrelation=NATURAL)

    x, target = batch((5,), n=64)
    one = fresh()
    train(one, make_rule("backprop"), x, target, rate=0.1, steps=5)
    other = fresh()
    other.restore(one.state())
    np.testing.assert_array_equal(one.output(x), other.output(x))
    for network in (one, other):
        train(network, make_rule("backprop"), x, target, rate=0.1, steps=5, seed=9)
    np.testing.assert_array_equal(one.output(x), other.output(x))


def test_every_parameter_of_a_decorrelated_network_trains() -> None:
    """Weights, biases, means, matrices of every layer move, and the gains of the norm-restoring method."""
    network = make_network(CONV, (2, 6, 6), decorrelation=NATURAL)
    before = network.state()
    x, target = batch((2, 6, 6), n=64)
    train(network, make_rule("backprop"), x, target, rate=0.1, steps=5)
    for layer in network.layers:
        was = before[layer.name]
        assert (layer.tile.read_weights() != was["tile"]["w"]).mean() > 0.9, layer.name
        assert layer.bias is not None
        assert (layer.bias != was["bias"]).all(), layer.name
        assert layer.decorrelator is not None
        assert (layer.decorrelator.mean != was["decorrelator"]["mean"]).all(), layer.name
        r = was["decorrelator"]["matrix"]
        assert (layer.decorrelator.tile.read_weights() != r["tile"]["w"]).mean() > 0.9, layer.name
        assert (layer.decorrelator.matrix.gain != r["gain"]).all(), layer.name


def test_output_is_the_same_in_any_batches() -> None:
    network = make_network(DENSE)
    x, _ = batch((5,), n=10)
    np.testing.assert_allclose(network.output(x, batch=3), network.output(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([{"kind": "linear", "units": 4}], (5,), r"ends in samples of shape \(4,\), the data need \(3,\)"),
        ([{"kind": "linear", "units": 3}], (1, 2, 2), r"network.layers\[0\]: linear.*flatten"),
        (["flatten", "relu", {"kind": "conv2d", "channels": 3, "kernel": 2}], (1, 4, 4), r"network.layers\[2\]"),
        ([{"kind": "linear", "units": 3}, {"kind": "max_pool", "size": 2}], (5,), r"network.layers\[1\]: max_pool"),
    ],
)
def test_networks_that_do_not_fit_are_refused(layers: list[Any], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_network(layers, shape)


def test_a_list_without_its_key_is_told_how_to_write_it() -> None:
    class Holder(StrictModel):
        network: AnyNetwork

    with pytest.raises(
        ConfigError, match=r"network: write a list of layers as \{layers: \[...\]\}, or \{kind: mlp, ...\}"
    ):
        validate({"network": ["flatten", "relu"]}, Holder)


def test_a_network_needs_weights() -> None:
    with pytest.raises(ConfigError, match="at least one layer with weights"):
        validate({"layers": ["relu"]}, LayerList)


def test_decorrelation_of_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"decorrelation.layers: got \[2\], allowed 0 to 1"):
        make_network(DENSE, decorrelation={**NATURAL, "layers": [0, 2]})


def test_decorrelation_on_the_chip_takes_its_tiles_from_the_factory() -> None:
    made: list[tuple[str, tuple[int, int]]] = []

    def make_tile(name: str, weights: F32, role: str = "weights") -> Any:
        made.append((name, weights.shape))
        return digital_tile(name, weights)

    make_network(DENSE, decorrelation={**NATURAL, "where": "chip", "layers": [1]}, make_tile=make_tile, bias="chip")
    assert made == [("linear1", (6, 6)), ("linear2", (3, 7)), ("linear2_R", (6, 6))]
