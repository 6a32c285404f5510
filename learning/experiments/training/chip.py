"""The network of a training run on its chip: tiles of one card that share a clock, or digital tiles. It never trains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.chip.clock import LONGEST, Clock
from analog_sim.chip.fabric import EmulatedFabric, Fabric, Record
from analog_sim.chip.sealed import SealedFabric
from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import OuterProduct
from learning.common.needs import Needs, check_periphery, check_tile, check_writing
from learning.common.weight_tile import Role, TileMaker, WeightTile, digital_tile
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.runs.network_file import network_file, read_network
from learning.experiments.training.data import Order, TrainData
from learning.losses.losses import check_loss
from learning.network.learned import LearnedNetwork
from learning.network.network import Network, build_network
from learning.network.starting import start_from

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Setup:
    """A network on its chip.

    Attributes:
        network: with its first weights. start: what they were taken from, None where they were drawn.
        clock: chip time, shared by all tiles. record: of the chip's operations, None without one.
        release: lets go of the chip.
    """

    network: Network
    start: LearnedNetwork | None
    clock: Clock
    record: Record | None
    release: Callable[[], None]


def _nothing_against(setup: Setup) -> None:
    """A run that begins has no checkpoint that could speak against the chip."""


def build(
    experiment: TrainExperiment,
    data: TrainData,
    seed: int,
    folder: Path | None = None,
    agreed: Callable[[Setup], None] = _nothing_against,
) -> Setup:
    """Make or open the chip of a seed and program the first weights; nothing is sent to the chip before all can be served.

    folder: where a record of the chip may be kept. agreed: called before anything is sent to the chip; what it raises ends all.

    Raises:
        UserError: the network does not fit the data or the chip; or the chip cannot serve the rule, the write scheme or the decorrelation.
    """
    start = start_of(experiment, data)
    spec = experiment.network if start is None else start.spec
    assert spec is not None, "an experiment has a network or weights"
    streams, clock = Streams(seed), Clock()
    maker: TileMaker = digital_tile
    on_chip: _Maker | None = None
    record: Record | None = None
    release: Callable[[], None] = _nothing
    if experiment.device is not None:
        chip = streams.child("chip")
        fabric = experiment.chip.fabric(experiment.device.compile(), chip, clock, folder)
        maker = on_chip = _Maker(experiment, fabric, chip)
        clock, record = fabric.clock, fabric.record
        release = partial(experiment.chip.release, fabric)
    with ExitStack() as refused:
        refused.callback(release)
        if record is not None:
            refused.callback(record.close)
        network = build_network(
            spec,
            data.shape,
            len(data.outputs),
            make_tile=maker,
            streams=streams,
            decorrelation=experiment.decorrelation,
            start=start,
        )
        who = f"rule {experiment.rule.kind}"
        check_periphery(who, experiment.rule.needs, experiment.periphery)
        _check_matrices(who, experiment, len(network.layers))
        for layer in network.layers:
            check_tile(who, experiment.rule.needs, layer.name, layer.tile.capabilities)
        setup = Setup(network, start, clock, record, release)
        agreed(setup)
        if on_chip is not None:
            on_chip.program()
        refused.pop_all()
    return setup


def _nothing() -> None:
    """There is no chip to let go of."""


def start_of(experiment: TrainExperiment, data: TrainData) -> LearnedNetwork | None:
    """The trained network that learning starts from, as its matrices begin; None without one. Raises UserError."""
    if experiment.weights is None:
        return None
    learned = read_network(experiment.weights)
    x = data.x[: experiment.calibration]
    return start_from(learned, experiment.network, experiment.decorrelation, x, data.outputs)


def with_start(experiment: TrainExperiment) -> TrainExperiment:
    """An arm with the file that its weights are in, and with the network that they are of where it names none. Raises UserError."""
    if experiment.weights is None:
        return experiment
    path = network_file(experiment.weights)
    network = experiment.network if experiment.network is not None else read_network(path).spec
    return experiment.model_copy(update={"weights": path, "network": network})


def _check_matrices(who: str, experiment: TrainExperiment, layers: int) -> None:
    """Raise UserError when the electronics cannot serve decorrelating matrices on the chip, or the rule's way back through them."""
    spec = experiment.decorrelation
    if spec is None or spec.where != "chip":
        return
    check_periphery(f"decorrelation {spec.method.kind}", spec.method.needs, experiment.periphery)
    crossed = any(spec.covers(layer) for layer in range(1, layers))
    if crossed and experiment.rule.needs.transposed_matrices:
        back = Needs(transposed_read=True)
        check_periphery(
            f"{who}: sends errors back through decorrelating matrices on the chip", back, experiment.periphery
        )


