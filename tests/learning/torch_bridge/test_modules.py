"""Modules on exact tiles are torch's own layers, forward and backward; the backward choices differ as documented."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from analog_sim.tiles.digital import DigitalTile
from learning.torch_bridge import modules
from learning.torch_bridge.modules import AnalogConv2d, AnalogLinear, Backward

COMBINATIONS = [
    (kernel, stride, padding, dilation, groups, mode)
    for kernel, stride, padding, dilation, groups, mode in itertools.product(
        [(3, 3), (2, 5)],
        [1, (2, 3)],
        [0, (1, 2), "same", "valid"],
        [1, (2, 1)],
        [1, 2, 4],
        ["zeros", "reflect", "replicate", "circular"],
    )
    if padding != "same" or stride == 1
]
# Torch pads such images itself, with a copy, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")


def linear(layer: nn.Linear, **options: Any) -> AnalogLinear:
    extra = options.get("bias_input") is not None
    made = AnalogLinear(layer, DigitalTile((layer.out_features, layer.in_features + extra)), **options)
    made.write()
    return made


def conv(layer: nn.Conv2d, **options: Any) -> AnalogConv2d:
    extra = options.get("bias_input") is not None
    n_in = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
    shape = (layer.out_channels // layer.groups, n_in + extra)
    made = AnalogConv2d(layer, tuple(DigitalTile(shape) for _ in range(layer.groups)), **options)
    made.write()
    return made


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups", "mode"), COMBINATIONS)
def test_convolution_is_torchs(kernel, stride, padding, dilation, groups, mode) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, padding_mode=mode)
    made = conv(layer)
    x = torch.randn(3, 4, 11, 13, requires_grad=True)
    expected = layer(x)
    d = torch.randn_like(expected)
    expected.backward(d)
    gradients = (x.grad.clone(), layer.weight.grad, layer.bias.grad)
    x.grad = None
    with torch.no_grad():
        close(made(x), expected)
    y = made(x)
    close(y, expected)
    y.backward(d)
    for mine, torchs in zip((x.grad, made.weight.grad, made.bias.grad), gradients, strict=True):
        close(mine, torchs)
    made.analog = False
    close(made(x), expected)


@pytest.mark.parametrize("patch_bytes", [1, 5000, 1 << 30])
def test_chunks_do_not_show(patch_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Conv2d(2, 3, 3)
    made, x = conv(layer), torch.randn(7, 2, 6, 6)
    monkeypatch.setattr(modules, "PATCH_BYTES", patch_bytes)
    monkeypatch.setattr(modules, "FEWEST", 1)
    reads = 0
    forward = made.tiles[0].forward

    def counted(rows: np.ndarray) -> np.ndarray:
        nonlocal reads
        reads += 1
        return forward(rows)

    monkeypatch.setattr(made.tiles[0], "forward", counted)
    with torch.no_grad():
        close(made(x), layer(x))
    assert reads == {1: 112, 5000: 2, 1 << 30: 1}[patch_bytes]  # of 7 x 16 patches of 72 bytes


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs_for_any_leading_dimensions(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(5, 4, bias=bias)
    x = torch.randn(*shape)
    made = linear(layer)
    close(made(x), layer(x))
    with torch.no_grad():
        close(made(x), layer(x))


def test_images_without_a_batch_and_non_contiguous_inputs() -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1)
    made = conv(layer)
    close(made(torch.ones(2, 5, 5)), layer(torch.ones(2, 5, 5)))
    x = torch.randn(4, 5, 6, 2).permute(0, 3, 1, 2)
    with torch.no_grad():
        close(made(x), layer(x))
    fc = nn.Linear(4, 2)
    x = torch.randn(4, 7).T
    close(linear(fc)(x), fc(x))


@pytest.mark.parametrize("bias_input", [1.0, 3.0])
def test_bias_on_the_chip(bias_input: float) -> None:
    fc, x = nn.Linear(5, 4), torch.randn(3, 5)
    made = linear(fc, bias_input=bias_input)
    np.testing.assert_allclose(made.tiles[0].read_weights()[:, -1], fc.bias.detach().numpy() / bias_input, rtol=1e-6)
    close(made(x), fc(x))
    made(x).sum().backward()
    fc(x).sum().backward()
    close(made.bias.grad, fc.bias.grad)
    layer, x = nn.Conv2d(4, 6, 3, groups=2), torch.randn(2, 4, 5, 5)
    close(conv(layer, bias_input=bias_input)(x), layer(x))


def test_double_precision_inputs_keep_their_type() -> None:
    layer = nn.Linear(3, 2)
    y = linear(layer).double()(torch.ones(1, 3, dtype=torch.float64))
    assert y.dtype == torch.float64
    close(y.float(), layer(torch.ones(1, 3)))


@pytest.mark.parametrize("backward", modules.BACKWARD)
def test_backward_passes(backward: Backward) -> None:
    """The tile holds other weights than the digital ones: ideal ignores that, the other two do not."""
    layer = nn.Linear(5, 4, bias=False)
    made = linear(layer, backward=backward)
    held = torch.randn(4, 5)
    made.tiles[0].program(held.numpy())
    x, d = torch.randn(3, 5, requires_grad=True), torch.randn(3, 4)
    y = made(x)
    close(y, x @ held.T)
    y.backward(d)
    close(x.grad, d @ (layer.weight if backward == "ideal" else held))
    close(made.weight.grad, d.T @ x)


def test_write_push_and_pull() -> None:
    made = linear(nn.Linear(3, 2), bias_input=2.0)
    with pytest.raises(ValueError, match="call write"):
        AnalogLinear(nn.Linear(3, 2), DigitalTile((2, 3))).push()
    before = made.tiles[0].read_weights()
    made.tiles[0].program(before + 1.0)  # the chip has drifted away
    with torch.no_grad():
        made.weight += 0.5
        made.bias += 0.5
    made.push()  # sends only what changed
    change = np.full_like(before, 1.5)
    change[:, -1] = 1.0 + 0.5 / 2.0
    np.testing.assert_allclose(made.tiles[0].read_weights(), before + change, rtol=1e-5)
    made.pull()
    np.testing.assert_allclose(made.matrices()[0], before + change, rtol=1e-5)
    made.write()
    np.testing.assert_allclose(made.tiles[0].read_weights(), before + change, rtol=1e-5)
    grouped = conv(nn.Conv2d(4, 6, (2, 3), groups=2))
    wanted = grouped.weight.detach().clone()
    grouped.pull()
    close(grouped.weight, wanted)


def test_training_through_tiles_learns() -> None:
    """Any torch loop trains through the tiles: forward on the chip, gradient of the digital weights, write back."""
    torch.manual_seed(1)
    x = torch.randn(64, 4)
    y = (x[:, 0] + x[:, 1] > 0).long()
    model = nn.Sequential(linear(nn.Linear(4, 8)), nn.Tanh(), linear(nn.Linear(8, 2), backward="analog"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for layer in (model[0], model[2]):
            layer.push()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (model(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(nn.Linear(3, 2))(torch.ones(1, 4)), "last dimension must be 3"),
        (lambda: conv(nn.Conv2d(2, 3, 3))(torch.ones(1, 3, 5, 5)), r"\(N, 2, H, W\)"),
        (lambda: conv(nn.Conv2d(2, 3, 3))(torch.ones(1, 2, 2, 2)), "larger than the padded image"),
        (lambda: AnalogLinear(nn.Linear(3, 2), DigitalTile((3, 2))), "is needed"),
        (lambda: AnalogConv2d(nn.Conv2d(2, 2, 1, groups=2), (DigitalTile((1, 1)),)), "2 groups"),
        (lambda: linear(nn.Linear(3, 2), backward="exact"), "allowed: ideal"),
        (lambda: linear(nn.Linear(3, 2), bias_input=-1.0), "bias_input must be > 0"),
    ],
)
def test_misuse_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_one_by_one_kernels_of_one_channel() -> None:
    """The patches are the image itself, which torch must not warn about."""
    layer, x = nn.Conv2d(1, 3, 1), torch.randn(2, 1, 4, 4)
    with torch.no_grad():
        close(conv(layer)(x), layer(x))
