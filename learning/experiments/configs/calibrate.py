"""The YAML of a calibration (`schema: calibrate/1`): which run the chip is calibrated for, how much may be spent. It never opens a chip."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from analog_sim.chip.backend import ChipBackend
from analog_sim.config import DataFile, Q, StrictModel, at_key, one_of

Count = Annotated[int, Field(ge=1, le=10**12)]
Seconds = Annotated[float, Q("time", "s", ge=0.0)]


class Spend(StrictModel):
    """What a calibration may spend of the chip.

    Attributes:
        pulses: programming pulses, all cells together. time: chip time. programmed: cells written to a target.
    """

    pulses: Count = 1_000_000
    time: Seconds = 86400.0
    programmed: Count = 10**8


class PulseSample(StrictModel):
    """Which cells are pulsed, and how: ramps up and down until the mean of the cells stands still.

    Attributes:
        cells: how many, on as few lines as hold them. cycles: ramps up and down. reads: in each ramp, at most.
        longest: pulses of a ramp, at most.
    """

    cells: Annotated[int, Field(ge=1, le=10_000)] = 48
    cycles: Annotated[int, Field(ge=1, le=1000)] = 2
    reads: Annotated[int, Field(ge=8, le=100_000)] = 300
    longest: Annotated[int, Field(ge=8, le=10**7)] = 3000


class CalibrateConfig(StrictModel):
    """A calibration.

    Attributes:
        name: of the card and of the run folder; not `twin`, whose file would be the twin's.
        experiment: the estimate or training that is to run on the chip; its arrays are measured.
        chip: instead of the experiment's. spend: limits. pulses: of the step response; null to leave it out.
        averaged: reads of each cell that are averaged where noise is in the way. noise_reads: of a resting cell, in a row.
        writes: how often all cells are written to random targets for the programming error.
        retention: times after writing at which cells are read; those beyond `spend.time` are left out. cells: that are followed.
        seed: of targets and chosen cells.
    """

    schema_: Annotated[Literal["calibrate/1"], Field(alias="schema")] = "calibrate/1"
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = "calibrated"
    experiment: DataFile
    chip: Annotated[ChipBackend, one_of("analog_sim.chip.backends", ChipBackend)] | None = None
    spend: Spend = Spend()
    pulses: PulseSample | None = PulseSample()
    averaged: Annotated[int, Field(ge=1, le=10_000)] = 8
    noise_reads: Annotated[int, Field(ge=8, le=100_000)] = 64
    writes: Annotated[int, Field(ge=1, le=1000)] = 2
    retention: tuple[Seconds, ...] = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
    cells: Annotated[int, Field(ge=10, le=10**6)] = 2000
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0

    @model_validator(mode="after")
    def _beside_the_twin(self) -> Self:
        if self.name.casefold() == "twin":
            raise at_key("name", "twin.npz is the twin's own file; choose another name (got 'twin')")
        return self
