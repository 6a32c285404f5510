"""What a user writes about wires, `wires: {word_line: 1 ohm, bit_line: 1 ohm, driver: 100 ohm}`, and the topologies it means.

It solves nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from analog_sim.config import Q, StrictModel
from analog_sim.wires.presets import PRESETS
from analog_sim.wires.topology import Topology, WiresError, simple

Ohm = Annotated[float, Q("resistance", "Ohm", ge=0.0)]


def _segments_or_preset(schema: dict[str, Any]) -> None:
    """In the schema for editors: both segments are required only where no preset gives them."""
    schema["anyOf"] = [{"required": ["preset"]}, {"required": schema.pop("required")}]


class TransposedSpec(StrictModel):
    """Terminals of a transposed read, in which bit lines are driven and word lines are sensed.

    Attributes:
        driver, sense: resistance of a driver of a bit line and of a sense amplifier of a word line.
        drive: ends of the bit lines that are driven. sense_at: ends of the word lines that are sensed.
    """

    driver: Ohm = 0.0
    sense: Ohm = 0.0
    drive: Literal["bottom", "top", "both"] = "bottom"
    sense_at: Literal["left", "right", "both"] = "left"


class WiresSpec(StrictModel):
    """Wires of an array.

    A driven, sensed or grounded end continues one segment beyond the nearest cell, then comes the resistance of its terminal.

    Attributes:
        preset: name of a technology node that gives word_line and bit_line where they are not written (`analog_sim.wires.presets`).
        word_line, bit_line: resistance of the segment between two cells.
        driver, sense: resistance of a driver of a word line and of a sense amplifier of a bit line.
        drive: ends of the word lines that are driven. sense_at: ends of the bit lines that are sensed.
        far_ends: ends that are neither, open or grounded.
        selector: resistance in series with every cell.
        pair: where the two cells of a differential pair are: on arrays of their own ("separate"), on neighbouring bit lines of the same
            word line ("columns"), or on neighbouring word lines, driven with opposite voltages, of the same bit line ("rows").
        transposed: terminals of transposed reads; without it lines are driven where they are otherwise sensed, and the reverse, through the
            same driver and sense resistances.
        tolerance: bound of the measured error of a current, relative to the largest current of the read ("exact" and "tracked").
        update: effective matrices of cells that have changed are made anew ("exact"), corrected and measured and made anew where that
            misses the tolerance ("tracked"), or corrected to first order and made anew where the measured error exceeds 2 % of the IR
            drop ("first_order", for on-chip learning).
        column_gain: after programming, a digital gain for every output is measured with known inputs (as many as `tile.probes` says) that
            makes the outputs those of the weights; later drift compensation of the tile then measures the same gains anew.
        programming: cells are programmed to the nominal conductances ("nominal"), or to those whose effective matrix is nearest to the
            nominal one ("effective"; with column_gain up to a scale for every output).
        rounds: corrections of the targets of effective programming, each with one effective matrix.
        noise: variance of read noise by one product for any number of inputs ("form") or by one solve per input ("per_input").
    """

    model_config = ConfigDict(json_schema_extra=_segments_or_preset)

    preset: (
        Literal[
            "200 nm",
            "100 nm",
            "50 nm",
            "40 nm",
            "32 nm",
            "22 nm",
            "14 nm",
            "200 nm 1T1R",
            "100 nm 1T1R",
            "50 nm 1T1R",
            "40 nm 1T1R",
            "32 nm 1T1R",
            "22 nm 1T1R",
            "14 nm 1T1R",
        ]
        | None
    ) = None
    word_line: Ohm
    bit_line: Ohm
    driver: Ohm = 0.0
    sense: Ohm = 0.0
    drive: Literal["left", "right", "both"] = "left"
    sense_at: Literal["bottom", "top", "both"] = "bottom"
    far_ends: Literal["open", "grounded"] = "open"
    selector: Ohm = 0.0
    pair: Literal["separate", "columns", "rows"] = "separate"
    transposed: TransposedSpec | None = None
    tolerance: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-7
    update: Literal["exact", "tracked", "first_order"] = "exact"
    noise: Literal["form", "per_input"] = "form"
    column_gain: bool = False
    programming: Literal["nominal", "effective"] = "nominal"
    rounds: Annotated[int, Field(ge=1, le=50)] = 3

    @model_validator(mode="before")
    @classmethod
    def _of_the_preset(cls, data: Any) -> Any:
        """Values that a preset gives and nobody wrote."""
        known = PRESETS.get(data["preset"]) if isinstance(data, dict) and isinstance(data.get("preset"), str) else None
        return data if known is None else {**known, **data}

    @property
    def ideal(self) -> bool:
        """Whether nothing has any resistance, so that reads are the plain products."""
        return self.forward().ideal and self.backward().ideal

    @model_validator(mode="after")
    def _can_be(self) -> WiresSpec:
        try:
            for topology in (self.forward, self.backward):
                topology()
        except WiresError as error:
            raise ValueError(str(error)) from error
        return self

    def forward(self) -> Topology:
        """Wires of a read that drives word lines."""
        return simple(
            self.word_line,
            self.bit_line,
            driver=self.driver,
            sense=self.sense,
            drive=self.drive,
            sense_at=self.sense_at,
            far_ends=self.far_ends,
            selector=self.selector,
        )

    def backward(self) -> Topology:
        """Wires of a transposed read, of the transposed array: its word lines are the bit lines."""
        ends = self.transposed
        names = {"bottom": "right", "top": "left", "left": "top", "right": "bottom", "both": "both"}
        return simple(
            self.bit_line,
            self.word_line,
            driver=ends.driver if ends else self.driver,
            sense=ends.sense if ends else self.sense,
            drive=names[ends.drive if ends else self.sense_at],
            sense_at=names[ends.sense_at if ends else self.drive],
            far_ends=self.far_ends,
            selector=self.selector,
        )
