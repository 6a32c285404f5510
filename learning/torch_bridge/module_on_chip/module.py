"""`OnChip`: a torch module whose layers run on the tiles of one emulated chip, which ages when it is told to. It never trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analog_sim.chip.clock import Clock
from analog_sim.config import UserError
from analog_sim.tiles.tile import Tile
from learning.torch_bridge.analog_layer import analog_layers
from learning.torch_bridge.arrays import to_numpy
from learning.torch_bridge.chip_network import product_error
from learning.torch_bridge.inputs import calibrate, record_inputs
from learning.torch_bridge.modules import Backward
from learning.torch_bridge.plan import Bias, Plan
from learning.torch_bridge.prepare import prepare

_SHOWN = 12
"""Layers that a description lists."""


def as_tensor(x: object, what: str = "sample") -> Tensor:
    """Inputs as a tensor: one already, or whatever NumPy takes; numbers become float32. Raises UserError."""
    if isinstance(x, Tensor):
        return x
    found = np.asarray(x)
    if found.dtype.kind not in "fiub" or not found.size:
        raise UserError(f"{what}: must be numbers (got {found.dtype} {found.shape})")
    return torch.from_numpy(np.ascontiguousarray(found, np.float32))


def planned_module(module: object, sample: object | None, digital: tuple[str, ...]) -> Plan:
    """Check a module before any tile exists. Raises UserError."""
    if not isinstance(module, nn.Module):
        raise UserError(f"convert: must be a torch module (got {type(module).__name__})")
    return prepare(module, None if sample is None else as_tensor(sample), digital=digital)


@contextmanager
def _inputs_named(what: str, inputs: Tensor) -> Iterator[None]:
    """What a network raises on inputs that do not fit, as one line. Raises UserError."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{what}: the network fails on inputs of shape {tuple(inputs.shape)}: {error}") from error


@final
class OnChip(nn.Module):
    """A copy of a torch module on the tiles of one chip; it is called like the module.

    Args:
        plan: the checked module. build_tile: (name, (n_out, n_in)) -> tile on the chip. clock: of the chip. card: name of its cells.
        seconds: time -> seconds, for `wait`. sample: inputs that fix the converters' ranges; None leaves them to the weights.
        bias, backward: as in `Plan.build`.

    Attributes:
        module: the converted module. clock: chip time. notes: what a reader has to know of the conversion.
    """

    def __init__(
        self,
        plan: Plan,
        build_tile: Callable[[str, tuple[int, int]], Tile],
        clock: Clock,
        *,
        card: str,
        seconds: Callable[[float | str], float],
        sample: object | None = None,
        bias: Bias = "digital",
        backward: Backward = "ideal",
    ) -> None:
        super().__init__()
        self.clock, self.card, self.notes, self._seconds = clock, card, plan.notes, seconds
        self._tiles: list[Tile] = []

        def build(name: str, shape: tuple[int, int]) -> Tile:
            self._tiles.append(build_tile(name, shape))
            return self._tiles[-1]

        with clock.parallel():
            self.module = plan.build(build, bias=bias, backward=backward)
        if sample is not None:
            calibrate(self.module, as_tensor(sample))
        self._born = clock.now
        self.eval()

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Run the network on the chip as it is now; arrays and DataFrames are taken as tensors."""
        tables = (np.ndarray, np.generic)
        taken = [as_tensor(x, "x") if isinstance(x, tables) or type(x).__name__ == "DataFrame" else x for x in inputs]
        return self.module(*taken, **keywords)

    @property
    def age(self) -> float:
        """Seconds since programming."""
        return self.clock.now - self._born

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The emulated tiles, in the order of the layers."""
        return tuple(self._tiles)

    def wait(self, time: float | str) -> OnChip:
        """Let chip time pass, seconds or a text (`1 day`), compensate the drift as configured, and return the network.

        Raises:
            UserError: a time that cannot pass.
        """
        self.clock.advance(self._seconds(time))
        with self.clock.parallel():
            for tile in self._tiles:
                tile.compensate()
        return self

    def program(self) -> OnChip:
        """Write the digital weights into the cells anew: another programming error, age 0; return the network."""
        with self.clock.parallel():
            for layer in analog_layers(self.module).values():
                layer.write()
        self._born = self.clock.now
        return self

    def calibrate(self, sample: object) -> OnChip:
        """Fix the converters' ranges on sample inputs (N, ...); return the network."""
        given = as_tensor(sample)
        with _inputs_named("calibrate", given):
            calibrate(self.module, given)
        return self

    @torch.no_grad()
    def accuracy(self, x: object, y: npt.ArrayLike, batch: int = 256) -> float:
        """Share of inputs x (N, ...) whose largest output is at the label y (N,), on the chip as it is now. Chip time stands still.

        Raises:
            UserError: labels that do not fit the outputs.
        """
        inputs, labels = as_tensor(x, "x"), np.asarray(y)
        if labels.shape != inputs.shape[:1] or not labels.size:
            raise UserError(f"accuracy: needs one label per input (got {tuple(inputs.shape)} and {labels.shape})")
        with self.clock.parallel(), _inputs_named("accuracy", inputs):
            scores = torch.cat([self.module(part) for part in inputs.split(batch)])
        if scores.ndim != 2:
            raise UserError(f"accuracy: the network must give (N, classes) (got {tuple(scores.shape)})")
        return float((to_numpy(scores).argmax(axis=1) == labels).mean())

    @torch.no_grad()
    def errors(self, sample: object, rows: int = 256) -> dict[str, float]:
        """Layer -> MVM error ``rms(y - W x) / rms(W x)`` now, on what sample inputs (N, ...) make of its inputs. Chip time stands still."""
        given = as_tensor(sample)
        with _inputs_named("errors", given):
            inputs = record_inputs(self.module, given, rows)
        layers = analog_layers(self.module)
        with self.clock.parallel():
            return {name: product_error(layers[name], parts) for name, parts in inputs.items()}

    def rows(self) -> list[tuple[str, str, str, str]]:
        """One row per layer on the chip: name, weights, arrays, cells."""
        found = []
        for name, layer in analog_layers(self.module).items():
            shapes = " + ".join(dict.fromkeys(f"{tile.shape[0]} x {tile.shape[1]}" for tile in layer.tiles))
            tiles = [tile for tile in layer.tiles if isinstance(tile, Tile)]
            arrays = sum(len(tile.arrays) for tile in tiles)
            cells = sum(array.info.cells for tile in tiles for array in tile.arrays)
            found.append((name, shapes, str(arrays), f"{cells}"))
        return found

    def __repr__(self) -> str:
        rows = self.rows()
        lines = [
            f"network on a chip of {self.card}, {self.age:.3g} s after programming",
            *(
                f"  {name}: weights {shape}, {arrays} arrays, {cells} cells"
                for name, shape, arrays, cells in rows[:_SHOWN]
            ),
        ]
        return "\n".join([*lines, *([f"  and {len(rows) - _SHOWN} more layers"] if len(rows) > _SHOWN else [])])
