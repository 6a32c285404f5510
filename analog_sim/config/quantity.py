"""Numbers with a unit as pydantic fields: `Annotated[float, Q("conductance", "uS", ge=0)]`.

Models hold SI, never the declared unit.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analog_sim.config.errors import shown
from analog_sim.config.refusal import refuse
from analog_sim.config.units import (
    LARGEST,
    SI_UNITS,
    SMALLEST,
    UNITS,
    allowed_units,
    decimal_units,
    explain_unit,
    from_si,
    split,
    to_si,
    unit_name,
)

_LONG = 16  # characters; a longer text in the declared unit gives way to a shorter one in another


class SI(float):
    """A number that is in SI already: `Card(g_max=SI(25e-6))`, whatever unit the field declares."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Q:
    """Metadata of a float field: its dimension, the unit of a bare number, and bounds in that unit.

    A bare number, from YAML or from Python, means the declared unit; a text names its unit (`25 uS`); `SI(x)` is in SI.
    Without an upper or a lower bound the largest magnitude of the dimension holds (`units.LARGEST`), and where a value must be more
    than zero the least one (`units.SMALLEST`).
    The model holds SI. Raises TypeError for a dimension or unit that is not in the table.
    """

    dimension: str
    unit: str
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def __init__(
        self,
        dimension: str,
        unit: str,
        *,
        gt: float | None = None,
        ge: float | None = None,
        lt: float | None = None,
        le: float | None = None,
    ) -> None:
        if dimension not in UNITS:
            raise TypeError(f"Q: unknown dimension {dimension!r}; allowed: {', '.join(UNITS)}")
        name = unit_name(unit, dimension)
        if name is None:
            raise TypeError(f"Q: {explain_unit(unit, dimension)}")
        largest = float(from_si(Decimal(repr(LARGEST[dimension])), name, dimension))
        if le is None and lt is None:
            le = largest
        if ge is None and gt is None:
            ge = -largest
        for attribute, value in (
            ("dimension", dimension),
            ("unit", name),
            ("gt", gt),
            ("ge", ge),
            ("lt", lt),
            ("le", le),
        ):
            object.__setattr__(self, attribute, value)

    def convert(self, value: object) -> float:
        """Return the SI float of a number, a text with a unit or an `SI`. Raises PydanticCustomError."""
        if isinstance(value, str):
            exact, got = self._from_text(value), repr(str(value))
        elif isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
            if not math.isfinite(number):
                raise refuse(f"must be a finite number (got {number})")
            if isinstance(value, SI):
                exact, got = Decimal(repr(number)), self._shown(number, SI_UNITS[self.dimension])
            else:
                exact, got = to_si(Decimal(repr(number)), self.unit, self.dimension), self._shown(number, self.unit)
        else:
            raise refuse(f"{self._expected()} (got {shown(value)})")
        for sign, bound, holds in (
            (">", self.gt, lambda b: exact > b),
            (">=", self.ge, lambda b: exact >= b),
            ("<", self.lt, lambda b: exact < b),
            ("<=", self.le, lambda b: exact <= b),
        ):
            if bound is not None and not holds(to_si(Decimal(repr(bound)), self.unit, self.dimension)):
                raise refuse(f"must be {sign} {self._shown(bound, self.unit)} (got {got})")
        least = SMALLEST.get(self.dimension)
        if self.gt == 0 and least is not None and exact < Decimal(repr(least)):
            raise refuse(f"must be >= {self._shown(least, SI_UNITS[self.dimension])} (got {got})")
        result = float(exact)
        if not math.isfinite(result):
            raise refuse(f"must be a finite number (got {got})")
        return result

    def text(self, value: float) -> float | str:
        """Return a short text with a unit that `convert` turns into exactly this SI value (fractions: a float)."""
        number = float(value)
        if not self.unit:
            return number
        declared = self._in_unit(number, self.unit)
        if declared is not None and "e" not in declared.split()[0] and len(declared) <= _LONG:
            return declared
        # Many digits or an exponent: 1 s in hours, 100 ns in seconds. Another prefix may say it better.
        texts = [self._in_unit(number, name) for name in decimal_units(self.dimension)]
        return min((text for text in (declared, *texts) if text is not None), key=len)

    def _in_unit(self, si: float, unit: str) -> str | None:
        """Return `si` written in a unit, or None when no short decimal converts back exactly."""
        exact = from_si(Decimal(repr(si)), unit, self.dimension)
        for candidate in (repr(float(exact)), format(exact, "g")):
            parsed = split(candidate)
            if parsed is not None and float(to_si(parsed[0], unit, self.dimension)) == si:
                return f"{candidate.removesuffix('.0')} {unit}"
        return None

    def _from_text(self, text: str) -> Decimal:
        parsed = split(text)
        if parsed is None or (not parsed[1] and self.dimension != "fraction"):
            raise refuse(f"{self._expected()} (got {shown(text)})")
        number, written = parsed
        if not written:
            raise refuse(f"must be a number (got {shown(text)})")
        unit = unit_name(written, self.dimension)
        if unit is None:
            raise refuse(f"{explain_unit(written, self.dimension)} (got {str(text)!r})")
        return to_si(number, unit, self.dimension)

    def _expected(self) -> str:
        if self.dimension == "fraction":
            return "must be a number, or a text such as '5 %'"
        return (
            f"must be a {self.dimension}, a number in {self.unit} or a text with a unit such as '1 {self.unit}'"
            f" (units: {allowed_units(self.dimension)})"
        )

    @staticmethod
    def _shown(number: float, unit: str) -> str:
        shown = repr(float(number)).removesuffix(".0")
        return f"{shown} {unit}" if unit else shown

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if source is not float:
            raise TypeError(f"Q belongs on float: write Annotated[float, Q(...)] | None and the like (got {source!r})")
        return core_schema.no_info_plain_validator_function(
            self.convert,
            serialization=core_schema.plain_serializer_function_ser_schema(self.text),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        number: dict[str, Any] = {"type": "number"}
        for key, bound in (
            ("exclusiveMinimum", self.gt),
            ("minimum", self.ge),
            ("exclusiveMaximum", self.lt),
            ("maximum", self.le),
        ):
            if bound is not None:
                number[key] = bound
        meaning = f"{self.dimension}; a bare number is in {self.unit}" if self.unit else "fraction; '5 %' is 0.05"
        units = allowed_units(self.dimension)
        return {
            "anyOf": [number, {"type": "string", "pattern": r"^\s*[+-]?[0-9.]"}],
            "description": f"{meaning}; units: {units}",
        }
