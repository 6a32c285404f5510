"""Which arrays of a chip an experiment will use, found by building its tiles on emulated cells. It never opens the chip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import PLAIN, EmulatedFabric, Fabric, Fabrication
from analog_sim.chip.twin import full_name
from analog_sim.config import ConfigError, Location, Problem, UserError, find_key
from analog_sim.random.streams import Name, Streams
from analog_sim.tiles.tile import Tile
from learning.common.weight_tile import WeightTile
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment, arms_of
from learning.torch_bridge.chip_network import ChipNetwork


@dataclass(frozen=True)
class WantedArray:
    """An array that a run asks for.

    Attributes:
        place, name: of it. rows, cols, pair: of it.
    """

    place: tuple[Name, ...]
    name: tuple[Name, ...]
    rows: int
    cols: int
    pair: bool

    @property
    def full(self) -> str:
        """Its name on the whole chip."""
        return full_name(*self.place, *self.name)

    @property
    def cells(self) -> int:
        """How many it has."""
        return self.rows * self.cols * (2 if self.pair else 1)

    def on(self, chip: Fabric) -> Crossbar:
        """The array of a chip."""
        there = chip.at(*self.place) if self.place else chip
        return there.crossbar(self.name, self.rows, self.cols, pair=self.pair)


@dataclass(frozen=True)
class ListedFabric:
    """Emulated cells that write down what is asked for.

    Attributes:
        hidden: makes them. found: what was asked for. place: names on the way here. record: none is kept.
    """

    hidden: Fabric
    found: dict[str, WantedArray] = field(default_factory=dict)
    place: tuple[Name, ...] = ()
    record: None = None

    @property
    def cell(self) -> CellModel:
        """As of the cells."""
        return self.hidden.cell

    @property
    def clock(self) -> Clock:
        """As of the cells."""
        return self.hidden.clock

    @property
    def largest(self) -> tuple[int, int] | None:
        """As of the cells."""
        return self.hidden.largest

    def at(self, *place: Name) -> ListedFabric:
        """The part of the chip at `place`."""
        return replace(self, hidden=self.hidden.at(*place), place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> Crossbar:
        """An array, noted."""
        wanted = WantedArray(self.place, name, rows, cols, pair)
        self.found[wanted.full] = wanted
        return self.hidden.crossbar(name, rows, cols, pair=pair)


class Listing:
    """Stands where an experiment's chip stands, to list its arrays: emulated cells, noted.

    Attributes:
        found: what was asked for.
    """

    def __init__(self) -> None:
        self.found: dict[str, WantedArray] = {}

    def check(self) -> None:
        """Nothing can be wrong."""

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Emulated cells."""
        return ListedFabric(EmulatedFabric(cell, streams, clock), self.found)

    def release(self, fabric: Fabric) -> None:
        """Nothing was opened."""


def load_experiment(path: Path) -> Experiment | TrainExperiment:
    """The estimate or training of a file. Raises ConfigError."""
    from learning.experiments.estimation.load import load_estimate
    from learning.experiments.training.load import load_training

    schema, where = find_key(path, "schema")
    if schema == "estimate/1":
        return load_estimate(path, [])[0]
    if schema == "train/1":
        experiment, _ = load_training(path)
        return experiment
    raise ConfigError(
        [Problem(where or Location(str(path)), "schema", f"got '{schema}', allowed: estimate/1 or train/1")]
    )


def wanted_arrays(experiment: Experiment | TrainExperiment) -> list[WantedArray]:
    """All arrays that a run of the experiment asks for, in order. Raises UserError when it runs on no chip."""
    if isinstance(experiment, Experiment):
        found = _of_estimate(experiment)
    else:
        found = {}
        for arm in arms_of(experiment).values():
            found |= _of_training(arm)
    if not found:
        raise UserError("calibrate: the experiment uses no chip (device: null)")
    return list(found.values())


def _of_estimate(experiment: Experiment) -> dict[str, WantedArray]:
    from learning.experiments.estimation.prepared import check, with_learned

    experiment = with_learned(experiment)
    # The plan needs the network's shape alone, so nothing is trained.
    plan = check(experiment.model_copy(update={"chip": Listing()})).plan
    streams = Streams(0)
    listed = ListedFabric(EmulatedFabric(experiment.device.compile(), streams, Clock()))

    def build(name: str, shape: tuple[int, int]) -> WeightTile:
        return Tile(experiment.tile, listed.at("tile", name), shape, streams.child("tile", name))

    ChipNetwork(plan, build, bias=experiment.bias_place)
    return listed.found


def _of_training(arm: TrainExperiment) -> dict[str, WantedArray]:
    from learning.experiments.training.chip import build
    from learning.experiments.training.data import training_data

    if arm.device is None:
        return {}
    listing = Listing()
    build(arm.model_copy(update={"chip": listing}), training_data(arm.dataset, arm.validation), arm.seeds[0])
    return listing.found
