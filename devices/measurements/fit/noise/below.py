"""Read noise below the least state that was measured: held, or falling as a power of the conductance. It never fits a spectrum.

The states that were measured say which of the two predicts better downwards: the noise of every group of series is predicted from those
above it, by their power law and by the noise of the next one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

FEWEST_ABOVE, FEWEST_PREDICTED = 3, 3
"""Groups that a power law is taken from at least, and groups that must be predicted."""
CLEAR, STEEP = 1.0, 3.0
"""Standard errors by which the power law has to predict better, and by which its exponent has to be above 0."""
MOST = 4.0
"""Largest exponent."""


@dataclass(frozen=True)
class Below:
    """What a card says of the noise below the least state measured.

    Attributes:
        lowest: siemens, that state. exponent: of the conductance; 0: held.
        better, error: by how much the power law predicts the logarithm of the noise better, squared, and its standard error; NaN when
            there are too few groups to tell.
    """

    lowest: float
    exponent: float
    better: float
    error: float

    def note(self) -> str:
        """A sentence for the report."""
        start = f"below {1e6 * self.lowest:.3g} uS no noise was measured: "
        if self.exponent > 0.0:
            return (
                f"{start}the card's goes on as the power {self.exponent:.2g} of the conductance, which predicts the noise of measured"
                " states from those above them better than the noise of the next one does; that is extrapolated"
            )
        why = (
            "too few states were measured to tell"
            if np.isnan(self.better)
            else "a power law predicts measured states no better"
        )
        return f"{start}the card's is held as it is there ({why})"


def noise_below(g: F64, variance: F64) -> Below:
    """The law below the first of B groups.

    Of 400 draws each, 9 groups over a factor of 5 of the conductance whose noise scatters by 10 %: exponent 1 was found in 349, 0.5 in
    155, and none was found where the noise is the same at all states; where it ends in a floor of 0.4 of its largest, 48 got an exponent
    of about 0.5. The exponent is that of all groups, or of the lower half where that is less.

    Args:
        g: (B,) siemens, ascending. variance: (B,) of a read, siemens squared.
    """
    lowest = float(g[0])
    if g[0] <= 0.0 or variance.min() <= 0.0 or len(g) < FEWEST_ABOVE + FEWEST_PREDICTED:
        return Below(lowest, 0.0, np.nan, np.nan)
    x, y = np.log(g), 0.5 * np.log(variance)
    gained = []
    for k in range(len(g) - FEWEST_ABOVE):
        slope, at = _line(x[k + 1 :], y[k + 1 :])
        by_power = at + slope * x[k] - y[k]
        gained.append((y[k + 1] - y[k]) ** 2 - by_power**2)
    better, error = float(np.mean(gained)), float(np.std(gained, ddof=1) / np.sqrt(len(gained)))
    slope, at = _line(x, y)
    rest = y - at - slope * x
    uncertain = float(np.sqrt(rest @ rest / (len(x) - 2) / np.sum((x - x.mean()) ** 2)))
    if better <= CLEAR * error or slope <= STEEP * uncertain:
        return Below(lowest, 0.0, better, error)
    half = (len(x) + 1) // 2
    return Below(lowest, min(slope, _line(x[:half], y[:half])[0]), better, error)


def _line(x: F64, y: F64) -> tuple[float, float]:
    """Slope, from 0 to `MOST`, and intercept of a line by least squares."""
    slope = float(np.clip(np.polyfit(x, y, 1)[0], 0.0, MOST))
    return slope, float(np.mean(y - slope * x))
