"""Gains and offsets of the amplifiers and the resistance of the wires, from reads of single lines beside the cells themselves.

It never reads a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from analog_sim.chip.periphery import LineAmplifiers
from analog_sim.reads.wired import WiredReads
from analog_sim.wires import WiresSpec

F64 = npt.NDArray[np.float64]

SHOWS = 5.0
"""Standard errors from which an effect is taken over into the twin."""


@dataclass(frozen=True)
class Electronics:
    """What lies between cells and readings.

    Attributes:
        ohms: resistance of a wire segment, word and bit lines alike; 0 when none shows. ohms_error: standard error of a first-order fit.
        gain, offset: (cols,). gain_error, offset_error: their standard errors. shows: whether gains or offsets differ from 1 and 0
            by more than their errors explain.
    """

    ohms: float
    ohms_error: float
    gain: F64
    gain_error: F64
    offset: F64
    offset_error: F64
    shows: bool

    @property
    def amplifiers(self) -> LineAmplifiers | None:
        """For the twin; None when nothing shows."""
        return LineAmplifiers(self.gain.astype(np.float32), self.offset.astype(np.float32)) if self.shows else None

    @property
    def wires(self) -> WiresSpec | None:
        """For the twin; None when none show."""
        return None if self.ohms == 0.0 else WiresSpec(word_line=self.ohms, bit_line=self.ohms, pair="separate")


def electronics(found: Mapping[str, npt.NDArray[np.generic]], known: Electronics | None = None) -> Electronics:
    """Fit what `stages` read of an array.

    ``i[b, j] = gain_j v G_eff[b, j] + offset_j``, G_eff the cells seen through wires of one resistance.

    A wire of resistance r per segment takes, to first order, ``r G_bj D_bj`` from cell (b, j) of a line that is read alone, D_bj the
    conductances of the line weighted with the segments that they share with it. That slope decides whether wires show; the
    resistance is then fitted to the exact effective matrix.

    known: of a larger array, whose wires are taken.
    """
    cells, currents = found["cells"].astype(np.float64), found["currents"].astype(np.float64)
    v, offset = float(found["volts"][0].real), found["offset"].astype(np.float64)
    offset_error = found["offset_error"].astype(np.float64)
    net = cells[0] - cells[1] if len(cells) == 2 else cells[0]
    seen = (currents - offset) / v
    ohms, error = _ohms(cells, net, seen) if known is None else (known.ohms, known.ohms_error)
    ideal = _through(cells, ohms) if ohms else net
    power = np.square(ideal).sum(axis=0)
    gain = np.divide((ideal * seen).sum(axis=0), power, out=np.ones_like(power), where=power > 0.0)
    left = seen - gain * ideal
    gain_error = left.std(axis=0, ddof=1) / np.sqrt(np.maximum(power, 1e-30))
    n = len(gain)
    floor = 1e-9 * float(np.abs(currents).max())
    chi = np.square((gain - 1.0) / np.maximum(gain_error, 1e-9)).sum()
    chi_offset = np.square(offset / np.maximum(offset_error, floor + 1e-30)).sum()
    shows = bool(max(chi, chi_offset) > n + SHOWS * np.sqrt(2.0 * n))
    return Electronics(ohms, error, gain, gain_error, offset, offset_error, shows)


def common_gain(found: Mapping[str, npt.NDArray[np.generic]]) -> float:
    """Currents over those of the cells read one by one, by least squares, all lines together; arguments: `electronics`."""
    cells, currents = found["cells"].astype(np.float64), found["currents"].astype(np.float64)
    net = cells[0] - cells[1] if len(cells) == 2 else cells[0]
    seen = (currents - found["offset"].astype(np.float64)) / float(found["volts"][0].real)
    power = float(np.square(net).sum())
    return float((net * seen).sum()) / power if power > 0.0 else 1.0


def _ohms(cells: F64, net: F64, seen: F64) -> tuple[float, float]:
    """Resistance of a segment and its standard error; 0 when it does not show."""
    rows, cols = net.shape
    # A read drives one word line, so every cell of that line draws current through it; planes are arrays of their own.
    tail = np.cumsum(cells[:, :, ::-1], axis=2)[:, :, ::-1]
    drop = np.cumsum(tail, axis=2) + cells * np.arange(rows, 0, -1)[:, None]
    both = cells * drop
    each = both[0] - both[1] if len(cells) == 2 else both[0]
    column = np.square(net).sum(axis=0)
    # What a gain of the column would explain is not taken for wires.
    share = np.divide((net * each).sum(axis=0), column, out=np.zeros(cols), where=column > 0.0)
    clean = each - share * net
    gap = net - seen
    gap = gap - np.divide((net * gap).sum(axis=0), column, out=np.zeros(cols), where=column > 0.0) * net
    power = float(np.square(clean).sum())
    if power == 0.0 or net.size < 4:
        return 0.0, 0.0
    slope = float((clean * gap).sum()) / power
    error = float((gap - slope * clean).std()) / power**0.5
    if slope < SHOWS * error:
        return 0.0, error

    def misfit(log_ohms: float) -> float:
        through = _through(cells, float(np.exp(log_ohms)))
        gain = (through * seen).sum(axis=0) / np.maximum(np.square(through).sum(axis=0), 1e-30)
        return float(np.square(seen - gain * through).sum())

    middle = float(np.log(slope))
    fitted = optimize.minimize_scalar(
        misfit, bounds=(middle - 2.0, middle + 2.0), method="bounded", options={"xatol": 5e-3}
    )
    return float(np.exp(fitted.x)), error


def _through(cells: F64, ohms: float) -> F64:
    """Net conductance (rows, cols) as it is seen through the wires."""
    spec = WiresSpec(word_line=ohms, bit_line=ohms)
    return WiredReads(spec, len(cells) == 2).matrix(cells.astype(np.float32)).astype(np.float64)
