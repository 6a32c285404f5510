"""A planned network on the tiles of one chip, spoken to in numpy arrays. It never knows time, cards or random numbers."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt
import torch

from learning.common.weight_tile import TileFactory, WeightTile
from learning.torch_bridge.convert import Bias, Plan, analog_layers, calibrate, record_inputs
from learning.torch_bridge.digital_training import predict
from learning.torch_bridge.modules import AnalogLayer

F32 = npt.NDArray[np.float32]


@final
class ChipNetwork:
    """A network whose layers are on tiles; nothing is programmed before `write`.

    Args:
        plan: the checked network. build_tile: makes the tiles. bias, bias_inputs: as in `Plan.build`.
    """

    def __init__(
        self,
        plan: Plan,
        build_tile: TileFactory,
        *,
        bias: Bias = "digital",
        bias_inputs: dict[str, float] | None = None,
    ) -> None:
        self._module = plan.build(build_tile, bias=bias, bias_inputs=bias_inputs, write=False)

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Name -> layer."""
        return analog_layers(self._module)

    @property
    def tiles(self) -> list[WeightTile]:
        """All tiles, in the order of the layers."""
        return [tile for layer in self.layers.values() for tile in layer.tiles]

    def write(self) -> None:
        """Program all tiles."""
        for layer in self.layers.values():
            layer.write()

    def calibrate(self, x: F32) -> None:
        """Fix converter ranges with inputs (N, ...) of the network."""
        calibrate(self._module, torch.tensor(x))

    def scores(self, x: F32, batch: int) -> F32:
        """Outputs (N, classes) of the chip for inputs (N, ...), `batch` at a time."""
        return predict(self._module, x, batch)

    def inputs(self, x: F32, rows: int) -> dict[str, list[F32]]:
        """What drives each tile in the ideal network: layer -> (<= rows, n_in) per tile."""
        return record_inputs(self._module, torch.tensor(x), rows)


def product_error(layer: AnalogLayer, inputs: list[F32]) -> float:
    """Error of a layer's products, ``rms(y - W x) / rms(W x)`` over all its tiles, gains included.

    Args:
        layer: on tiles. inputs: (B, n_in without a bias line) for every tile.
    """
    wrong = right = 0.0
    for tile, w, x in zip(layer.tiles, layer.matrices(), inputs, strict=True):
        driven = layer.with_bias_line(x)
        ideal = driven @ w.T
        wrong += float(np.square(tile.forward(driven) - ideal, dtype=np.float64).sum())
        right += float(np.square(ideal, dtype=np.float64).sum())
    return (wrong / right) ** 0.5 if right > 0.0 else 0.0


def largest_inputs(plan: Plan, build_tile: TileFactory, x: F32) -> dict[str, float]:
    """Largest absolute input of every layer for inputs (N, ...) of the network: a good drive of its bias line."""
    inputs = ChipNetwork(plan, build_tile).inputs(x, rows=1 << 16)
    return {
        name: max((float(np.abs(part).max()) for part in parts if part.size), default=0.0) or 1.0
        for name, parts in inputs.items()
    }
