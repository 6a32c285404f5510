"""Finite conductance levels: what a program operation can aim at. Pulses are not held to them."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.config import Q, StrictModel, at_key
from devices.window import F32, Window


class Levels(StrictModel):
    """Either `count` levels at equal distances over the window, ends included, or a table of conductances.

    Attributes:
        count: number of evenly spaced levels. values: siemens, ascending, inside the window.
    """

    count: Annotated[int, Field(ge=2, le=65536)] | None = None
    values: tuple[Annotated[float, Q("conductance", "uS", ge=0)], ...] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.count is None) == (self.values is None):
            raise at_key("count", "levels need either count or values")
        if self.values is not None:
            if len(self.values) < 2:
                raise at_key("values", f"must be a list of at least two conductances (got {len(self.values)})")
            if any(b <= a for a, b in zip(self.values, self.values[1:], strict=False)):
                raise at_key("values", "must be ascending without repeats")
        return self

    def compile(self, window: Window) -> F32:
        """Return the levels: (L,) siemens.

        Raises ValueError when a level lies outside the window.
        """
        if self.values is None:
            assert self.count is not None  # _one_of
            return np.linspace(window.g_min, window.g_max, self.count).astype(np.float32)
        low, high = self.values[0], self.values[-1]
        if low < window.g_min or high > window.g_max:
            raise ValueError(
                f"levels from {low:g} to {high:g} S do not fit the window {window.g_min:g} to {window.g_max:g} S"
            )
        return np.array(self.values, np.float32)
