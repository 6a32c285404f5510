"""What every ageing law states. It never draws an exponent or a path: the emulator does."""

from abc import abstractmethod
from typing import NamedTuple

from analog_sim.cells.cell_model import DriftModel, RelaxationModel
from analog_sim.config import Part
from devices.window import F64, Values, Window


class AgeingTables(NamedTuple):
    """What an ageing law compiles to: drift of every cell, relaxation of every cell, either or none."""

    drift: DriftModel | None
    relaxation: RelaxationModel | None


class DriftLaw(Part):
    """What time does to a written state; t seconds since the cell was written, u its state as written, exactly at its target.

    Where the two differ, each law says which of them its coefficients are functions of.

    Finite at t = 0 and exactly as written then (apart from relaxation that is over before the first read).
    """

    @abstractmethod
    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """Conductance at age t over conductance as written, for the median cell; 1 at t = 0 (also where g = 0)."""

    @abstractmethod
    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """Mean over cells of the conductance at age t, in siemens."""

    @abstractmethod
    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """Standard deviation over cells of the conductance at age t, in siemens."""

    @abstractmethod
    def initial_std(self, u: Values, window: Window) -> F64:
        """Standard deviation in siemens of fast relaxation that is over before the first read; adds to programming error."""

    @abstractmethod
    def compile(self, window: Window) -> AgeingTables:
        """Fill the tables of the emulator."""
