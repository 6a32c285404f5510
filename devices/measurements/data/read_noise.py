"""The noise of reads along a trace: a white part, and a part that is correlated from read to read. It never fits itself."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReadNoise:
    """``v_k + x_k``, ``x_k = rho x_(k-1) + sqrt(1 - rho**2) a z_k``, ``rho = exp(-1 / length)``; v and z normal and independent.

    Stands for 1/f noise and telegraph signals, of which it is the part slow enough to show between reads.

    Attributes:
        white: siemens, standard deviation of v. correlated: siemens, a, that of x. length: reads after which the correlation is 1/e.
    """

    white: float = 0.0
    correlated: float = 0.0
    length: float = 1.0

    @property
    def total(self) -> float:
        """Standard deviation of one read, siemens."""
        return float(np.hypot(self.white, self.correlated))

    @property
    def correlation(self) -> float:
        """Rho, from one read to the next."""
        return float(np.exp(-1.0 / self.length))

    @property
    def share(self) -> float:
        """Share of the variance that is correlated."""
        return self.correlated**2 / self.total**2 if self.total > 0 else 0.0

    def scaled_to(self, total: float) -> "ReadNoise":
        """Return noise of another total with the same share and length."""
        factor = total / self.total if self.total > 0 else 0.0
        return ReadNoise(factor * self.white, factor * self.correlated, self.length)

    def draw(self, rng: np.random.Generator, traces: int, reads: int) -> F64:
        """(traces, reads) siemens, the correlated part stationary from the first read on."""
        rho = self.correlation
        kicks = rng.normal(size=(traces, reads))
        kicks[:, 1:] *= np.sqrt(1.0 - rho**2)
        slow = signal.lfilter([1.0], [1.0, -rho], kicks, axis=1)
        return np.asarray(self.white * rng.normal(size=(traces, reads)) + self.correlated * slow, np.float64)


NO_READ_NOISE = ReadNoise()
