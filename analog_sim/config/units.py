"""The table of units and exact conversion to SI by decimal arithmetic.

Never guesses a dimension: the field that is read names it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException
from types import MappingProxyType

from analog_sim.config.errors import did_you_mean

# 60 digits keep every product and quotient of two float-sized numbers exact far beyond float64's 17 digits.
EXACT = Context(prec=60)
_PREFIXES = MappingProxyType(
    {"a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
)
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*((?:[A-Za-zµμΩ°%].*?)?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: value in SI = value * factor + offset."""

    factor: Decimal
    offset: Decimal = Decimal(0)


def _scaled(symbol: str, prefixes: str, *, bare: bool = True) -> dict[str, Unit]:
    """Units made of one symbol and one-letter prefixes, largest last; `bare` adds the symbol without prefix."""
    order = [p for p in _PREFIXES if p in prefixes and (p or bare)]
    return {prefix + symbol: Unit(Decimal(1).scaleb(_PREFIXES[prefix])) for prefix in order}


_MINUTE, _HOUR, _DAY = Decimal(60), Decimal(3600), Decimal(86400)
_YEAR = _DAY * Decimal("365.25")  # the Julian year; a month is a twelfth of it

# Dimension -> unit -> conversion. The first name of a spelling group is the one shown in messages.
UNITS: Mapping[str, Mapping[str, Unit]] = MappingProxyType(
    {
        "conductance": _scaled("S", "afpnum")
        | {"G0": Unit(Decimal("7.748091729863649e-5"))},  # conductance quantum 2e^2/h, exact in the SI of 2019
        "resistance": _scaled("Ohm", "umkMGT"),
        "time": _scaled("s", "afpnum")
        | {"min": Unit(_MINUTE), "h": Unit(_HOUR), "day": Unit(_DAY), "week": Unit(7 * _DAY)}
        | {"month": Unit(_YEAR / 12), "year": Unit(_YEAR)},
        "voltage": _scaled("V", "numk"),
        "current": _scaled("A", "afpnum"),
        "energy": _scaled("J", "afpnumkM") | {"eV": Unit(Decimal("1.602176634e-19")), "Wh": Unit(_HOUR)},
        "power": _scaled("W", "fpnumkM"),
        "temperature": {
            "K": Unit(Decimal(1)),
            "mK": Unit(Decimal("0.001")),
            "C": Unit(Decimal(1), Decimal("273.15")),
        },
        "capacitance": _scaled("F", "afpnum"),
        "charge": _scaled("C", "afpnum"),
        "length": _scaled("m", "fpnum") | {"cm": Unit(Decimal("0.01"))},
        "area": {
            "nm2": Unit(Decimal("1e-18")),
            "um2": Unit(Decimal("1e-12")),
            "mm2": Unit(Decimal("1e-6")),
            "m2": Unit(Decimal(1)),
        },
        "frequency": _scaled("Hz", "mkMGT"),
        "fraction": {"": Unit(Decimal(1)), "%": Unit(Decimal("0.01")), "ppm": Unit(Decimal("1e-6"))},
    }
)
SI_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "conductance": "S",
        "resistance": "Ohm",
        "time": "s",
        "voltage": "V",
        "current": "A",
        "energy": "J",
        "power": "W",
        "temperature": "K",
        "capacitance": "F",
        "charge": "C",
        "length": "m",
        "area": "m2",
        "frequency": "Hz",
        "fraction": "",
    }
)
# Dimension -> largest magnitude in SI of anything that is read, unless a field says less: what is more is a mistaken unit.
LARGEST: Mapping[str, float] = MappingProxyType(
    {
        "conductance": 1.0,
        "resistance": 1e18,
        "time": 1e12,
        "voltage": 1e3,
        "current": 1e3,
        "energy": 1e3,
        "power": 1e6,
        "temperature": 1e4,
        "capacitance": 1.0,
        "charge": 1.0,
        "length": 1.0,
        "area": 1.0,
        "frequency": 1e15,
        "fraction": 10.0,
    }
)
# Dimension -> least magnitude in SI of what must be more than zero: below it products of such numbers leave 32-bit floats.
SMALLEST: Mapping[str, float] = MappingProxyType(
    {"conductance": 1e-24, "time": 1e-18, "voltage": 1e-9, "current": 1e-18}
)
# Other spellings, after Unicode normalisation, of whole unit names.
_SPELLINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "time": {"sec": "s", "second": "s", "seconds": "s", "minute": "min", "minutes": "min"}
        | {"hour": "h", "hours": "h", "hr": "h", "d": "day", "days": "day", "weeks": "week"}
        | {"months": "month", "years": "year", "yr": "year", "y": "year"},
        "temperature": {"degC": "C", "°C": "C", "degree C": "C", "kelvin": "K", "celsius": "C"},
        "fraction": {"1": "", "percent": "%"},
    }
)


def unit_name(text: str, dimension: str) -> str | None:
    """Return the table's name of a unit in any accepted spelling, or None when the dimension has no such unit."""
    # NFKC maps the micro sign to Greek mu, the ohm sign to Omega, superscript two to 2,
    # and the one-character Celsius to °C.
    name = unicodedata.normalize("NFKC", text).strip()
    if name in UNITS[dimension]:
        return name
    name = _SPELLINGS.get(dimension, {}).get(name, name).replace("μ", "u").replace("Ω", "Ohm").replace("ohm", "Ohm")
    return name if name in UNITS[dimension] else None


def allowed_units(dimension: str) -> str:
    """Return the units of a dimension as one text for messages."""
    return ", ".join(name for name in UNITS[dimension] if name)


def decimal_units(dimension: str) -> list[str]:
    """Return the units that are a power of ten times the SI unit, so that every float has a finite decimal in them."""
    table = UNITS[dimension]
    return [
        name
        for name, unit in table.items()
        if name and unit.factor.normalize().as_tuple().digits == (1,) and not unit.offset
    ]


def split(text: str) -> tuple[Decimal, str] | None:
    """Return the number and the unit text of `25 uS`, or None when the text does not begin with a number."""
    match = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text).replace("−", "-"))
    if match is None:
        return None
    try:
        return EXACT.create_decimal(match[1]), match[2]
    except DecimalException:
        return None


def to_si(value: Decimal, unit: str, dimension: str) -> Decimal:
    """Return value * factor + offset of a unit in the table, exactly."""
    entry = UNITS[dimension][unit]
    return EXACT.add(EXACT.multiply(value, entry.factor), entry.offset)


def from_si(value: Decimal, unit: str, dimension: str) -> Decimal:
    """Return (value - offset) / factor of a unit in the table, to 60 digits."""
    entry = UNITS[dimension][unit]
    return EXACT.divide(EXACT.subtract(value, entry.offset), entry.factor)


def explain_unit(text: str, dimension: str) -> str:
    """Say why `text` is not a unit of `dimension`, and which units are."""
    others = [other for other in UNITS if other != dimension and text and unit_name(text, other) is not None]
    if others:
        reason = f"'{text}' is a unit of {' or '.join(others)}, not of {dimension}"
    else:
        reason = f"unknown unit '{text}' of {dimension}{did_you_mean(text, UNITS[dimension])}"
    return f"{reason}{'' if reason.endswith('?') else ';'} allowed: {allowed_units(dimension)}"
