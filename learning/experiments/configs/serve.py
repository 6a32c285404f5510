"""The YAML of a served chip (`schema: serve/1`): card, seed, arrays, limits. It never opens a socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from analog_sim.chip.backend import identity
from analog_sim.chip.backends.emulated import Emulated
from analog_sim.chip.backends.fixed_arrays import FixedArraysBackend
from analog_sim.chip.backends.sealed import Sealed
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabrication
from analog_sim.chip.server.chip import Limits, ServedChip
from analog_sim.chip.server.journal import Journal
from analog_sim.chip.server.wall_clock import WallClock
from analog_sim.config import Resolver, StrictModel
from analog_sim.random.streams import Streams
from analog_sim.wires import WiresSpec
from devices.card import DeviceCard, resolve_card

Count = Annotated[int, Field(ge=1, le=1 << 30)]


class ArraySpec(StrictModel):
    """An array that is there from the start.

    Attributes:
        rows, cols: word lines and bit lines of the array. pair: two cells at each cross point.
    """

    rows: Annotated[int, Field(ge=1, le=65536)]
    cols: Annotated[int, Field(ge=1, le=65536)]
    pair: bool = True


class ServeLimits(StrictModel):
    """What no command may exceed.

    Attributes:
        block_bytes: bytes of the blocks of a message, and of an answer. cells: most cells of an array that a client defines.
        arrays: most arrays of the chip.
        volts: largest read voltage, beside the chip's own limit. pulses: most pulses per cell in one command.
        wait: longest wait in one command, seconds. clients: most clients at a time.
    """

    block_bytes: Count = 64 << 20
    cells: Count = 1 << 24
    arrays: Count = 4096
    volts: Annotated[float, Field(gt=0.0)] | None = None
    pulses: Count = 1 << 20
    wait: Annotated[float, Field(gt=0.0)] = 1e9
    clients: Count = 32


class ServeConfig(StrictModel):
    """A served chip.

    Attributes:
        device: a packaged card by name, a card's path, or the card itself.
        seed: from which the cells are drawn. place: of the chip below the seed;
            the default is that of a training run, so that the same seed gives the same cells.
        chip: sealed cells, or arrays that exist; emulated are the sealed ones that show their truth on the dashboard and their energy.
        wires: resistance of the lines of every array; null for ideal ones. Not for arrays that exist.
        arrays: name -> size, or "on demand" for arrays that clients define. time: virtual, or real for the wall clock.
        read_only: whether commands that change cells are rejected.
        limits: what a command may ask for at most. journal: file in which every operation is before it is done,
            from which the chip is rebuilt; null for none.
        serial: serial number in the answer to `*IDN?`.
    """

    config_references: ClassVar[Mapping[str, Resolver]] = MappingProxyType({"device": resolve_card})

    schema_: Annotated[Literal["serve/1"], Field(alias="schema")] = "serve/1"
    device: DeviceCard
    seed: Annotated[int, Field(ge=0)] = 0
    place: tuple[str | int, ...] = ("chip",)
    chip: Annotated[Sealed | Emulated | FixedArraysBackend, Field(discriminator="kind")] = Sealed()
    wires: WiresSpec | None = None
    arrays: Literal["on demand"] | dict[str, ArraySpec] = "on demand"
    time: Literal["virtual", "real"] = "virtual"
    read_only: bool = False
    limits: ServeLimits = ServeLimits()
    journal: Annotated[Path, Field(strict=False)] | None = None
    serial: Annotated[str, Field(pattern=r"^[\w.-]{1,40}$")] = "1"

    @field_validator("wires")
    @classmethod
    def _of_arrays_alone(cls, wires: WiresSpec | None) -> WiresSpec | None:
        """Gains and targets are the client's to choose."""
        if wires is not None and (wires.column_gain or wires.programming != "nominal"):
            which = "column_gain" if wires.column_gain else "programming"
            raise ValueError(f"{which}: is done by who uses the array, not by a served chip (leave it out)")
        return wires

    @model_validator(mode="after")
    def _wires_of_new_arrays(self) -> Self:
        if self.wires is not None and isinstance(self.chip, FixedArraysBackend):
            raise ValueError("wires: arrays that exist (chip: fixed_arrays) have their own wires (leave it out)")
        return self

    @property
    def identity(self) -> str:
        """Answer to *IDN?."""
        return f"analog-hil,{self.device.name.replace(',', ' ')},{self.serial},serve/1"


def served_chip(config: ServeConfig) -> tuple[ServedChip, int]:
    """The chip, and how many operations of its journal were done again. Raises UserError."""
    streams = Streams(config.seed).child(*config.place)
    cell = config.device.compile()
    clock = WallClock() if config.time == "real" else Clock()
    fabric = config.chip.fabric(cell, streams, clock, None)
    settings = identity(cell, streams) | {"chip": config.chip.model_dump(mode="json", exclude={"record"})}
    if config.wires is not None:
        settings |= {"wires": config.wires.model_dump(mode="json")}
    journal = None if config.journal is None else Journal(config.journal, settings)
    limits = Limits(**config.limits.model_dump())
    chip = ServedChip(fabric, limits, journal=journal, wishes=Fabrication(wires=config.wires))
    redone = chip.catch_up()
    if isinstance(config.arrays, dict):
        for name, spec in config.arrays.items():
            chip.define(name, spec.rows, spec.cols, spec.pair, 0)
        chip.on_demand = False
    chip.read_only = config.read_only
    return chip, redone
