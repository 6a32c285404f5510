"""One emulated chip: fabricate, program, let time pass, measure. Everything follows from (seed, chip) and the variant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from analog_sim.chip.clock import Clock
from analog_sim.chip.cost import Costs
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from analog_sim.tiles.column_scaled import ColumnScaledTile
from analog_sim.tiles.tile import Tile
from learning.common.weight_tile import WeightTile
from learning.experiments.estimation.prepared import Prepared
from learning.experiments.estimation.studies import Variant
from learning.experiments.monte_carlo.evaluate import Task
from learning.experiments.monte_carlo.score import evaluated
from learning.experiments.parallel.memory import release_memory
from learning.experiments.report.estimate.results import LAYER_ERROR
from learning.experiments.report.wording import time_label
from learning.experiments.runs.result_log import Row
from learning.torch_bridge.arrays import set_torch_threads
from learning.torch_bridge.chip_network import ChipNetwork, product_error

F32 = npt.NDArray[np.float32]

PIXELS = 2**15
"""Pixels of the images that run through an emulated chip at a time: the layers' outputs for 32 images of 32 x 32 need a sixth of the
memory of those for 200, and the same time."""


@final
class Chip:
    """A programmed chip, at age 0.

    Chip time stands still while an open emulated chip is measured: the test images are a probe, not a workload.

    Args:
        prepared: the network. variant: the hardware. number: which chip. folder: for its record, or of the name that a replay looks for.

    Raises:
        UserError: the chip is not available, or cannot hold the network; it is let go of.
    """

    def __init__(self, prepared: Prepared, variant: Variant, number: int, folder: Path | None = None) -> None:
        streams = Streams(prepared.seed).child("chip", number)
        self._prepared = prepared
        self._fabric = prepared.chip.fabric(variant.hardware.cell, streams, Clock(), folder)
        self.clock = self._fabric.clock
        self._made: list[Tile] = []
        with ExitStack() as refused:
            refused.callback(self.close)
            self._program(variant, streams)
            refused.pop_all()
        self._born = self.clock.now

    def _program(self, variant: Variant, streams: Streams) -> None:
        """Lay the network out, write its weights, calibrate its converters."""
        fabric, prepared = self._fabric, self._prepared

        def build(name: str, shape: tuple[int, int]) -> WeightTile:
            place = ("tile", name)
            tile = Tile(variant.hardware.tile, fabric.at(*place), shape, streams.child(*place))
            self._made.append(tile)
            return tile if variant.weight_scale == "layer" else ColumnScaledTile(tile)

        self.network = ChipNetwork(prepared.plan(), build, bias=variant.bias, bias_inputs=prepared.bias_inputs)
        with self.clock.parallel():
            self.network.write()
        if prepared.calibration is not None:
            self.network.calibrate(prepared.calibration.rows)

    @property
    def age(self) -> float:
        """Seconds since programming."""
        return self.clock.now - self._born

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The emulated tiles, in the order of the layers; `network.tiles` are what the layers see of them."""
        return tuple(self._made)

    def wait_until(self, age: float) -> None:
        """Let time pass until `age`, not at all when that is past, and compensate the drift as the tile is configured to."""
        if age > self.age:
            self._made[0].wait(age - self.age)
        with self.clock.parallel():
            for tile in self._made:
                tile.compensate()

    def evaluate(self) -> dict[str, float]:
        """Accuracy, or R2 and mean squared error, on the test samples, now. Raises UserError when the chip's outputs are not finite."""
        with self._measuring():
            scores = self.network.scores(self._prepared.x_test, self._at_a_time())
        if not np.isfinite(scores).all():
            raise UserError(
                f"outputs of the chip at {time_label(self.age)} are not finite; conductances or noise of the card are beyond "
                "single precision"
            )
        return evaluated(scores, self._prepared.y_test, self._prepared.targets)

    def _at_a_time(self) -> int:
        """Samples that run through the network together, which no result of an open emulated chip depends on: its time stands still."""
        most, shape = self._prepared.batch, self._prepared.x_test.shape
        if not self._prepared.chip.snapshots or len(shape) < 4:
            return most
        return min(most, max(1, PIXELS // (shape[-1] * shape[-2])))

    def layer_errors(self, inputs: dict[str, list[F32]]) -> dict[str, float]:
        """Layer -> error of its products, now."""
        layers = self.network.layers
        with self._measuring():
            return {name: product_error(layers[name], parts) for name, parts in inputs.items()}

    @property
    def rewinds(self) -> bool:
        """Whether `rewound` can put it back: an open emulated chip that keeps no record, and whose cells reads do not disturb."""
        own = self._prepared.chip.snapshots and self._fabric.record is None
        return own and all(tile.inspectable and not tile.cell.read_disturb for tile in self._made)

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """After the block, in which it may be read and time may pass but no cell is written, the chip is as it was before."""
        states = [tile.state(cells=False) for tile in self._made]
        yield
        for tile, state in zip(self._made, states, strict=True):
            tile.restore(state)

    def _measuring(self) -> AbstractContextManager[object]:
        """Measuring stands aside of chip time where the chip is emulated and open; on any other chip it is a workload like any."""
        return self.clock.parallel() if self._prepared.chip.snapshots else nullcontext()

    def close(self) -> None:
        """Let go of the chip, and end its record."""
        self._prepared.chip.release(self._fabric)
        if self._fabric.record is not None:
            self._fabric.record.close()

    def costs(self) -> Costs:
        """What the chip has spent so far."""
        return sum((tile.costs() for tile in self._made), Costs())


def rehearsal(variant: Variant) -> tuple[Callable[[], object], ...]:
    """What every chip goes through, step by step on one small tile: it compiles most kernels that a chip needs, and leaves nothing."""
    shape = (24, 40)
    w = np.linspace(-1.0, 1.0, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    x = np.abs(w[:, :40])
    tile = Tile(variant.hardware.tile, variant.hardware.cell, shape, Streams(0))
    return (
        lambda: tile.program(w),
        lambda: tile.calibrate(x),
        lambda: tile.forward(x),
        lambda: tile.wait(1.0),
        tile.compensate,
        lambda: tile.forward(x),
    )


def run_chip(
    prepared: Prepared, task: Task, folders: Path | None = None, made: MutableMapping[int, Chip] | None = None
) -> list[Row]:
    """Run one chip of one variant: one row per time.

    Args:
        prepared: the network. task: `args` holds the variant. folders: where each chip has one of its own.
        made: number -> chip of the nominal variant that is programmed already; it is taken out.
    """
    set_torch_threads(1)
    (variant,) = task.args
    number = int(task.key["chip"] or 0)
    folder = None if folders is None else folders / folder_name(variant, number)
    nominal = variant.study == "nominal"
    inputs = prepared.probes.rows if nominal else {}
    rows: list[Row] = []
    ready = made.pop(number, None) if nominal and made is not None else None
    with closing(Chip(prepared, variant, number, folder) if ready is None else ready) as chip:
        del ready
        for age in variant.times:
            chip.wait_until(age)
            found = chip.evaluate()
            errors = chip.layer_errors(inputs)
            row: Row = {"time_s": age, **found}
            row |= {LAYER_ERROR + name: errors.get(name) for name in prepared.layers}
            rows.append(row)
    del chip
    release_memory()
    return rows


def folder_name(variant: Variant, number: int) -> str:
    """Name of a chip's folder: study, value and number; another for every value, whatever characters it has."""
    told = "-".join(filter(None, (variant.study, variant.value)))
    name = re.sub(r"[^\w.+-]+", "_", told, flags=re.ASCII)[:60]
    if name != told:
        name += f"_{hashlib.sha256(told.encode()).hexdigest()[:8]}"
    return f"{name}-{number}"
