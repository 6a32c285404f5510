"""Numbers in arbitrary units, given a meaning in siemens by the user. Never guesses one."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from analog_sim.config import Q, StrictModel, at_key


class ArbitraryUnits(StrictModel):
    """Linear map of arbitrary units to siemens: `low` is `g_min`, `high` is `g_max`; what lies outside is mapped by the same line.

    Attributes:
        low, high: two numbers in the file's units. g_min, g_max: the conductances they stand for.
    """

    low: Annotated[float, Field(ge=-1e18, le=1e18)]
    high: Annotated[float, Field(ge=-1e18, le=1e18)]
    g_min: Annotated[float, Q("conductance", "uS", ge=0)]
    g_max: Annotated[float, Q("conductance", "uS", gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low == self.high:
            raise at_key("high", f"must differ from low (got {self.high})")
        if self.g_min >= self.g_max:
            raise at_key("g_max", f"must be > g_min (got {self.g_max} S, {self.g_min} S)")
        return self

    def siemens(self, numbers: Any) -> Any:
        """``g_min + (x - low) (g_max - g_min) / (high - low)``."""
        return self.g_min + (numbers - self.low) * ((self.g_max - self.g_min) / (self.high - self.low))
