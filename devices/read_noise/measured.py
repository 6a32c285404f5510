"""Read noise law: measured white and 1/f parts against the state. Never a telegraph signal: its variance is in the white part."""

from typing import Literal, Self

from pydantic import model_validator

from devices.read_noise.law import ReadNoiseLaw
from devices.tables_file import TablesSource, check, interpolate, load_tables, scale
from devices.window import F64, Values, Window


class MeasuredReadNoise(ReadNoiseLaw):
    """Both parts interpolated in `read_noise.white` and `read_noise.flicker`, (K,) siemens; scaled with a card of another window.

    The flicker part is the square root of A in S(f) = A / f, so that its variance between two frequencies is
    ``A ln(f_high / f_low)``; `read_noise.t_read` seconds is the time of one read at which it was measured.

    Both are functions of the conductance now, as it was read, and hold what the instrument added.

    Attributes:
        file: NPZ file of tables that a fit wrote beside the card.
    """

    kind: Literal["measured"] = "measured"
    file: TablesSource

    @model_validator(mode="after")
    def _tables(self) -> Self:
        check(self.file, {"read_noise.white": "K", "read_noise.flicker": "K", "read_noise.t_read": ""})
        return self

    def white(self, g: Values, window: Window) -> F64:
        """The table."""
        return interpolate(load_tables(self.file)["read_noise.white"], window.state(g)) * scale(self.file, window)

    def flicker(self, g: Values, window: Window) -> F64:
        """The table."""
        return interpolate(load_tables(self.file)["read_noise.flicker"], window.state(g)) * scale(self.file, window)

    @property
    def read_time(self) -> float:
        """As measured."""
        return float(load_tables(self.file)["read_noise.t_read"])

    @property
    def nodes(self) -> int:
        """Those of the tables."""
        return int(load_tables(self.file)["read_noise.white"].shape[0])