class _Maker:
    """Makes the tiles of one chip; which weights they must hold decides their range. It sends nothing to the chip before `program`."""

    def __init__(self, experiment: TrainExperiment, fabric: Fabric, streams: Streams) -> None:
        self._experiment, self._fabric, self._streams = experiment, fabric, streams
        self._first: list[tuple[Tile, F32]] = []

    def __call__(self, name: str, weights: F32, role: Role = "weights") -> WeightTile:
        experiment = self._experiment
        matrix = role == "decorrelation"
        spec = experiment.matrix_tile if matrix and experiment.matrix_tile is not None else experiment.tile
        decorrelation = experiment.decorrelation
        if matrix and decorrelation is not None:
            spec = with_full_weight(spec, decorrelation.window)
        else:
            spec = with_full_weight(spec, experiment.headroom * (float(np.abs(weights).max()) or 1.0))
        shape = (weights.shape[0], weights.shape[1])
        tile = Tile(spec, self._fabric.at(name), shape, self._streams.child(name))
        tile.check_writing()
        self._first.append((tile, weights))
        return tile

    def program(self) -> None:
        """Write the first weights of all tiles, in the order in which they were made."""
        for tile, weights in self._first:
            tile.program(weights)


def with_full_weight(spec: TileSpec, full: float) -> TileSpec:
    """`spec` with the edge of the window at `full` where it says "absmax"; a given number stays as it is."""
    if spec.mapping.weight_max != "absmax":
        return spec
    mapping = spec.mapping.model_copy(update={"weight_max": full})
    return spec.model_copy(update={"mapping": mapping})


def check(experiment: TrainExperiment, data: TrainData) -> None:
    """Try everything that can be refused before a chip is fabricated, on digital tiles and on tiles of one cell.

    Raises:
        UserError: as `build`; a batch is larger than the data; the write scheme asks for what the cells cannot do.
    """
    order = Order(Streams(0), len(data.x), experiment.batch)
    idle = experiment.idle_per_batch * max(1, round(experiment.epochs * order.per_epoch))
    if idle > LONGEST:
        raise UserError(
            f"idle_per_batch: {experiment.idle_per_batch:g} s after every batch are {idle:.3g} s in all; allowed: up to {LONGEST:g} s"
        )
    check_loss(experiment.loss, data.targets is not None, "loss")
    build(experiment.model_copy(update={"device": None}), data, 0)
    if experiment.device is None:
        return
    experiment.chip.check()
    tiles = [("the weights", experiment.rule.needs, experiment.tile, f"rule {experiment.rule.kind}")]
    decorrelation = experiment.decorrelation
    if decorrelation is not None and decorrelation.where == "chip" and not decorrelation.method.stands_still:
        spec = experiment.matrix_tile if experiment.matrix_tile is not None else experiment.tile
        who = f"decorrelation {decorrelation.method.kind}"
        tiles.append(("the decorrelating matrices", decorrelation.method.needs, spec, who))
    for where, needs, spec, who in tiles:
        one: F32 = np.ones((1, 1), np.float32)
        spec = with_full_weight(spec, 2.0).model_copy(update={"fault_map": None})
        fabric: Fabric = EmulatedFabric(experiment.device.compile(), Streams(0), Clock())
        tile = Tile(spec, fabric if experiment.chip.snapshots else SealedFabric(fabric), (1, 1), Streams(0))
        check_tile(who, needs, where, tile.capabilities)
        assert tile.spec.writing is not None, "a tile settles its specification"
        check_writing(who, needs, tile.spec.writing)
        tile.program(one)
        tile.update(OuterProduct(one, np.float32(0.01) * one), 1.0)
