"""What every read noise law states. It never draws noise: the emulator does."""

from abc import abstractmethod
from typing import Literal, final

import numpy as np

from analog_sim.cells.cell_model import ReadNoiseModel
from analog_sim.config import Part
from devices.window import F64, FINE_NODES, Values, Window, tabulate

DEFAULT_READ_TIME = 250e-9
"""Seconds of one read; only matters for flicker noise, whose law carries its own."""


Origin = Literal["cell", "reading"]
"""Where a noise that does not vanish with the conductance comes from. "cell": its conductance fluctuates, which cannot take it below 0 S,
so that the standard deviation is at most a third of the conductance. "reading": it was measured with the instrument's own noise in it
and is the same at 0 S; noise of an array's amplifiers belongs to `tile.adc.noise`, once for every output instead of once for every cell."""
MOST_RELATIVE = 1.0 / 3.0
"""Largest fluctuation of a cell over its conductance: 0 S is three standard deviations away."""


class ReadNoiseLaw(Part):
    """Noise of one read, independent from read to read.

    ``read_std(t)**2 = white(g)**2 + (flicker(g_T) (g / g_T) f(t))**2``, ``f(t) = sqrt(log((t + t_read) / (2 t_read)))`` from t_read on
    and 0 before; t seconds since the cell was written, g its conductance now, g_T its target, or g itself with flicker_state "now".
    """

    @abstractmethod
    def white(self, g: Values, window: Window) -> F64:
        """Standard deviation in siemens at every age."""

    def flicker(self, g: Values, window: Window) -> F64:
        """Standard deviation in siemens of the part that grows with age, at f(t) = 1; none unless the law has one."""
        return np.zeros(np.shape(g))

    @property
    def read_time(self) -> float:
        """Duration t_read of one read in seconds; only a law with a flicker part needs its own."""
        return DEFAULT_READ_TIME

    @property
    def nodes(self) -> int:
        """Nodes of the uniform grid over the window on which the law is sampled; two are kept when all is linear."""
        return FINE_NODES

    @property
    def flicker_state(self) -> Literal["target", "now"]:
        """State that the flicker part is stated against."""
        return "now"

    @property
    def most_relative(self) -> float:
        """Largest white noise over conductance; inf when the law is not limited."""
        return float("inf")

    @final
    def read_std(self, g: Values, t: Values, window: Window, target: Values | None = None) -> F64:
        """Standard deviation in siemens of a read of a cell that is now at g siemens, t seconds after it was written.

        target: siemens, what was programmed; None for g. A cell that has left the window has the coefficients of its end.
        """
        now = np.asarray(g, float)
        inside = np.clip(now, window.g_min, window.g_max)
        age = np.maximum(np.asarray(t, float), self.read_time)
        growth = np.sqrt(np.log((age + self.read_time) / (2.0 * self.read_time)))
        white = self.white(inside, window)
        if self.most_relative < float("inf"):
            white = np.minimum(white, self.most_relative * now)
        if self.flicker_state == "now" or target is None:
            return np.hypot(white, self.flicker(inside, window) * growth)
        aimed = np.maximum(np.clip(np.asarray(target, float), window.g_min, window.g_max), 1e-9 * window.g_max)
        return np.hypot(white, self.flicker(aimed, window) * (now / aimed) * growth)

    @final
    def compile(self, window: Window) -> ReadNoiseModel:
        """Sample both parts over the window."""
        white, flicker = tabulate(
            window.grid(self.nodes), lambda g: self.white(g, window), lambda g: self.flicker(g, window)
        )
        state, most = self.flicker_state, self.most_relative
        return ReadNoiseModel(white, flicker, self.read_time, flicker_state=state, most_relative=most)
