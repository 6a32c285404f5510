"""The YAML of on-chip training (`schema: train/1`): data, network, rule, decorrelation, device, writing, arms. It never runs anything."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.backends.emulated import Emulated
from analog_sim.config import (
    ConfigError,
    Location,
    NamedPath,
    Override,
    Problem,
    Q,
    Resolver,
    StrictModel,
    UserError,
    at_key,
    one_of,
    override,
)
from analog_sim.config.yaml12 import Text
from analog_sim.tiles.tile import TileSpec
from devices.card import DeviceCard, resolve_card
from learning.common.needs import Periphery
from learning.common.schedule import Schedule
from learning.data.spec import AnyData
from learning.decorrelation.decorrelator import DecorrelationSpec
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.loky import Loky
from learning.losses.cross_entropy import CrossEntropy
from learning.losses.losses import AnyLoss
from learning.network.spec import AnyNetwork
from learning.optimizers.base import Optimizer
from learning.optimizers.sgd import SGD
from learning.rules.backprop import Backprop
from learning.rules.base import Rule

Positive = Annotated[float, Field(gt=0.0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Share = Annotated[float, Q("fraction", "", ge=0, le=1)]


class TwinSpec(StrictModel):
    """The ideal digital twin: the same network, first weights and order of data, trained by digital backpropagation.

    Attributes:
        learning_rate, optimizer: its own, because the best ones differ from rule to rule.
    """

    learning_rate: Positive = 0.1
    optimizer: Annotated[Optimizer, one_of("learning.optimizers", Optimizer, default="sgd")] = SGD()


class Arm(StrictModel):
    """One thing compared with others.

    Attributes:
        name: of the arm, in tables and figures. set: dotted key of this file -> its value in this arm.
    """

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    set: Annotated[Mapping[str, Any], Field(default_factory=dict)]


class TrainExperiment(StrictModel):
    """Training of a network in place, on emulated chips or on ideal digital tiles.

    Attributes:
        name: heading of the report and default name of the run folder.
        dataset: samples, published or the user's own.
        validation: hold out that many of the last training samples and evaluate on them instead of the test part.
        network: layers that learn. weights: a network that was trained before, on a chip or digitally, to start from: folder of a run or
            of one of its arms; `network` may then be left out. See `learning.network.starting` for decorrelating matrices.
        loss: what is minimised. rule: how the network learns. decorrelation: of the layers' inputs, or null.
        optimizer: turns gradients into steps, in the digital periphery. learning_rate: step size at the start of the run.
        schedule: how it goes to final_rate * learning_rate.
        final_rate: the learning rate at the end as a share of `learning_rate`.
        batch: samples per update. epochs: passes through the data, fractions allowed; an incomplete last batch is left out.
        device: a packaged card by name, a card's path, the card itself; null for exact digital tiles.
        chip: what the loop drives: "emulated" shows its inside, "sealed" is emulated cells behind the bare protocol, "fixed_arrays" a chip
            of arrays that exist, "replay" a record, "factory" the user's own.
        tile: mapping, converters, write scheme of the weights; `tile.writing: null` is what the cells can do.
        matrix_tile: of decorrelating matrices on the chip, null for the same.
        headroom: with `mapping.weight_max: absmax`, the weight at the edge of the window over the largest first weight, because
            weights grow. (Of decorrelating matrices: `decorrelation.full_scale`.)
        periphery: what the electronics around the arrays can do.
        idle_per_batch: chip time that passes after every batch. idle_at_end: all of it passes after the last batch instead, as for
            a chip that learned at once and was then left alone for as long.
        compensate_every: batches between two drift compensations; null never, because the gain is measured against the outputs right after
            programming and takes what was learned for drift (use it with `refresh`).
        calibration: training images that set the converters' ranges, where these are "calibrated"; ranges that are "auto", and those of
            transposed reads, follow the weights. calibrate_every: batches between two calibrations, because outputs grow while a
            network learns; before the first they come after 1, 2, 4, 8, ... batches, because they grow fastest then; null never again.
        evaluate_every: samples between two evaluations; null for once an epoch. Evaluations leave no trace on a chip that can be put back;
            on any other they are reads of the chip itself, counted and timed.
        probe: training images on which the correlations of the layers' inputs are measured.
        targets: accuracies for which the table says how many samples were needed.
        seeds: each is a chip, first weights and an order of the data.
        twin: the ideal digital twin to compare with, or null.
        arms: what is compared; without any, the file itself is the only one. hardware: on what; every arm runs on each of them.
        rate_factor: factor on learning_rate, for hardware that wants larger or smaller steps than the arms were tuned for.
        parallel: where arms and seeds run; its `jobs` is the script's --jobs.
    """

    config_references: ClassVar[Mapping[str, Resolver]] = MappingProxyType({"device": resolve_card})
    config_sweeps: ClassVar[bool] = True

    schema_: Annotated[Literal["train/1"], Field(alias="schema")] = "train/1"
    name: Annotated[str, Field(min_length=1, max_length=200)] = "train"
    dataset: AnyData
    validation: Annotated[int, Field(ge=0, le=10**9)] = 0
    network: AnyNetwork | None = None
    weights: NamedPath | None = None
    loss: AnyLoss = CrossEntropy()
    rule: Annotated[Rule, one_of("learning.rules", Rule)] = Backprop()
    decorrelation: DecorrelationSpec | None = None
    optimizer: Annotated[Optimizer, one_of("learning.optimizers", Optimizer, default="sgd")] = SGD()
    learning_rate: Positive
    rate_factor: Positive = 1.0
    schedule: Schedule = "linear"
    final_rate: Share = 0.0
    batch: Count = 64
    epochs: Positive = 1.0
    device: DeviceCard | None = None
    chip: Annotated[ChipBackend, one_of("analog_sim.chip.backends", ChipBackend)] = Emulated()
    tile: TileSpec = TileSpec()
    matrix_tile: TileSpec | None = None
    headroom: Annotated[float, Field(ge=1.0, le=1e6)] = 2.5
    periphery: Periphery = Periphery()
    idle_per_batch: Annotated[float, Q("time", "s", ge=0)] = 0.0
    idle_at_end: bool = False
    compensate_every: Count | None = None
    calibration: Count = 256
    calibrate_every: Count | None = 100
    evaluate_every: Count | None = None
    probe: Count = 512
    targets: tuple[Share, ...] = ()
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**63 - 1)], ...], Field(min_length=1)] = (0,)
    twin: TwinSpec | None = TwinSpec()
    arms: tuple[Arm, ...] = ()
    hardware: tuple[Arm, ...] = ()
    parallel: Annotated[Parallel, one_of("learning.experiments.parallel", Parallel, default="loky")] = Loky()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.network is None and self.weights is None:
            raise at_key(
                "network", "missing; write the layers of a network, or weights: the folder of a run to start from"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise at_key("seeds", f"must be distinct (got {', '.join(map(str, self.seeds))})")
        for key, listed in (("arms", self.arms), ("hardware", self.hardware)):
            names = [arm.name for arm in listed]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise at_key(key, f"two entries of the same name: {', '.join(twice)}")
        return self

    @property
    def calibrates(self) -> bool:
        """Whether any converter has something to calibrate."""
        specs = [self.tile] if self.matrix_tile is None else [self.tile, self.matrix_tile]
        return self.device is not None and any(spec.adc.calibrates or spec.dac.calibrates for spec in specs)

    @property
    def label(self) -> str:
        """Rule, decorrelation and device in words: the name of a run without arms."""
        parts = [self.rule.kind]
        if self.decorrelation is not None:
            parts.append(self.decorrelation.method.kind)
        return " + ".join(parts) + (f", {self.device.name}" if self.device is not None else ", digital")


NOT_IN_ARMS = ("arms", "hardware", "seeds", "parallel", "name", "targets", "schema", "dataset", "validation")
"""Keys that belong to the whole comparison."""


Places = Callable[[int, str, str], Problem]
"""(number of an arm of all, dotted key, message) -> the problem, with the place where the arm, its hardware or the sweep sets it."""


def _nowhere(arm: str, key: str, message: str) -> Problem:
    return Problem(Location(f"arms[{arm}]"), key, message)


def _assignment(key: str, value: Any) -> Override:
    """What an arm sets, as an override; paths of files in it are relative to the file where it is written."""
    return Override(f"{key}={json.dumps(value)}", Location(f"arms: {key}", None, _folder(value)))


def _folder(value: Any) -> Path:
    """Folder of the file that a value, or the first text in it, was written in; the current one for values from Python."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    if isinstance(value, Text) and value.folder is not None:
        return value.folder
    return next((found for found in map(_folder, inner) if found != Path.cwd()), Path.cwd())


