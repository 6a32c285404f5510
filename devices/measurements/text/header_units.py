"""Units that headers of columns hold, `G (uS)`, `G/uS` or `G_uS`, against those of the configuration. Never a number."""

import re
from pathlib import Path

from analog_sim.config.units import SI_UNITS, UNITS, explain_unit, unit_name
from devices.measurements.text.problems import ReadLog, failure

_HEADER_UNIT = re.compile(r"^(?P<name>.*?)\s*[(\[{<]\s*(?P<unit>[^()\[\]{}<>]*)\s*[)\]}>]\s*$")
_ENDING_UNIT = re.compile(
    r"^(?P<name>.*?[^\s/,_-])(?P<mark>\s*/\s*|\s*,\s*|\s+in\s+|\s+-\s+|_|-|\s+)(?P<unit>[^\s/,_-]+)$"
)
_LIKE_UNIT = re.compile(
    r"[afpnuµμmkKMGT]?(mhos?|siemens|Siemens|ohms?|Ohms|OHM|amps?|Amps|volts?|Volts|us|US)|a\.?u\.?|arb|norm"
)
"""Of what a header may end with: meant as units, but not in the table of units."""
READ_DIMENSIONS = ("conductance", "current", "resistance", "voltage", "time")
"""Of the units that a column's name may end with."""


def header_unit(header: str) -> tuple[str, str | None]:
    """Split `Name (unit)`, in brackets of any kind, into name and unit text; None when there is no unit."""
    match = _HEADER_UNIT.match(header)
    return (match["name"].strip(), match["unit"].strip()) if match else (header.strip(), None)


def ending_unit(header: str, dimension: str) -> tuple[str, str | None]:
    """Split `Name/unit`, `Name, unit`, `Name in unit`, `Name_unit`, `Name-unit` or `Name unit`; no unit but one of the dimension counts.

    Behind `_`, `-` or a blank no time but a second is one: `t_d` is a delay, not days. A header
    that is a unit and nothing else (`mV`) is name and unit in one.
    """
    if unit_name(header, dimension):
        return header.strip(), unit_name(header, dimension)
    match = _ENDING_UNIT.match(header.strip())
    unit = unit_name(match["unit"], dimension) if match else None
    if match is None or unit is None:
        return header.strip(), None
    if dimension == "time" and match["mark"].strip() in ("", "_", "-") and not unit.endswith("s"):
        return header.strip(), None
    return match["name"].strip(), unit


def bare_name(header: str) -> str:
    """Name of a column without the unit that its header ends with."""
    name, unit = header_unit(header)
    if unit is not None:
        return name
    endings = (ending_unit(header, dimension) for dimension in READ_DIMENSIONS)
    return next((name for name, unit in endings if unit is not None), name)


def resolve_unit(path: Path, header: str, dimension: str | None, unit: str | None, line: int | None) -> str:
    """Return the unit of a column from its header and the configuration; the SI unit when neither says.

    Raises MeasurementError when they contradict each other or the unit is not of the dimension.
    """
    if dimension is None:
        return ""
    _, written = header_unit(header)
    in_header = unit_name(written, dimension) if written else None
    if written is None:
        in_header = ending_unit(header, dimension)[1]
    if written and in_header is None:
        known = any(unit_name(written, other) for other in UNITS if other != "fraction")
        if known or unit is None:
            hint = "" if known else f"; or say it: {{name: ..., unit: {SI_UNITS[dimension]}}}"
            raise failure(path, explain_unit(written, dimension) + hint, line=line, column=header)
    if written is None and in_header is None and unit is None:
        _refuse_like_unit(path, header, dimension, line)
    if unit is None:
        return in_header or SI_UNITS[dimension]
    named = unit_name(unit, dimension)
    if named is None:
        raise failure(path, explain_unit(unit, dimension), column=header)
    if in_header is not None and UNITS[dimension][in_header] != UNITS[dimension][named]:
        raise failure(
            path, f"mixed units: the header says '{in_header}', the configuration '{named}'", line=line, column=header
        )
    return named


def _refuse_like_unit(path: Path, header: str, dimension: str, line: int | None) -> None:
    """Refuse `G/umho` and `G_mS/cm`: what stands behind the mark is meant as a unit, and is none. Raises MeasurementError."""
    match = _ENDING_UNIT.match(header.strip())
    if match is not None and _LIKE_UNIT.fullmatch(match["unit"]):
        hint = f"; or say it: {{name: ..., unit: {SI_UNITS[dimension]}}}"
        raise failure(path, explain_unit(match["unit"], dimension) + hint, line=line, column=header)


def note_missing_unit(
    log: ReadLog, path: Path, header: str, dimension: str | None, unit: str | None, line: int | None
) -> None:
    """Count a column whose unit neither the header nor the configuration says: its numbers are taken as SI."""
    if dimension not in READ_DIMENSIONS or unit is not None:
        return
    if header_unit(header)[1] is None and ending_unit(header, dimension)[1] is None:
        what = f"column without a unit, its numbers taken as {SI_UNITS[dimension]}"
        log.count(path, what, line=line, column=header)
