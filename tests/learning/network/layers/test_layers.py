"""Every layer against torch: values, gradients, and the transposition identities its rows must obey."""

from typing import Any

import catalogue
import catalogue_helpers
import numpy as np
import pytest
import torch
from learning_helpers import F32

from analog_sim.config import discover
from learning.network.layers.activations import Activation
from learning.network.layers.base import DigitalLayer, Layer, WeightedLayer

IMAGE = (2, 7, 6)


def make(case: dict[str, Any]) -> Layer:
    return discover("learning.network.layers", Layer)[case["kind"]].model_validate(case)


PLAIN: dict[str, type[torch.nn.Module]] = {
    "gelu": torch.nn.GELU,
    "identity": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
}
IN_TORCH = {*PLAIN, "avg_pool", "max_pool", "flatten", "leaky_relu"}


def torch_of(case: dict[str, Any]) -> torch.nn.Module:
    match case["kind"]:
        case "avg_pool":
            return torch.nn.AvgPool2d(case["size"], case.get("stride"))
        case "max_pool":
            return torch.nn.MaxPool2d(case["size"], case.get("stride"))
        case "flatten":
            return torch.nn.Flatten()
        case "leaky_relu":
            return torch.nn.LeakyReLU(case.get("leak", 0.01))
        case kind:
            return PLAIN[kind]()


def images(seed: int, shape: tuple[int, ...]) -> F32:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


DIGITAL = [c for c in catalogue_helpers.cases(catalogue.LAYERS) if isinstance(make(c), DigitalLayer)]


@pytest.mark.parametrize("case", DIGITAL, ids=catalogue_helpers.name)
def test_backward_is_the_slope_of_forward(case: dict[str, Any]) -> None:
    """Along eight random directions: central differences; a kink within the step of a few numbers moves them little."""
    layer = make(case)
    assert isinstance(layer, DigitalLayer)
    x = images(0, (3, *IMAGE))
    y = layer.forward(x)
    assert y.dtype == np.float32
    assert y.shape == (3, *layer.output_shape(IMAGE))
    weight = images(1, y.shape)
    slope, h = layer.backward(weight, x, y).astype(np.float64), np.float32(2**-9)
    for seed in range(8):
        way = images(10 + seed, x.shape)
        up, down = (np.vdot(weight, layer.forward(x + side * h * way).astype(np.float64)) for side in (1, -1))
        assert np.vdot(slope, way) == pytest.approx((up - down) / (2 * h), abs=0.05 * np.linalg.norm(slope))


@pytest.mark.parametrize("case", [c for c in DIGITAL if c["kind"] in IN_TORCH], ids=catalogue_helpers.name)
def test_digital_layers_equal_torch(case: dict[str, Any]) -> None:
    layer = make(case)
    assert isinstance(layer, DigitalLayer)
    x = images(0, (3, *IMAGE))
    given = torch.tensor(x, requires_grad=True)
    expected = torch_of(case)(given)
    y = layer.forward(x)
    assert y.dtype == np.float32
    assert y.shape == (3, *layer.output_shape(IMAGE))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    grad = images(1, y.shape)
    expected.backward(torch.tensor(grad))
    assert given.grad is not None
    got = layer.backward(grad, x, y)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, given.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_the_first_of_equal_pixels_takes_the_gradient() -> None:
    layer = make({"kind": "max_pool", "size": 2})
    assert isinstance(layer, DigitalLayer)
    x = np.zeros((1, 1, 2, 2), np.float32)
    y = layer.forward(x)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y), x, y), [[[[1, 0], [0, 0]]]])


def test_sigmoid_and_relu_survive_large_inputs() -> None:
    x = np.array([[-1e4, 1e4]], np.float32)
    sigmoid = make({"kind": "sigmoid"})
    assert isinstance(sigmoid, Activation)
    np.testing.assert_array_equal(sigmoid.forward(x), [[0.0, 1.0]])


CONVOLUTIONS = [c for c in catalogue_helpers.cases(catalogue.LAYERS) if c["kind"] == "conv2d"]
CONVOLUTIONS.append({"kind": "conv2d", "channels": 4, "kernel": 3, "stride": 3, "padding": 2})


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=catalogue_helpers.name)
def test_convolution_by_patches_equals_torch(case: dict[str, Any]) -> None:
    layer = make(case)
    assert isinstance(layer, WeightedLayer)
    x = images(0, (3, *IMAGE))
    reference = torch.nn.Conv2d(
        IMAGE[0], case["channels"], case["kernel"], case.get("stride", 1), case.get("padding", 0), bias=False
    )
    w = reference.weight.detach().numpy().reshape(case["channels"], -1)
    assert layer.matrix(IMAGE) == w.shape
    given = torch.tensor(x, requires_grad=True)
    expected = reference(given)
    rows = layer.gather(x)
    assert rows.shape == (3 * layer.patches(IMAGE), w.shape[1])
    y = layer.assemble(rows @ w.T, IMAGE)
    assert y.shape[1:] == layer.output_shape(IMAGE)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    grad = images(1, y.shape)
    expected.backward(torch.tensor(grad))
    d = layer.disassemble(grad)
    assert given.grad is not None
    assert reference.weight.grad is not None
    np.testing.assert_allclose(layer.scatter(d @ w, IMAGE), given.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d.T @ rows, reference.weight.grad.numpy().reshape(w.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [{"kind": "linear", "units": 4}, *CONVOLUTIONS], ids=catalogue_helpers.name)
def test_scatter_is_the_transpose_of_gather(case: dict[str, Any]) -> None:
    layer = make(case)
    assert isinstance(layer, WeightedLayer)
    shape = (5,) if case["kind"] == "linear" else IMAGE
    x = images(0, (3, *shape))
    rows = layer.gather(x)
    other = images(1, rows.shape)
    np.testing.assert_allclose(np.vdot(rows, other), np.vdot(x, layer.scatter(other, shape)), rtol=1e-4)
    a = images(2, (len(rows), layer.matrix(shape)[0]))
    np.testing.assert_array_equal(layer.disassemble(layer.assemble(a, shape)), a)


@pytest.mark.parametrize(
    ("case", "shape", "message"),
    [
        ({"kind": "linear", "units": 2}, (1, 4, 4), "put 'flatten' before it"),
        ({"kind": "conv2d", "channels": 1, "kernel": 5}, (1, 4, 4), "does not fit"),
        ({"kind": "conv2d", "channels": 1, "kernel": 1}, (4,), r"\(channels, height, width\)"),
        ({"kind": "max_pool", "size": 5}, (1, 4, 4), "do not fit"),
        ({"kind": "avg_pool", "size": 2}, (4,), r"\(channels, height, width\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(case: dict[str, Any], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(case).output_shape(shape)
