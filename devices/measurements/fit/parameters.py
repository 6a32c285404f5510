"""A parameter of a likelihood: its bounds and scale for the optimiser, and its estimate with an interval. Never a law."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Param:
    """One parameter of a law as the optimiser sees it.

    Attributes:
        name: as on the card or in the report. unit: of the value. low, high: bounds of the value.
        log: the optimiser works on the logarithm of the value, or of `one_minus` the value.
    """

    name: str
    unit: str = ""
    log: bool = False
    low: float = -np.inf
    high: float = np.inf
    one_minus: bool = False

    def inward(self, value: float) -> float:
        """Value -> what the optimiser varies."""
        value = min(max(value, self.low), self.high)
        if not self.log:
            return value
        return float(np.log(1.0 - value if self.one_minus else value))

    def outward(self, x: float) -> float:
        """What the optimiser varies -> value."""
        if not self.log:
            return float(x)
        value = float(1.0 - np.exp(x) if self.one_minus else np.exp(x))
        return min(max(value, self.low), self.high)  # exp(log(1000)) is above 1000

    def slope(self, x: float) -> float:
        """Derivative of the value by what the optimiser varies, magnitude."""
        return float(np.exp(x)) if self.log else 1.0

    def limits(self) -> tuple[float, float]:
        """Bounds of what the optimiser varies."""
        ends = (self.high, self.low) if self.one_minus else (self.low, self.high)
        if not self.log:
            return ends
        low, high = (1.0 - end if self.one_minus else end for end in ends)
        return float(np.log(max(low, 1e-300))), float(np.log(high)) if np.isfinite(high) else np.inf


@dataclass(frozen=True)
class Estimate:
    """A fitted parameter: value, standard error and 95 % interval (of the value); `fixed` tells why there is no interval."""

    name: str
    value: float
    std: float
    low: float
    high: float
    unit: str
    fixed: str = ""
