"""What a column of reads may hold, and the current that it amounts to. Never a unit: numbers are in SI here."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.text.problems import failure

F64 = npt.NDArray[np.float64]

ReadQuantity = Literal["current", "conductance", "resistance"]


def current_of(values: F64, quantity: ReadQuantity, v_read: F64 | float) -> F64:
    """Amperes at the read voltage (volts) of reads in amperes, siemens or ohms; NaN at 0 ohms."""
    if quantity == "current":
        return values
    if quantity == "conductance":
        return np.asarray(values * v_read)
    return np.divide(v_read, values, out=np.full(values.shape, np.nan), where=values != 0)


def check_read_voltage(path: Path, quantity: ReadQuantity, v_read: float | None, line: int | None = None) -> None:
    """Refuse currents of unknown read voltage. Raises MeasurementError."""
    if quantity == "current" and v_read is None:
        raise failure(path, "a current needs the read voltage: give v_read", line=line)
