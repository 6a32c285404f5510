"""Parts of a pulse law: what the amplitude and the width of a pulse do to its step. They never draw a step."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import PulseFactor
from analog_sim.config import Q, StrictModel, at_key

Volts = Annotated[float, Q("voltage", "V", gt=0)]
Seconds = Annotated[float, Q("time", "s", gt=0)]
Factors = Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(min_length=1)]

CLOSE = 1e-3
"""How far the factor at the nominal pulse may be from 1: what the rounding of a published table leaves."""


class Amplitude(StrictModel):
    """Factor on a step, mean and noise alike and at every state, against the amplitude of the pulse.

    Linear between the points, and from 0 at 0 V to the first one. So the first point should be one below which cells do not move: a
    half-selected cell sees half the voltage. A pulse beyond the last point is refused.

    Attributes:
        nominal: amplitude that the steps of the law are stated for.
        volts: magnitudes, ascending. up, down: factors at the points, potentiation and depression; 1 at the nominal amplitude.
        nominal_down: amplitude of depressing pulses that the law is stated for, where it is another. A pulse of V then means V for
            potentiation and V nominal_down / nominal for depression.
        volts_down: points of `down`, where they are others.
    """

    nominal: Volts
    volts: Annotated[tuple[Volts, ...], Field(min_length=1)]
    up: Factors
    down: Factors
    nominal_down: Volts | None = None
    volts_down: Annotated[tuple[Volts, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _points(self) -> Self:
        _check_points(self.volts, self.up, "volts", "up", self.nominal)
        below = "volts" if self.volts_down is None else "volts_down"
        _check_points(self.volts_down or self.volts, self.down, below, "down", self.nominal_down or self.nominal)
        return self

    def compile(self) -> PulseFactor:
        """The table of the emulator: both directions on the union of their points, over the volts of a potentiating pulse."""
        scale = self.nominal / (self.nominal_down or self.nominal)
        down = np.array(self.volts_down or self.volts) * scale
        return _table(self.nominal, np.array(self.volts), self.up, down, self.down)


class Width(StrictModel):
    """Factor on a step, mean and noise alike and at every state, against the width of the pulse; linear as in `Amplitude`.

    Attributes:
        nominal: width that the steps of the law are stated for.
        seconds: widths, ascending. up, down: factors at the points, potentiation and depression; 1 at the nominal width.
    """

    nominal: Seconds
    seconds: Annotated[tuple[Seconds, ...], Field(min_length=1)]
    up: Factors
    down: Factors

    @model_validator(mode="after")
    def _points(self) -> Self:
        for side, factors in (("up", self.up), ("down", self.down)):
            _check_points(self.seconds, factors, "seconds", side, self.nominal)
        return self

    def compile(self) -> PulseFactor:
        """The table of the emulator."""
        return _table(self.nominal, np.array(self.seconds), self.up, np.array(self.seconds), self.down)


def _check_points(points: Sequence[float], factors: Sequence[float], key: str, side: str, nominal: float) -> None:
    """Refuse points and factors that make no table, or none with a factor of 1 at the nominal pulse; key, side: of both."""
    if any(b <= a for a, b in pairwise(points)):
        raise at_key(key, f"must ascend (got {', '.join(f'{p:g}' for p in points)})")
    if len(factors) != len(points):
        raise at_key(side, f"needs as many factors as {key} has points, {len(points)} (got {len(factors)})")
    if nominal > points[-1]:
        raise at_key(key, f"must reach the nominal pulse of {nominal:g} (got {points[-1]:g})")
    found = float(np.interp(nominal, [0.0, *points], [0.0, *factors]))
    if abs(found - 1.0) > CLOSE:
        raise at_key(
            side, f"must be 1 at the nominal pulse of {nominal:g}, which the steps are stated for (got {found:g})"
        )


def _table(
    nominal: float, at_up: np.ndarray, up: Sequence[float], at_down: np.ndarray, down: Sequence[float]
) -> PulseFactor:
    """Both directions on the union of their points; it ends where the first of them ends."""
    points = np.union1d(at_up, at_down)
    points = points[points <= min(at_up[-1], at_down[-1]) * (1.0 + 1e-9)]
    if not np.isclose(points, nominal, rtol=1e-9).any():
        points = np.union1d(points, [nominal])
    sides = [np.interp(points, [0.0, *at], [0.0, *factors]) for at, factors in ((at_up, up), (at_down, down))]
    exact = np.isclose(points, nominal, rtol=1e-9)
    for side in sides:
        side[exact] = 1.0
    return PulseFactor(float(np.float32(nominal)), *(np.asarray(values, np.float32) for values in (points, *sides)))
