"""The device card: one kind of memory cell composed of parts, from YAML. It never knows an array, a matrix or a weight.

`load_card("pcm").compile()` is what the emulator is made of. A law is one file in `pulse/`, `programming/`, `read_noise/` or
`drift/`; see docs/add_a_device.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.spread import check_kept
from analog_sim.config import Q, Resolver, StrictModel, at_key, load_config, named_file, one_of
from devices.costs import OperationCosts
from devices.drift.law import AgeingTables, DriftLaw
from devices.drift.none import NoDrift
from devices.faults import Faults
from devices.levels import Levels
from devices.programming.law import ProgrammingLaw
from devices.programming.none import NoProgrammingError
from devices.pulse.law import PulseLaw
from devices.read_noise.law import ReadNoiseLaw
from devices.read_noise.none import NoReadNoise
from devices.variation import Variation
from devices.window import F64, Values, Window

CARDS = Path(__file__).parent / "cards"
"""Folder of the packaged cards."""

resolve_card = named_file(CARDS)
"""Reference resolver for `load_config`: a bare name is a packaged card, anything else the path of a YAML file."""

LONGEST_NAME = 100
"""Characters of a name: it names files and folders, whose names a file system ends at 255 bytes."""

STEEPEST = 20.0
"""Largest alpha v of the I-V curve, sinh(20) = 2e8: what is more is a mistaken unit."""

WIDEST = 10.0
"""Standard deviations of the lower bound, in units of g_min, beyond which hardly a cell would have such a bound."""
WORST = 1000.0
"""Largest error of programming, and change of a relaxation, in units of g_max."""
ROOM, ROOM_SPAN = 298.15, 15.0
"""Kelvin: room temperature, and what is still called so."""


class DeviceCard(StrictModel):
    """One kind of memory cell.

    The claims (`step_mean`, `read_std`, ...) are the card in closed form; `compile` turns the same laws into tables.

    Attributes:
        name: of the card, in messages and reports. reference: the source of its numbers, with DOI.
        g_min, g_max: nominal conductance window in siemens.
        pulse: response to pulses; None for cells that can only be programmed to a target.
        programming: error left after programming. levels: conductances a program operation can aim at; None for any.
        read_noise: what differs from read to read. drift: what time does to a conductance (retention): drift or relaxation.
        faults: how many cells and lines are defective.
        variation: spread between cells. cost: what operations take in time and energy, and the read voltage.
        endurance: pulses after which the window of a cell has closed to half; None for never.
        half_select: fraction of a step that a pulse costs the unselected cells of its line; not with `pulse.amplitude`, which says it.
        read_disturb: relative conductance change towards g_max per read.
        temperature: at which retention was measured, kelvin, when it was no room temperature; time on the card is time at this temperature,
            and no law of Arrhenius turns one into the other.
        iv_alpha: non-linearity of the I-V curve ``i = g sinh(alpha v) / alpha``, per volt; 0 is ohmic.
        assumed: dotted keys of this card whose values have no source; every report that used the card lists them. Times and the read
            voltage that the card leaves to the defaults of `cost` are added by themselves.
    """

    config_references: ClassVar[Mapping[str, Resolver]] = MappingProxyType({"base": resolve_card})

    schema_: Annotated[Literal["card/1"], Field(alias="schema")] = "card/1"
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    reference: str = ""
    g_min: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    g_max: Annotated[float, Q("conductance", "uS", ge=1e-9, le=1e6)]  # 1 fS to 1 S: what is outside is a mistaken unit
    pulse: Annotated[PulseLaw, one_of("devices.pulse", PulseLaw)] | None = None
    programming: Annotated[ProgrammingLaw, one_of("devices.programming", ProgrammingLaw)] = NoProgrammingError()
    levels: Levels | None = None
    read_noise: Annotated[ReadNoiseLaw, one_of("devices.read_noise", ReadNoiseLaw)] = NoReadNoise()
    drift: Annotated[DriftLaw, one_of("devices.drift", DriftLaw)] = NoDrift()
    faults: Faults = Faults()
    variation: Variation = Variation()
    cost: OperationCosts = OperationCosts()
    endurance: Annotated[float, Field(gt=0, le=1e18)] | None = None
    half_select: Annotated[float, Q("fraction", "", ge=0, le=1)] = 0.0
    read_disturb: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.0
    iv_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    temperature: Annotated[float, Q("temperature", "C", ge=-273.15, le=1000)] | None = None
    assumed: tuple[Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")], ...] = ()

    def __repr__(self) -> str:
        """Window, kinds of the laws and source; `model_dump` has every number."""
        parts = ("pulse", "programming", "read_noise", "drift")
        kinds = [f"{part}: {getattr(getattr(self, part), 'kind', 'none')}" for part in parts]
        window = f"{1e6 * self.g_min:g} to {1e6 * self.g_max:g} µS"
        return f"<device card {self.name}, {window}; {', '.join(kinds)}; {self.reference or 'no source'}>"

    @model_validator(mode="after")
    def _window_and_parts(self) -> Self:
        if self.g_min >= self.g_max:
            raise at_key("g_min", f"must be < g_max (got {self.g_min:g} S and {self.g_max:g} S)")
        if (misfit := self.window.misfit) is not None:
            raise at_key("g_min", misfit)
        if self.iv_alpha * self.cost.v_read > STEEPEST:
            raise at_key(
                "iv_alpha",
                f"times cost.v_read must be <= {STEEPEST:g} (got {self.iv_alpha:g} /V and {self.cost.v_read:g} V)",
            )
        self._check_laws()
        self._check_variation()
        if self.half_select and self.pulse is not None and self.pulse.amplitude is not None:
            raise at_key(
                "half_select",
                f"pulse.amplitude says what half-selected cells suffer, at half the voltage: leave it out (got {self.half_select:g})",
            )
        if self.levels is not None:
            try:
                self.levels.compile(self.window)
            except ValueError as error:
                raise at_key("levels", str(error)) from error
        return self

    def _check_laws(self) -> None:
        """Fill the tables of every law, so that one that is finite nowhere shows here and not when a chip is made."""
        for key in ("pulse", "programming", "read_noise", "drift"):
            law = getattr(self, key)
            try:
                with np.errstate(all="ignore"):
                    if law is not None:
                        _check_size(law.compile(self.window), self.g_max)
            except (ValueError, OverflowError) as error:
                raise at_key(key, str(error)) from error

    def _check_variation(self) -> None:
        spread = self.variation
        if spread.g_min and self.g_min == 0.0:
            raise at_key(
                "variation.g_min",
                f"half of this spread would be cut off at 0 S (got g_min: 0); give the card a g_min of"
                f" {1e6 * 3.0 * spread.g_min * self.window.width:.3g} uS or more (three standard deviations)",
            )
        std = spread.g_min * self.window.width
        if std > WIDEST * self.g_min:
            raise at_key(
                "variation.g_min",
                f"a standard deviation of {std:.3g} S around a g_min of {self.g_min:.3g} S is none that cells can have: all but a few would"
                f" be at 0 S; give the card a g_min of {1e6 * std / WIDEST:.3g} uS or more",
            )
        if spread.symmetry == "kept":
            try:
                if self.pulse is None:
                    raise ValueError("the card has no part `pulse`")
                check_kept(self.pulse.compile(self.window), spread.kept_at)
            except ValueError as error:
                raise at_key("variation.symmetry", f"'kept' is not possible: {error}") from error

    @model_validator(mode="after")
    def _own_up_to_assumptions(self) -> Self:
        """Check `assumed`, and add what the card did not state and the program filled in: prices of time and the read voltage."""
        for key in self.assumed:
            head = key.partition(".")[0]
            if head not in type(self).model_fields:
                raise at_key("assumed", f"'{key}' is no key of a card (no '{head}')")
        filled = [f"cost.{name}" for name in self._needed_costs() if name not in self.cost.model_fields_set]
        object.__setattr__(self, "assumed", tuple(dict.fromkeys((*self.assumed, *filled))))
        return self

    def _needed_costs(self) -> tuple[str, ...]:
        return ("t_read", "t_program", "v_read", *(() if self.pulse is None else ("t_pulse",)))

    def assumptions(self) -> dict[str, str]:
        """Dotted key -> value as text, of every value without a source; keys that a change of the card took away are left out."""
        card = self.model_dump(by_alias=True)
        found = {key: _at(card, key.split(".")) for key in self.assumed}
        return {key: _text(value) for key, value in found.items() if value is not None}

    @property
    def window(self) -> Window:
        """The nominal conductance window."""
        return Window(self.g_min, self.g_max)

    def step_mean(self, u: Values, up: bool) -> F64:
        """Mean signed change in siemens of one pulse at state u in [0, 1]. Raises ValueError on a card without pulses."""
        return self._pulsed().step_mean(u, up, self.window)

    def step_std(self, u: Values, up: bool) -> F64:
        """Cycle-to-cycle standard deviation in siemens of one pulse at state u. Raises ValueError on a card without pulses."""
        return self._pulsed().step_std(u, up, self.window)

    def program_std(self, g: Values) -> F64:
        """Standard deviation in siemens of the error after programming to g siemens, read right after writing."""
        verify_noise = self.read_std(g, 0.0)
        own = self.programming.program_std(g, self.window, verify_noise)
        return np.hypot(own, self.drift.initial_std(self.window.state(g), self.window))

    def read_std(self, g: Values, t: Values, target: Values | None = None) -> F64:
        """Standard deviation in siemens of a read of a cell now at g siemens, t seconds after it was written.

        target: siemens, what was programmed, for noise that is stated against it; None for g.
        """
        return self.read_noise.read_std(g, t, self.window, target)

    def drift_factor(self, u: Values, t: Values) -> F64:
        """Conductance at age t seconds over conductance as written, for the median cell at state u."""
        return self.drift.drift_factor(u, t, self.window)

    def aged_mean(self, u: Values, t: Values) -> F64:
        """Mean over cells, in siemens, of the conductance at age t of cells written to state u exactly."""
        return self.drift.aged_mean(u, t, self.window)

    def aged_std(self, u: Values, t: Values) -> F64:
        """Standard deviation over cells, in siemens, of the conductance at age t of cells written to state u exactly."""
        return self.drift.aged_std(u, t, self.window)

    def compile(self) -> CellModel:
        """Return the card as tables. Raises ValueError when a law is not finite somewhere in the window."""
        window = self.window
        ageing = self.drift.compile(window)
        return CellModel(
            name=self.name,
            g_min=self.g_min,
            g_max=self.g_max,
            pulse=None if self.pulse is None else self.pulse.model(window),
            program_std=self.programming.compile(window),
            verify=self.programming.verify(window),
            levels=None if self.levels is None else self.levels.compile(window),
            read=self.read_noise.compile(window),
            drift=ageing.drift,
            relaxation=ageing.relaxation,
            faults=self.faults.compile(),
            variation=self.variation.compile(),
            cost=self.cost.compile(),
            windows=None if self.pulse is None else self.pulse.windows(window),
            endurance=float("inf") if self.endurance is None else self.endurance,
            half_select=self.half_select,
            read_disturb=self.read_disturb,
            iv_alpha=self.iv_alpha,
        )

    def cautions(self) -> tuple[str, ...]:
        """Sentences that a report of what cells of this card do has to carry."""
        if self.temperature is None or abs(self.temperature - ROOM) <= ROOM_SPAN or isinstance(self.drift, NoDrift):
            return ()
        degrees = self.temperature - 273.15
        return (
            f"retention of card {self.name} was measured at {degrees:.0f} C: its cells age as they do at that temperature, and times are"
            " hours of such a bake, not of room temperature",
        )

    def _pulsed(self) -> PulseLaw:
        if self.pulse is None:
            raise ValueError(f"card {self.name}: no pulse law; its cells can only be programmed to a target")
        return self.pulse


def _check_size(law: object, g_max: float) -> None:
    """Raise ValueError for errors of programming and changes with age that no cell of this window has: a mistaken unit."""
    tables = [law] if isinstance(law, np.ndarray) else []
    if isinstance(law, AgeingTables) and law.relaxation is not None:
        tables = [law.relaxation.mean, law.relaxation.std, law.relaxation.initial_std]
    largest = max((float(np.abs(table).max()) for table in tables), default=0.0)
    if largest > WORST * g_max:
        raise ValueError(
            f"reaches {largest:.3g} S where cells end at g_max = {g_max:.3g} S; allowed: up to {WORST:g} times g_max"
            " (is reference_g_max right?)"
        )


def _at(tree: Any, path: Sequence[str]) -> Any:
    """What is at a path of a nested mapping; None where there is nothing."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _text(value: Any) -> str:
    """A value of a dumped card on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def load_card(name_or_path: str | Path, *, overrides: Sequence[str] = ()) -> DeviceCard:
    """Load a packaged card by name, or a card file by path; `overrides` such as "g_max=40 uS" are put on top.

    Raises ConfigError (every mistake with file and line) or UserError (no such card).
    """
    return load_config(resolve_card(str(name_or_path), None), DeviceCard, overrides=overrides)
