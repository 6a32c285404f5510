"""A measurement given as a DataFrame, and the fit of any measurement. It never fits itself."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from devices.measurements.columns.columns import ColumnMap
from devices.measurements.configuration.measurement_config import MeasurementConfig
from learning.experiments.interactive.data import as_array
from learning.experiments.runs.files import writing

FILE = "measured.csv"
SI_UNIT = {"t": "s", "v": "V", "width": "s", "v_read": "V", "i": "A", "g": "S", "r": "Ohm", "target": "S"}
"""Quantity -> the unit of a column that is called like it."""


def is_measurement(what: Any) -> bool:
    """Whether it is the measurement itself: a DataFrame, or a mapping whose values are all columns."""
    if type(what).__name__ == "DataFrame":
        return True
    return isinstance(what, Mapping) and "schema" not in what and "measurements" not in what


def frame_section(
    what: Any, folder: Path, *, role: str, columns: Mapping[str, Any], settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the columns to measured.csv; return what a file about them would hold, and the settings that are left.

    Raises:
        UserError: columns that are not there, or of different lengths.
    """
    found = {str(name): as_array(what[name], f"ah.fit: column {name}") for name in what}
    if not found or len({values.shape for values in found.values()}) > 1 or next(iter(found.values())).ndim != 1:
        got = ", ".join(f"{name} {' x '.join(map(str, values.shape)) or 'one value'}" for name, values in found.items())
        raise UserError(f"ah.fit: needs columns of one length (got {got or 'no column'})")
    reader: dict[str, Any] = {"kind": "csv", "path": str((folder / FILE).absolute()), "role": role, "delimiter": ","}
    reader["columns"] = _columns(list(found), columns)
    from devices.measurements.readers.csv_table import CsvTable

    own = set(CsvTable.model_fields) - set(MeasurementConfig.model_fields)
    reader |= {key: settings.pop(key) for key in list(settings) if key.partition("__")[0] in own}
    path = folder / FILE
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(found)
            rows.writerows(zip(*(values.tolist() for values in found.values()), strict=True))
    base = {"schema": "measurements/1", "name": settings.pop("name", "my_cell"), "measurements": [reader]}
    return base, settings


def _columns(there: list[str], named: Mapping[str, Any]) -> dict[str, Any]:
    """Quantity -> column of a reader."""
    for quantity, column in named.items():
        name = column.get("name") if isinstance(column, Mapping) else column
        if isinstance(name, str) and name not in there:
            hint = did_you_mean(name, there) or ";"
            raise UserError(f"ah.fit: columns: {quantity}: no column '{name}'{hint} there are {', '.join(there[:12])}")
    known = [quantity for quantity in ColumnMap.model_fields if quantity in there and quantity not in named]
    taken = {column.get("name") if isinstance(column, Mapping) else column for column in named.values()}
    own = {
        quantity: {"name": quantity, "unit": SI_UNIT[quantity]} if quantity in SI_UNIT else quantity
        for quantity in known
        if quantity not in taken
    }
    return own | dict(named)
