"""What every read noise law states. It never draws noise: the emulator does."""

from abc import abstractmethod
from typing import final

import numpy as np

from analog_sim.cells.cell_model import ReadNoiseModel
from analog_sim.config import Part
from devices.window import F64, FINE_NODES, Values, Window, tabulate

DEFAULT_READ_TIME = 250e-9
"""Seconds of one read; only matters for flicker noise, whose law carries its own."""


class ReadNoiseLaw(Part):
    """Noise of one read, independent from read to read.

    ``read_std(g, t)**2 = white(g)**2 + (flicker(g) f(t))**2``, ``f(t) = sqrt(log((t + t_read) / (2 t_read)))`` from t_read on
    and 0 before; t seconds since the cell was written.
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

    @final
    def read_std(self, g: Values, t: Values, window: Window) -> F64:
        """Standard deviation in siemens of a read of a cell at g siemens, t seconds after it was written.

        A cell that has left the window has the noise of its end.
        """
        g = np.clip(np.asarray(g, float), window.g_min, window.g_max)
        age = np.maximum(np.asarray(t, float), self.read_time)
        growth = np.sqrt(np.log((age + self.read_time) / (2.0 * self.read_time)))
        return np.hypot(self.white(g, window), self.flicker(g, window) * growth)

    @final
    def compile(self, window: Window) -> ReadNoiseModel:
        """Sample both parts over the window."""
        white, flicker = tabulate(
            window.grid(self.nodes), lambda g: self.white(g, window), lambda g: self.flicker(g, window)
        )
        return ReadNoiseModel(white=white, flicker=flicker, t_read=self.read_time)