def arms_of(experiment: TrainExperiment, places: Places | None = None) -> dict[str, TrainExperiment]:
    """Name -> what is run for it; an experiment without arms is its own only arm. places: says where arms were written.

    Raises:
        ConfigError: an arm sets a key that is not there, a value that is not allowed, or what all arms must share.
        UserError: a chip is named that no arm would drive.
    """
    found = _arms_of(experiment, places)
    driven = {arm.chip.kind for arm in found.values() if not isinstance(arm.chip, Emulated)}
    if driven and all(arm.device is None for arm in found.values()):
        raise UserError(
            f"chip: {', '.join(sorted(driven))} would drive nothing, because device is null (exact digital tiles); give a device, or leave "
            "chip out"
        )
    return found


def _arms_of(experiment: TrainExperiment, places: Places | None) -> dict[str, TrainExperiment]:
    plain = experiment.model_copy(update={"arms": (), "hardware": ()})
    chosen = list(experiment.arms)
    if experiment.hardware:
        arms = experiment.arms or (Arm(name=experiment.rule.kind, set={}),)
        chosen = [
            Arm(name=f"{arm.name}, {on.name}", set={**on.set, **arm.set}) for on in experiment.hardware for arm in arms
        ]
    if not chosen:
        return {plain.label: plain}
    found: dict[str, TrainExperiment] = {}
    problems: list[Problem] = []
    for number, arm in enumerate(chosen):
        where = partial(_nowhere, arm.name) if places is None else partial(places, number)
        if arm.name in found:
            problems.append(where("name", "two arms, or an arm and its hardware together, have this name"))
        shared = [key for key in arm.set if key.split(".")[0] in NOT_IN_ARMS]
        problems += [where(key, "is shared by all arms") for key in shared]
        if shared:
            continue
        try:
            found[arm.name] = override(plain, [_assignment(key, value) for key, value in arm.set.items()])
        except ConfigError as error:
            problems += [where(problem.path, problem.message) for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return found


def twin_of(arm: TrainExperiment) -> TrainExperiment | None:
    """The ideal digital twin of an arm as an experiment of its own, None when it has none."""
    if arm.twin is None:
        return None
    return arm.model_copy(
        update={
            "rule": Backprop(),
            "decorrelation": None,
            "optimizer": arm.twin.optimizer,
            "learning_rate": arm.twin.learning_rate,
            "rate_factor": 1.0,
            "compensate_every": None,
            "periphery": Periphery(),
            "device": None,
            "chip": Emulated(),
            "tile": TileSpec(),
            "matrix_tile": None,
            "idle_per_batch": 0.0,
            "idle_at_end": False,
            "twin": None,
        }
    )


def with_sweep(experiment: TrainExperiment, points: Sequence[Mapping[str, Any]]) -> TrainExperiment:
    """The arms of an experiment at every point of a sweep (dotted key -> value); a point's values come after an arm's own."""
    if all(not point for point in points):
        return experiment
    arms = experiment.arms or (Arm(name=experiment.rule.kind, set={}),)
    made = [
        Arm(name=", ".join([arm.name, *(_short(key, value) for key, value in point.items())]), set={**arm.set, **point})
        for point in points
        for arm in arms
    ]
    names = [arm.name for arm in made]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"sweep: two points are the same: {'; '.join(twice)}")
    return experiment.model_copy(update={"arms": tuple(made)})


def _short(key: str, value: Any) -> str:
    """A swept value in the name of an arm: `ecram`, `sigma=0.01`, `rule=node_perturbation(sigma=0.1)`."""
    if key == "device":
        return "digital" if value is None else _text(value)
    return f"{key.rpartition('.')[2]}={_text(value)}"


def _text(value: Any) -> str:
    """All of a value, because two values of one kind must not get the same name."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={_text(item)}" for key, item in value.items() if key != "kind")
        kind = str(value.get("kind", ""))
        return f"{kind}({inner})" if inner or not kind else kind
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
