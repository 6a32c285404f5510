"""Physics-aware training: forward on the chip, backward on a model of it, which need be neither exact nor differentiable on the chip.

Wright et al., Nature 601, 549 (2022), doi:10.1038/s41586-021-04223-6.
"""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.emulated import CrossbarState
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.chip.twin import MeasuredChip, TwinFabric, load_measured
from analog_sim.config import NamedPath
from analog_sim.random.streams import Streams
from analog_sim.saved_state import taken
from analog_sim.tiles.digital import DigitalTile
from analog_sim.tiles.tile import Tile
from learning.common.memory import Memory
from learning.common.mirrored_tile import MirroredTile
from learning.common.needs import Needs
from learning.common.weight_tile import WeightTile
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.backprop import Backprop
from learning.rules.base import F32, Proposed, Rule


class PhysicsAware(Rule):
    """``d_(l-1) = f'(a_(l-1)) gamma R_l^T M_l^T d_l``, a measured on the chip, M_l the weights of the twin, ``dW_l = <d_l y_l^T>``.

    The twin begins with the cells as they are read at the start, gets the pulses that the chip gets, and is never read from the chip
    again: how far it stays with the chip is what its calibration is worth. Amplifiers of the twin are left out on the way back.

    Attributes:
        twin: folder of a calibration; null for a twin that was not calibrated: cells of the card that the run believes.
        reads: of every cell at the start, averaged.
    """

    kind: Literal["physics_aware"] = "physics_aware"
    alignment: ClassVar[float | None] = 0.99999
    twin: NamedPath | None = None
    reads: Annotated[int, Field(ge=1, le=10_000)] = 4

    @property
    def needs(self) -> Needs:
        """Slopes, and the way back through decorrelating matrices; no transposed read of weights."""
        return Needs(transposed_matrices=True, writable=True, derivative=True)

    def init(self, network: Network, streams: Streams) -> Memory:
        """Put a twin beside every layer that errors go back through. Raises UserError when the twin's file is missing or damaged."""
        measured = None if self.twin is None else _without_amplifiers(load_measured(self.twin))
        clock = Clock()
        for layer in network.layers[1:]:
            if not isinstance(layer.tile, MirroredTile):
                layer.tile = MirroredTile(layer.tile, self._twin(layer.tile, layer.name, streams, (measured, clock)))
        return super().init(network, streams)

    def _twin(
        self, tile: WeightTile, name: str, streams: Streams, made_of: tuple[MeasuredChip | None, Clock]
    ) -> WeightTile:
        """A tile beside another, of the same weights, whose writer draws the same pulses."""
        measured, clock = made_of
        if not isinstance(tile, Tile):
            copy = DigitalTile(tile.shape)
            copy.program(tile.read_weights())
            return copy
        cells = streams.child("twin")
        fabric: Fabric = EmulatedFabric(tile.cell, cells, clock)
        if measured is not None:
            fabric = TwinFabric(tile.cell, measured, cells, clock)
        twin = Tile(tile.spec, fabric.at(name), tile.shape, streams.child("chip").child(name))
        twin.program(np.clip(tile.read_weights(), -tile.full_weight, tile.full_weight))
        twin.full_weight = tile.full_weight
        for mine, its in zip(twin.arrays, tile.arrays, strict=True):
            _take_over(mine, np.mean([its.read_conductance() for _ in range(self.reads)], axis=0, dtype=np.float32))
        return twin

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One pass forward on the chip, one back on the twin."""
        return Backprop().propose(network, loss, x, target, memory)


def _take_over(twin: Crossbar, g: F32) -> None:
    """Set the cells of a twin's array to what was read (planes, rows, cols); where their exact state cannot be set, by programming."""
    inside = twin.inside
    if inside is None:
        twin.program(g)
        return
    state = taken(CrossbarState, inside.state(), "crossbar")
    assert state["cells"] is not None  # they were asked for
    state["cells"]["g"] = np.maximum(g, np.float32(0.0))
    inside.restore(state)


def _without_amplifiers(measured: MeasuredChip) -> MeasuredChip:
    arrays = {name: replace(array, amplifiers=None) for name, array in measured.arrays.items()}
    return replace(measured, arrays=arrays)
