"""Read noise law: measured white and 1/f parts against the state. Never a telegraph signal: its variance is in the white part."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.config import Q, at_key
from devices.read_noise.law import ReadNoiseLaw
from devices.tables_file import TablesSource, check, interpolate, load_tables, scale
from devices.window import F64, FINE_NODES, Values, Window


class MeasuredReadNoise(ReadNoiseLaw):
    """Both parts interpolated in `read_noise.white` and `read_noise.flicker`, (K,) siemens; scaled with a card of another window.

    The flicker part is the square root of A in S(f) = A / f, so that its variance between two frequencies is
    ``A ln(f_high / f_low)``; `read_noise.t_read` seconds is the time of one read at which it was measured.

    Both are functions of the conductance now, as it was read, and hold what the instrument added.

    Below the least conductance that was measured both parts may fall as a power of the conductance, ``white(g) = white(lowest)
    (g / lowest)**exponent``; without `lowest` the tables hold what they hold there.

    Attributes:
        file: NPZ file of tables that a fit wrote beside the card.
        lowest: least conductance that was measured; below it the noise is extrapolated. exponent: of that power law; 0 holds it.
    """

    kind: Literal["measured"] = "measured"
    file: TablesSource
    lowest: Annotated[float, Q("conductance", "uS", gt=0)] | None = None
    exponent: Annotated[float, Field(ge=0, le=10)] = 0.0

    @model_validator(mode="after")
    def _tables(self) -> Self:
        if self.exponent and self.lowest is None:
            raise at_key(
                "exponent", f"needs lowest, the conductance below which it holds (got {self.exponent:g} alone)"
            )
        check(self.file, {"read_noise.white": "K", "read_noise.flicker": "K", "read_noise.t_read": ""})
        return self

    def white(self, g: Values, window: Window) -> F64:
        """The table, and the power law below it."""
        return self._of("white", g, window)

    def flicker(self, g: Values, window: Window) -> F64:
        """The table, and the power law below it."""
        return self._of("flicker", g, window)

    def _of(self, part: str, g: Values, window: Window) -> F64:
        table, ratio = load_tables(self.file)[f"read_noise.{part}"], scale(self.file, window)
        if self.lowest is None:
            return interpolate(table, window.state(g)) * ratio
        lowest = window.g_min + (self.lowest - float(load_tables(self.file)["window"][0])) * ratio
        within = interpolate(table, window.state(np.maximum(g, lowest))) * ratio
        return within * (np.minimum(g, lowest) / lowest) ** self.exponent

    @property
    def read_time(self) -> float:
        """As measured."""
        return float(load_tables(self.file)["read_noise.t_read"])

    @property
    def nodes(self) -> int:
        """Those of the tables; more for a curved law below them."""
        if self.lowest is not None:
            return FINE_NODES
        return int(load_tables(self.file)["read_noise.white"].shape[0])
