"""A planned network on the tiles of one chip, spoken to in numpy arrays. It never knows time, cards or random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from analog_sim.tiles.digital import DigitalTile
from learning.common.weight_tile import TileFactory, WeightTile
from learning.torch_bridge.convert import Bias, Plan, analog_layers
from learning.torch_bridge.digital.digital_training import predict
from learning.torch_bridge.inputs import DrivenInputs, calibrate_on, driven_inputs
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

    def calibrate(self, inputs: Mapping[str, list[F32]]) -> None:
        """Fix converter ranges with inputs of the layers, as `ideal_inputs` finds them."""
        calibrate_on(self._module, inputs)

    def scores(self, x: F32, batch: int) -> F32:
        """Outputs (N, classes) of the chip for inputs (N, ...), `batch` at a time."""
        return predict(self._module, x, batch)


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


def ideal_inputs(plan: Plan, x: F32, rows: int) -> DrivenInputs:
    """What drives each tile of the ideal network for inputs (N, ...) of it: at most so many rows per tile."""
    return driven_inputs(plan.build(lambda name, shape: DigitalTile(shape), write=False), torch.tensor(x), rows)
