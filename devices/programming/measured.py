"""Programming error law: measured standard deviation against the target. Never skewed."""

from typing import Literal, Self

from pydantic import model_validator

from analog_sim.cells.cell_model import VerifyModel
from devices.programming.law import ProgrammingLaw
from devices.tables_file import TablesSource, check, interpolate, load_tables, scale
from devices.window import F64, Values, Window


class MeasuredProgramming(ProgrammingLaw):
    """``program_std`` interpolated in `programming.std`, (K,) siemens over the window; scaled with a card of another window.

    Attributes:
        file: NPZ file of tables that a fit wrote beside the card.
    """

    kind: Literal["measured"] = "measured"
    file: TablesSource

    @model_validator(mode="after")
    def _tables(self) -> Self:
        check(self.file, {"programming.std": "K"})
        return self

    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """The table."""
        return interpolate(load_tables(self.file)["programming.std"], window.state(g)) * scale(self.file, window)

    def verify(self, window: Window) -> VerifyModel | None:
        """None: the error left was measured, not the way there."""
        return None

    @property
    def nodes(self) -> int:
        """Those of the table."""
        return int(load_tables(self.file)["programming.std"].shape[0])
