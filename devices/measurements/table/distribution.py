"""A measurement that is already a distribution: the change of conductance at each state, by cumulative probability. Never raw pulses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepDistribution:
    """Quantiles of the change per pulse of one device in one direction.

    Attributes:
        device: which device, 0-based.
        direction: +1 potentiation, -1 depression.
        g: (S,) siemens, states, ascending.
        p: (P,) cumulative probabilities, ascending in [0, 1].
        dg: (P, S) siemens, non-decreasing along p.
        source: the file it came from, for messages and reports.
    """

    device: int
    direction: int
    g: F64
    p: F64
    dg: F64
    source: str

    def mean(self) -> F64:
        """Return the mean change at each state, (S,) siemens: the integral of the quantile function (trapezium rule)."""
        return np.asarray(np.trapezoid(self.dg, self.p, axis=0), np.float64)

    def std(self) -> F64:
        """Return the standard deviation of the change at each state, (S,) siemens, of the piecewise linear quantile function."""
        a, b = self.dg[:-1], self.dg[1:]
        second = np.sum(np.diff(self.p)[:, None] * (a * a + a * b + b * b) / 3.0, axis=0)
        return np.sqrt(np.maximum(second - self.mean() ** 2, 0.0))
