"""The YAML of an estimate (`schema: estimate/1`): data, network, device, tile, times, chips, studies. It never runs anything."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.backends.emulated import Emulated
from analog_sim.config import DataFile, NamedPath, Q, Resolver, StrictModel, UserError, at_key, one_of
from analog_sim.tiles.nonidealities import SCALES, WITHOUT
from analog_sim.tiles.tile import TileSpec
from devices.card import DeviceCard, resolve_card
from learning.data.spec import AnyData
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.loky import Loky
from learning.network.forms.mlp import Mlp
from learning.network.spec import AnyNetwork, NetworkSpec
from learning.network.training_spec import DigitalTraining

Share = Annotated[float, Q("fraction", "", ge=0, le=1)]
NonIdeality = Literal[
    "programming",
    "levels",
    "read_noise",
    "drift",
    "drift_spread",
    "variation",
    "faults",
    "iv_curve",
    "dac",
    "adc",
    "wires",
]
Scale = Literal["noise", "programming", "read_noise", "drift", "drift_spread", "variation"]
Setting = Annotated[int, Field(ge=-(10**9), le=10**9)] | Annotated[float, Field(ge=-1e9, le=1e9)] | str | bool | None


class UserModel(StrictModel):
    """The user's own torch module.

    Attributes:
        file, factory: the Python file and the function, class or module in it; the file is executed.
        checkpoint: its weights, a state_dict; without one the module is trained like a network of the file.
    """

    file: DataFile
    factory: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    checkpoint: DataFile | None = None


class Threshold(StrictModel):
    """Accuracy, or R2, from which a chip counts as good: so much below the digital network, or a fixed one.

    Attributes:
        below_digital: how far below the digital twin's accuracy (or R2) a chip may be and still count as good. accuracy: the accuracy
            itself, instead. r2: R2 itself, where numbers are predicted.
    """

    below_digital: Share | None = None
    accuracy: Share | None = None
    r2: Annotated[float, Field(ge=-1e9, le=1.0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.below_digital, self.accuracy, self.r2)) != 1:
            raise at_key("accuracy", "give exactly one of below_digital, accuracy and r2")
        return self

    def check(self, numeric: bool) -> None:
        """Raise UserError where it is of the other kind than the data; numeric: whether numbers are predicted."""
        wrong, right = ("accuracy", "r2") if numeric else ("r2", "accuracy")
        if getattr(self, wrong) is not None:
            what = "numbers to be predicted" if numeric else "classes"
            raise UserError(f"yield_threshold.{wrong}: the data have {what}; allowed: below_digital, {right}")

    def value(self, digital: float, lowest: float = 0.0) -> float:
        """The accuracy or R2, given that of the digital network and the lowest that there can be."""
        fixed = self.accuracy if self.accuracy is not None else self.r2
        return fixed if fixed is not None else max(lowest, digital - (self.below_digital or 0.0))


class Sweep(StrictModel):
    """Accuracy against one setting, all else as configured.

    Attributes:
        set: dotted key of this file, below `tile` or `device` (tile.adc.bits), `bias` or `weight_scale`; or
        scale: what of the cell is scaled; "noise" is everything random. values: numbers for a scale, anything for a key.
    """

    set: Annotated[str, Field(pattern=r"^(tile|device)(\.\w+)+$|^(bias|weight_scale)$")] | None = None
    scale: Scale | None = None
    values: Annotated[tuple[Setting, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.set is None) == (self.scale is None):
            raise at_key("set", "give exactly one of set and scale")
        if self.scale is not None:
            for value in self.values:
                if isinstance(value, bool | str | None) or value < 0:
                    raise at_key("values", f"must be numbers >= 0 (got {value!r})")
        if len(set(map(str, self.values))) < len(self.values):
            raise at_key("values", "must be distinct")
        return self

    @property
    def study(self) -> str:
        """Name of the study in the results: `adc_bits`, `noise_scale`."""
        return f"{self.scale}_scale" if self.set is None else "_".join(self.set.split(".")[-2:])


class Sensitivity(StrictModel):
    """One-at-a-time studies, on the same chips as the main result.

    Attributes:
        chips: the first so many of all; null for all. times: when to measure; null for the first and the last of the main result.
        without: non-idealities to take away one by one, "all" for those that the hardware has.
        only: non-idealities to leave one by one, all others taken away. sweeps: accuracy against settings.
    """

    chips: Annotated[int, Field(ge=1, le=10**6)] | None = None
    times: Annotated[tuple[Annotated[float, Q("time", "s", ge=0)], ...], Field(min_length=1)] | None = None
    without: tuple[NonIdeality, ...] | Literal["all"] = ()
    only: tuple[NonIdeality, ...] | Literal["all"] = ()
    sweeps: tuple[Sweep, ...] = ()


class Experiment(StrictModel):
    """Accuracy of a trained network on emulated chips over time.

    Attributes:
        name: heading of the report and default name of the run folder.
        dataset: samples, published or the user's own. network, training: the digital network and how it is trained; or
        weights: a network that was trained before, on a chip or digitally: folder of a run or of one of its arms; or
        model: the user's own module, from a file; or module: one that was given as an object from Python (`analog_hil.estimate`), by its
            class and digest; a file cannot say this. digital: layers that stay digital.
        bias: added digitally, or one more line of every array; null for what `network` says (digital for a model).
        weight_scale: the window holds the layer's largest weight, or each column (output) has its own largest weight
            and a digital gain that undoes it: more accurate when columns differ, as after folded batch normalisation.
        device: a packaged card by name, a card's path, or the card itself.
        chip: what is driven, as in training. tile: mapping, converters, compensation.
        chips: how many. times: seconds after programming at which accuracy is measured.
        batch: test images at a time. calibration: training images that set the converters' ranges.
        yield_threshold: when a chip counts as good. sensitivity: further studies. seed: of all chips.
        parallel: where chips run; its `jobs` is the script's --jobs.
    """

    config_references: ClassVar[Mapping[str, Resolver]] = MappingProxyType({"device": resolve_card})
    config_sweeps: ClassVar[bool] = True

    schema_: Annotated[Literal["estimate/1"], Field(alias="schema")] = "estimate/1"
    name: Annotated[str, Field(min_length=1, max_length=200)] = "estimate"
    dataset: AnyData
    network: AnyNetwork | None = None
    weights: NamedPath | None = None
    training: DigitalTraining = DigitalTraining()
    model: UserModel | None = None
    module: str | None = None
    digital: tuple[str, ...] = ()
    bias: Literal["digital", "chip"] | None = None
    weight_scale: Literal["layer", "column"] = "layer"
    device: DeviceCard
    chip: Annotated[ChipBackend, one_of("analog_sim.chip.backends", ChipBackend)] = Emulated()
    tile: TileSpec = TileSpec()
    chips: Annotated[int, Field(ge=1, le=10**6)] = 25
    times: Annotated[tuple[Annotated[float, Q("time", "s", ge=0)], ...], Field(min_length=1)] = (
        1.0,
        3600.0,
        86400.0,
        2629800.0,
        31557600.0,
    )
    batch: Annotated[int, Field(ge=1, le=10**6)] = 256
    calibration: Annotated[int, Field(ge=0, le=10**9)] = 256
    yield_threshold: Threshold = Threshold(below_digital=0.01)
    sensitivity: Sensitivity | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    parallel: Annotated[Parallel, one_of("learning.experiments.parallel", Parallel, default="loky")] = Loky()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model is not None and self.network is not None:
            raise at_key("network", "is not used when a model is given; remove one of the two")
        if self.module is not None and (self.model is not None or self.network is not None or self.weights is not None):
            raise at_key("module", "is not used beside network, weights or model; remove one of them")
        if self.model is not None and self.weights is not None:
            raise at_key("weights", "is of a network of this program; weights of a model are its model.checkpoint")
        if any(a >= b for a, b in zip(self.times[:-1], self.times[1:], strict=True)):
            raise at_key("times", f"must increase (got {', '.join(f'{t:g} s' for t in self.times)})")
        if self.weight_scale == "column" and not isinstance(self.tile.mapping.weight_max, str):
            raise at_key("weight_scale", "column needs tile.mapping.weight_max: absmax")
        study = self.sensitivity
        if study is not None:
            if study.times is not None and not set(study.times) <= set(self.times):
                raise at_key("sensitivity", "its times must be among `times`, to be compared with")
            names = [sweep.study for sweep in study.sweeps]
            if len(set(names)) < len(names):
                raise at_key("sensitivity", f"two sweeps of the same setting ({', '.join(names)})")
        return self

    @property
    def digital_network(self) -> NetworkSpec:
        """The digital network, without `model`."""
        return self.network if self.network is not None else Mlp()

    @property
    def bias_place(self) -> Literal["digital", "chip"]:
        """Where biases are."""
        if self.bias is None:
            return "chip" if self.network is not None and self.network.bias == "chip" else "digital"
        return self.bias

    @property
    def study_times(self) -> tuple[float, ...]:
        """When the studies measure."""
        if self.sensitivity is not None and self.sensitivity.times is not None:
            return tuple(sorted(set(self.sensitivity.times)))
        return self.times if len(self.times) == 1 else (self.times[0], self.times[-1])

    @property
    def study_chips(self) -> int:
        """How many chips the studies use."""
        if self.sensitivity is None or self.sensitivity.chips is None:
            return self.chips
        return min(self.sensitivity.chips, self.chips)


assert set(WITHOUT) == set(get_args(NonIdeality)), "NonIdeality lists the keys of WITHOUT"
assert set(SCALES) == set(get_args(Scale)), "Scale lists the keys of SCALES"
