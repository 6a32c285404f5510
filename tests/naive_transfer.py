"""Slow twin of the Tiki-Taka transfers, one number at a time: what is read from the fast array, to pulses on the weights."""

import math
from dataclasses import dataclass, field


@dataclass
class Transfer:
    """The digital side of one line's cell in TTv2, chopped TTv2 or AGAD.

    Attributes:
        gain: filter steps per unit read. most, momentum, forget: of a transfer. period, newest: of AGAD, period None without reference.
    """

    gain: float
    most: int
    momentum: float
    forget: bool
    period: int | None = None
    newest: float = 1.0
    h: float = 0.0
    chopper: int = 1
    reference: float = 0.0
    average: float = 0.0
    readings: list[float] = field(default_factory=list)

    def move(self, reading: float, flip: bool = False) -> int:
        """Pulses that a reading brings about; flip: the chopper flips after it (chopped TTv2)."""
        self.readings.append(reading)
        self.h += self.gain * self.chopper * (reading - self.reference)
        pulses = max(-self.most, min(self.most, math.trunc(float(self.h))))
        if pulses and self.forget:
            self.h *= self.momentum
        elif pulses:
            self.h -= (1 - self.momentum) * pulses
        if self.period is not None:
            self.average = (1 - self.newest) * self.average + self.newest * reading
            flip = len(self.readings) % self.period == 0
            if flip:
                self.reference = self.average
        if flip:
            self.chopper = -self.chopper
        return pulses
