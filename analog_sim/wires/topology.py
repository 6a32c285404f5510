"""What the wires of an array are, as data: segments of lines, and how each end of a line ends. It solves nothing.

Nodes: u_ij on word line i at cell (i, j), w_ij on bit line j. Neighbouring nodes of a line are joined by one segment; an end that
is not open continues through one more segment and a terminal resistance to the driver, the sense amplifier (a virtual ground) or ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from analog_sim.config import UserError

SLIGHT = 1e-6
"""Ohm in place of 0 at terminals, see `Topology.bare`."""


class WiresError(UserError):
    """Wires that cannot be, or that cannot be solved to the tolerance."""


@dataclass(frozen=True)
class End:
    """One end of every word line or of every bit line.

    Attributes:
        resistance: ohm between the last node and the terminal, the lead segment included; infinite for an open end.
        active: the terminal is a driver (word lines) or a sense amplifier (bit lines); otherwise it is ground.
    """

    resistance: float = math.inf
    active: bool = False

    def __post_init__(self) -> None:
        if math.isnan(self.resistance) or self.resistance < 0.0:
            raise WiresError(
                f"wires: resistance of an end: got {self.resistance} ohm, allowed: >= 0 ohm, or infinite for an open end"
            )
        if self.active and math.isinf(self.resistance):
            raise WiresError("wires: a driven or sensed end is open (infinite resistance): the line would float")

    @property
    def conductance(self) -> float:
        """Siemens to the terminal; infinite when it is ideal."""
        return math.inf if self.resistance == 0.0 else 1.0 / self.resistance

    @property
    def active_conductance(self) -> float:
        """Siemens to the driver or sense amplifier, 0 when the end is no such."""
        return self.conductance if self.active else 0.0


@dataclass(frozen=True)
class Line:
    """Every word line, or every bit line.

    Attributes:
        segment: ohm between neighbouring nodes.
        first, last: the end at column 0 (word line) or row 0 (bit line), and the other one.
    """

    segment: float
    first: End
    last: End

    def __post_init__(self) -> None:
        if not (math.isfinite(self.segment) and self.segment >= 0.0):
            raise WiresError(f"wires: resistance of a segment: got {self.segment} ohm, allowed: finite, >= 0 ohm")
        if not (self.first.active or self.last.active):
            raise WiresError("wires: a line has no driven or sensed end: it would float")
        if self.ideal and self.segment > 0.0:
            raise WiresError(
                "wires: an end of 0 ohm on a line with resistive segments: the lead segment belongs to the end's resistance"
            )
        if self.ideal and any(e.conductance > 0.0 and not e.active for e in (self.first, self.last)):
            raise WiresError(
                "wires: a line without resistance is driven or sensed at one end and grounded at the other"
            )

    @property
    def ideal(self) -> bool:
        """Whether the line is at its terminal's voltage everywhere."""
        return 0.0 in (self.first.resistance, self.last.resistance)


@dataclass(frozen=True)
class Topology:
    """Wires of an array read in one direction: inputs drive word lines, currents are sensed on bit lines.

    Attributes:
        word, bit: the lines.
        selector: ohm in series with every cell.
    """

    word: Line
    bit: Line
    selector: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.selector) and self.selector >= 0.0):
            raise WiresError(f"wires: resistance of a selector: got {self.selector} ohm, allowed: finite, >= 0 ohm")

    @property
    def ideal(self) -> bool:
        """Whether currents are the plain products of voltages and conductances."""
        return self.word.ideal and self.bit.ideal and self.selector == 0.0

    def bare(self) -> Topology:
        """The lines without selectors, and with a slight resistance at their terminals where there is none: for what has no closed form."""

        def line(which: Line) -> Line:
            ends = (replace(e, resistance=SLIGHT) if e.resistance == 0.0 else e for e in (which.first, which.last))
            return Line(which.segment, *ends)

        return Topology(line(self.word), line(self.bit))

    def reciprocal(self, other: Topology) -> bool:
        """Whether a read with `other`, on the transposed array, has the transposed matrix.

        So it is (Lorentz) when both see one network with the same terminals, a driver of one at the place of a sense amplifier of
        the other.
        """
        return other.turned() == self

    def turned(self) -> Topology:
        """The same network with drivers and sense amplifiers exchanged: its matrix of the transposed cells is the transposed matrix."""
        return replace(self, word=self.bit, bit=self.word)


def simple(
    word_segment: float,
    bit_segment: float,
    *,
    driver: float = 0.0,
    sense: float = 0.0,
    drive: str = "left",
    sense_at: str = "bottom",
    far_ends: str = "open",
    selector: float = 0.0,
) -> Topology:
    """The usual array: terminals are one segment and the driver or sense resistance away from the nearest cell.

    Args:
        word_segment, bit_segment, driver, sense, selector: ohm.
        drive: "left", "right" or "both" ends of the word lines. sense_at: "bottom", "top" or "both" ends of the bit lines.
        far_ends: "open" or "grounded" (through one segment): ends that are neither driven nor sensed.
    """
    far = End() if far_ends == "open" else None

    def line(segment: float, terminal: float, first: bool, last: bool) -> Line:
        on, off = End(segment + terminal, True), far or End(segment, False)
        return Line(segment, on if first else off, on if last else off)

    return Topology(
        line(word_segment, driver, drive in ("left", "both"), drive in ("right", "both")),
        line(bit_segment, sense, sense_at in ("top", "both"), sense_at in ("bottom", "both")),
        selector,
    )
