"""A residual network of convolutions on tiles against the same module in torch: every strip of patches is one read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec, DacSpec
from analog_sim.tiles.tile import Tile, TileSpec
from learning.experiments.commands.benchmark_cases._case import Case
from learning.torch_bridge.convert import calibrate, convert

BATCH = 64
SIDE = 32


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a way around them, which is a 1x1 convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``relu(second(relu(first(x))) + around(x))``."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.around(x))


class _ResNet8(nn.Module):
    """Images (B, 3, 32, 32) -> 10 classes; random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, 1, 1)
        self.blocks = nn.Sequential(_ResidualBlock(16, 16, 1), _ResidualBlock(16, 32, 2), _ResidualBlock(32, 64, 2))
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Global average before the last layer."""
        scores: Tensor = self.last(self.blocks(torch.relu(self.first(x))).mean((2, 3)))
        return scores


def cases() -> Iterator[Case]:
    """Yield ideal cells without converters, and noisy cells with them."""
    u = np.linspace(0, 1, 257, dtype=np.float32)[None]
    noise = ReadNoiseModel(white=(0.02 * 25e-6) * np.sqrt(u + 0.01))
    converters = TileSpec(dac=DacSpec(bits=8), adc=AdcSpec(bits=9, noise=0.01))
    yield _case("convolution/ideal", CellModel("ideal", 0.0, 25e-6), TileSpec())
    yield _case("convolution/read_noise", CellModel("state-dependent read noise", 0.0, 25e-6, read=noise), converters)


def _case(name: str, cell: CellModel, spec: TileSpec) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network, x = _ResNet8().eval(), torch.randn(BATCH, 3, SIDE, SIDE)
    streams = Streams(2)
    chip = convert(network, lambda layer, shape: Tile(spec, cell, shape, streams.child(layer)))
    calibrate(chip, x)

    def run(module: nn.Module) -> Callable[[], Tensor]:
        def forward() -> Tensor:
            with torch.no_grad():
                result: Tensor = module(x)
                return result

        return forward

    return Case(name, SIDE, BATCH, ours=run(chip), reference=run(network), reference_name="the same module in torch")
