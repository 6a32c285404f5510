"""Time and energy of one operation on cells. Converters and wires have their own costs elsewhere."""

from typing import Annotated

from analog_sim.cells.cell_model import CostModel
from analog_sim.config import Q, StrictModel

Seconds = Annotated[float, Q("time", "s", gt=0, le=1e4)]
"""Hours for one operation are a mistake, and many of them would be longer than chip time can run."""


class OperationCosts(StrictModel):
    """What the operation log is multiplied with. A read of a cell of conductance g costs ``g v_read**2 t_read``.

    Attributes:
        t_read: seconds of one read of the array.
        t_pulse: seconds of one pulse slot, of either polarity: of all rows at once in a train, of one row for a count of each cell.
        t_program: seconds to program one row, all iterations together.
        v_read: volts of a full-scale read.
        e_pulse: joules per pulse. e_program: joules per cell programmed.
    """

    t_read: Seconds = 100e-9
    t_pulse: Seconds = 100e-9
    t_program: Seconds = 10e-6
    v_read: Annotated[float, Q("voltage", "V", gt=0)] = 0.2
    e_pulse: Annotated[float, Q("energy", "J", ge=0)] = 0.0
    e_program: Annotated[float, Q("energy", "J", ge=0)] = 0.0

    def compile(self) -> CostModel:
        """Return the costs as the emulator wants them."""
        return CostModel(self.t_read, self.t_pulse, self.t_program, self.v_read, self.e_pulse, self.e_program)
