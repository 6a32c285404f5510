"""Resistance of a segment at technology nodes, `wires: {preset: 22 nm}`: values of a published model, computed here from its parameters.

A segment has the length of a cell, r = rho L / (w^2 a), with w the width of the wire (the name of the preset; which width a node has is
the user's to know: DNN+NeuroSim takes 32 nm for its 22 nm node), a its ratio of height to width, rho the
resistivity of copper at that width (it grows where electrons meet surfaces and grains), L = 2 w for cells at bare crossings (4 F^2) and
4 w for cells with a transistor (1T1R, 16 F^2 in the model).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

SOURCE = (
    "NeuroSim: P.-Y. Chen, X. Peng, S. Yu, IEEE TCAD 37, 3067 (2018), DOI 10.1109/TCAD.2018.2789723; "
    "aspect ratios and resistivities as in the source code published with it (Param.cpp, `AR` and `Rho`)"
)


@dataclass(frozen=True)
class Copper:
    """A copper wire.

    Attributes:
        width: metre. aspect: height over width. resistivity: ohm metre.
    """

    width: float
    aspect: float
    resistivity: float

    def segment(self, widths: float) -> float:
        """Ohm of a piece that is so many widths long."""
        return self.resistivity * widths / (self.width * self.aspect)


WIRES = MappingProxyType(
    {
        "200 nm": Copper(200e-9, 2.10, 2.42e-8),
        "100 nm": Copper(100e-9, 2.30, 2.73e-8),
        "50 nm": Copper(50e-9, 2.34, 3.91e-8),
        "40 nm": Copper(40e-9, 1.90, 4.03e-8),
        "32 nm": Copper(32e-9, 1.90, 4.51e-8),
        "22 nm": Copper(22e-9, 2.00, 5.41e-8),
        "14 nm": Copper(14e-9, 2.10, 7.43e-8),
    }
)
"""Width -> wires, all from SOURCE."""

_WIDTHS = MappingProxyType({"": 2.0, " 1T1R": 4.0})

PRESETS = MappingProxyType(
    {
        node + kind: {"word_line": wire.segment(widths), "bit_line": wire.segment(widths)}
        for kind, widths in _WIDTHS.items()
        for node, wire in WIRES.items()
    }
)
"""Name of a preset -> what it gives in ohm; what it does not name (drivers, sense amplifiers, selectors) is not in the source."""
