"""The YAML of a measurement: which files, in which format, and how they are fitted. It never reads a measurement file."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from analog_sim.config import Q, StrictModel, at_key, one_of
from devices.measurements.columns.reader import Reader
from devices.window import Window

Law = Literal["linear_step", "soft_bounds", "exp_step", "power_step", "piecewise"]
LAWS: tuple[Law, ...] = ("linear_step", "soft_bounds", "exp_step", "power_step", "piecewise")


WHOSE = {"path", "device", "devices_are", "direction", "potentiation", "amplitude", "width", "v_read", "negative"}
"""Settings of a reader that say whose the rows are, and not which rows or columns are read."""


class WindowSpec(StrictModel):
    """The card's conductance window, when the data's own range is not wanted.

    Attributes:
        g_min, g_max: lower and upper end of the window.
    """

    g_min: Annotated[float, Q("conductance", "uS", ge=0)]
    g_max: Annotated[float, Q("conductance", "uS", gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.g_min >= self.g_max:
            raise at_key("g_min", f"must be < g_max (got {self.g_min:g} S and {self.g_max:g} S)")
        if (misfit := self.window.misfit) is not None:
            raise at_key("g_min", misfit)
        return self

    @property
    def window(self) -> Window:
        """The window."""
        return Window(self.g_min, self.g_max)


class PulseKind(StrictModel):
    """Which pulses of a file with several amplitudes or widths are fitted; what is not given may be anything.

    Attributes:
        amplitude: of the pulse, without its sign. width: duration of the pulse.
    """

    amplitude: Annotated[float, Q("voltage", "V", gt=0)] | None = None
    width: Annotated[float, Q("time", "s", gt=0)] | None = None


class PulseSettings(StrictModel):
    """How pulses are fitted.

    Attributes:
        up, down: which pulses, when there are several kinds; default: the most frequent of each direction.
        kinds: one fits those; all fits pulses of every amplitude and width of a direction as if they were of one kind.
        laws: that are fitted and compared. use: what the card holds: the measured tables, or a law.
        read_noise: separate takes the read noise out of the steps when the data show it; keep leaves it in them.
        tables: one per device, or one for all with a spread of the step size; auto: per device when each has enough steps.
        history: auto: larger or smaller steps after a change of direction, where held-out reads ask for them; none: not looked for.
    """

    up: PulseKind = PulseKind()
    down: PulseKind = PulseKind()
    kinds: Literal["one", "all"] = "one"
    laws: tuple[Law, ...] = LAWS
    use: Literal["measured", "best_law"] | Law = "measured"
    read_noise: Literal["separate", "keep"] = "separate"
    tables: Literal["auto", "per_device", "one"] = "auto"
    history: Literal["auto", "none"] = "auto"

    @model_validator(mode="after")
    def _some_laws(self) -> Self:
        if not self.laws:
            raise at_key("laws", "must name at least one law: the tables' mean begins from one")
        if self.use not in ("measured", "best_law", *self.laws):
            raise at_key("use", f"'{self.use}' is not among the laws that are fitted ({', '.join(self.laws)})")
        if self.kinds == "all" and (self.up, self.down) != (PulseKind(), PulseKind()):
            raise at_key("kinds", "all kinds, or those of up and down: give one of them")
        return self


class WriteByPulses(StrictModel):
    """How the programming error of a card with pulses, but without programming data, is found: by write-verify on emulated cells.

    Attributes:
        enabled: otherwise such a card programs without error.
        max_pulses: after which a cell is left as it is; default: enough to cross the window three times, at most 5000.
    """

    enabled: bool = True
    max_pulses: Annotated[int, Field(ge=1, le=10_000)] | None = None


class HeldOut(StrictModel):
    """The part of the data that proves the fit.

    Attributes:
        by: what is held out whole; auto: devices, else ramps, else stretches of ramps. fraction: of it at a time, in about 1 / fraction
            folds. seed: from which the held-out part is drawn.
        refit: prove a card for every fold and fit the card to all data; else the card is the first fold's, proven on its held-out part.
    """

    by: Literal["auto", "device", "trace", "stretch", "none"] = "auto"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    refit: bool = True


class MeasurementConfig(StrictModel):
    """From files to a card.

    Attributes:
        name: of the card. reference: where the measurements come from.
        measurements: readers; rows of one role are fitted together.
        window: of the card; default: the range of the data.
        pulse: how pulses are fitted. ageing: the law of retention data; auto: the one that predicts held-out cells better.
        temperature: at which retention was measured (a bake); the card says it, and estimates with the card do.
        write_by_pulses: programming error of a card that was only pulsed. held_out: what proves the fit.
        card: further keys of the card (cost, variation, ...), put on top of what was fitted.
    """

    schema_: Annotated[Literal["measurements/1"], Field(alias="schema")] = "measurements/1"
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    reference: str = ""
    measurements: tuple[Annotated[Reader, one_of("devices.measurements.readers", Reader)], ...]
    window: WindowSpec | None = None
    pulse: PulseSettings = PulseSettings()
    ageing: Literal["auto", "relaxation", "burst_relaxation", "power_law"] = "auto"
    temperature: Annotated[float, Q("temperature", "C", ge=-273.15, le=1000)] | None = None
    write_by_pulses: WriteByPulses = WriteByPulses()
    held_out: HeldOut = HeldOut()
    card: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def given_window(self) -> Window | None:
        """The card's window, where the file gives one."""
        return None if self.window is None else self.window.window

    @model_validator(mode="after")
    def _some_files(self) -> Self:
        if not self.measurements:
            raise at_key("measurements", "must name at least one reader")
        seen: dict[tuple[str, str], int] = {}
        for k, reader in enumerate(self.measurements):
            data = reader.model_dump(mode="json", exclude=WHOSE)
            for path in reader.path:
                key = (os.path.realpath(path), f"{reader.kind} {sorted(data.items())}")
                if seen.setdefault(key, k) != k:
                    text = f"reader {seen[key] + 1} reads '{path}' in the same way already: its rows would count twice"
                    raise at_key("measurements", text)
        return self
