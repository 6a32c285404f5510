"""What every programming error law states. It never draws an error: the emulator does."""

from abc import abstractmethod
from typing import final

from analog_sim.cells.cell_model import VerifyModel
from analog_sim.config import Part
from devices.window import F32, F64, Values, Window, tabulate


class ProgrammingLaw(Part):
    """Error left after programming to a target, write-verify finished:
    ``g_prog = max(0, target + program_std(target) z)``."""

    @abstractmethod
    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """Standard deviation in siemens at the target g in siemens; `read_std` siemens is the noise of a verifying read."""

    @abstractmethod
    def verify(self, window: Window) -> VerifyModel | None:
        """The write-verify loop to be emulated attempt by attempt; None when `program_std` is all there is."""

    @property
    @abstractmethod
    def nodes(self) -> int:
        """Nodes of the uniform grid over the window on which the law is sampled; two are kept when all is linear."""

    @final
    def compile(self, window: Window) -> F32:
        """Sample the standard deviation over the window: (1, K) siemens."""
        (std,) = tabulate(window.grid(self.nodes), lambda g: self.program_std(g, window))
        return std
